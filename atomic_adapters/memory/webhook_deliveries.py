"""Webhook deliveries, and the claims of endpoints, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from atomic_adapters.memory.tables import DeliveryRow, EndpointRow, MemorySession, Table
from atomic_adapters.memory.webhook_backlog import measure_backlog
from atomic_core.domain.events import STREAM_TYPES, StreamEvent
from atomic_core.domain.lists import MAX_TIME, MIN_ID, MIN_TIME, Position
from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.domain.webhooks import (
    RETRY_DELAYS,
    Delivery,
    DeliveryAttempt,
    DeliveryFilter,
    DeliveryOutcome,
    DeliveryStatus,
    DueDelivery,
    EndpointClaim,
    EndpointSecrets,
    EndpointStatus,
    RoundRecord,
)

DELETION_PERIOD: Final = timedelta(minutes=5)
"""As in PostgreSQL: deliveries are purged after the last round of a deleted endpoint."""


@dataclass(frozen=True, slots=True)
class MemoryWebhookDeliveryRepository:
    session: MemorySession

    @property
    def _endpoints(self) -> Table[UUID, EndpointRow]:
        return self.session.tables.webhook_endpoints

    @property
    def _deliveries(self) -> Table[tuple[UUID, int], DeliveryRow]:
        return self.session.tables.webhook_deliveries

    def plan(self, limit: int) -> int:
        tables = self.session.tables
        due = sorted(id for id, is_due in tables.webhook_streams.rows.items() if is_due)[:limit]
        for merchant_id in due:
            tables.webhook_streams.put(merchant_id, row=False)
            last, now = tables.event_counters.rows[merchant_id], tables.clock.now()
            for id, row in list(self._endpoints.rows.items()):
                is_of_merchant = row.endpoint.merchant_id == merchant_id
                if is_of_merchant and row.deleted_at is None and row.target < last:
                    is_behind = row.endpoint.position < row.target
                    target_at = row.target_at if is_behind else now
                    self._endpoints.put(id, replace(row, target=last, target_at=target_at))
        return len(due)

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[EndpointClaim]:
        now, live_workers = self.session.tables.clock.now(), self.session.tables.live_workers
        due: list[tuple[bool, datetime, UUID]] = []
        for id, row in self._endpoints.rows.items():
            if row.due_at is None:
                continue
            is_worker_alive = row.claimed_by is None or row.claimed_by in live_workers
            if not is_worker_alive or row.due_at <= now - overdue_by:
                due.append((is_worker_alive, row.due_at, id))
        claims: list[EndpointClaim] = []
        for _, _, id in sorted(due)[:limit]:
            row = self._endpoints.rows[id]
            claimed = replace(
                row,
                claim=row.claim + 1,
                claimed_until=now + lease,
                claimed_by=worker_id if worker_id in live_workers else None,
            )
            self._endpoints.put(id, claimed)
            secrets = EndpointSecrets(row.secret, row.get_former_secret(now))
            claims.append(
                EndpointClaim(
                    row.endpoint,
                    secrets,
                    claimed.claim,
                    row.target,
                    row.health,
                    now,
                    row.replays,
                )
            )
        return claims

    def list_retries(self, claim: EndpointClaim, limit: int) -> Sequence[DueDelivery]:
        now = self.session.tables.clock.now()
        pending = [
            row
            for row in self._list_rows(claim.endpoint.id)
            if row.delivery.next_attempt_at is not None
        ]
        if claim.endpoint.is_ordered:
            pending.sort(key=lambda row: row.delivery.sequence)
            pending = pending[:1]
        else:
            pending = [row for row in pending if (row.delivery.next_attempt_at or now) <= now]
            pending.sort(key=lambda row: row.delivery.next_attempt_at or now)
        return [_build_due(row) for row in pending[:limit]]

    def list_new(
        self, claim: EndpointClaim, events: Sequence[StreamEvent]
    ) -> Sequence[DueDelivery]:
        due: list[DueDelivery] = []
        for event in events:
            url = claim.endpoint.url or self._find_payment_url(event.event.payment_id)
            if url is None:
                continue
            known = self._deliveries.rows.get((claim.endpoint.id, event.sequence))
            is_new = known is None or known.delivery.status is DeliveryStatus.SUCCEEDED
            retries = 0 if known is None or is_new else known.retries
            due.append(DueDelivery(event.id, event.sequence, url, retries))
        return due

    def record(self, record: RoundRecord) -> bool:
        claim, now = record.claim, self.session.tables.clock.now()
        row = self._endpoints.rows.get(claim.endpoint.id)
        if row is None or row.deleted_at is not None or row.claim != claim.number:
            return False
        for outcome in record.outcomes:
            self._record_outcome(claim, outcome, now)
        is_current = row.replays == claim.replays
        health = record.health if is_current else record.health._replace(paused_until=None)
        pending = [
            each.delivery.next_attempt_at
            for each in self._list_rows(claim.endpoint.id)
            if each.delivery.next_attempt_at is not None
        ]
        position = record.position if is_current else row.endpoint.position
        changed = replace(
            row,
            endpoint=replace(row.endpoint, position=position),
            retry_at=min(pending, default=None),
            claimed_until=None,
            claimed_by=None,
            target_at=now,
            health=health,
        )
        self._endpoints.put(claim.endpoint.id, changed)
        return True

    def list(
        self, endpoint_id: UUID, filters: DeliveryFilter, limit: int, after: Position | None
    ) -> Sequence[Delivery]:
        end = Position(filters.created_to or MAX_TIME, MIN_ID)
        start = end if after is None else min(after, end)
        found = [
            row.delivery
            for row in self._list_rows(endpoint_id)
            if (row.delivery.created_at, row.delivery.id) < start
            and row.delivery.created_at >= (filters.created_from or MIN_TIME)
            and (not filters.statuses or row.delivery.status in filters.statuses)
            and row.delivery.type in (filters.types or STREAM_TYPES)
        ]
        found.sort(key=lambda delivery: (delivery.created_at, delivery.id), reverse=True)
        return found[:limit]

    def get(self, merchant_id: UUID, delivery_id: UUID) -> Delivery | None:
        row = self._find(merchant_id, delivery_id)
        return row.delivery if row else None

    def list_attempts(self, delivery_id: UUID, limit: int) -> Sequence[DeliveryAttempt]:
        return self.session.tables.webhook_attempts.rows.get(delivery_id, ())[-limit:]

    def retry(self, merchant_id: UUID, delivery_id: UUID) -> Delivery | None:
        row, now = self._find(merchant_id, delivery_id), self.session.tables.clock.now()
        if row is None:
            return None
        endpoint = self._endpoints.rows[row.delivery.endpoint_id]
        if endpoint.endpoint.status is EndpointStatus.DISABLED:
            return None
        delivery = replace(
            row.delivery, status=DeliveryStatus.PENDING, next_attempt_at=now, updated_at=now
        )
        retries = 0
        if endpoint.endpoint.is_ordered:
            is_waited_for = row.delivery.status is DeliveryStatus.PENDING
            retries = row.retries if is_waited_for else len(RETRY_DELAYS)
        self._deliveries.put(
            (delivery.endpoint_id, delivery.sequence), DeliveryRow(delivery, retries)
        )
        retry_at = min(endpoint.retry_at or now, now)
        health = endpoint.health._replace(paused_until=None)
        self._endpoints.put(
            delivery.endpoint_id, replace(endpoint, retry_at=retry_at, health=health)
        )
        return delivery

    def measure(self, max_counted: int) -> WebhookBacklog:
        return measure_backlog(self.session.tables, max_counted)

    def purge(self, before: datetime, limit: int) -> int:
        long_ago = self.session.tables.clock.now() - DELETION_PERIOD
        deleted = {
            id
            for id, row in self._endpoints.rows.items()
            if row.deleted_at is not None and row.deleted_at < long_ago
        }
        purged = [
            key
            for key, row in self._deliveries.rows.items()
            if row.delivery.endpoint_id in deleted
            or (row.delivery.next_attempt_at is None and row.delivery.updated_at < before)
        ][:limit]
        for key in purged:
            delivery_id = self._deliveries.rows[key].delivery.id
            self.session.tables.webhook_attempts.remove(delivery_id)
            self._deliveries.remove(key)
        used = {endpoint_id for endpoint_id, _ in self._deliveries.rows}
        for id in deleted - used:
            self._endpoints.remove(id)
        return len(purged)

    def _record_outcome(
        self, claim: EndpointClaim, outcome: DeliveryOutcome, now: datetime
    ) -> None:
        due, result, endpoint = outcome.due, outcome.result, claim.endpoint
        key = (endpoint.id, due.sequence)
        known = self._deliveries.rows.get(key)
        delivery = Delivery(
            id=known.delivery.id if known else uuid4(),
            endpoint_id=endpoint.id,
            merchant_id=endpoint.merchant_id,
            event_id=due.event_id,
            sequence=due.sequence,
            type=outcome.type,
            url=due.url,
            status=outcome.status,
            attempts=known.delivery.attempts + 1 if known else 1,
            next_attempt_at=outcome.next_attempt_at,
            created_at=known.delivery.created_at if known else now,
            updated_at=now,
        )
        retries = 0 if result.is_success else due.retries + 1
        self._deliveries.put(key, DeliveryRow(delivery, retries))
        attempts = self.session.tables.webhook_attempts
        attempt = DeliveryAttempt(
            delivery.attempts,
            outcome.at,
            result.status_code,
            result.duration_ms,
            result.error,
            result.response,
        )
        attempts.put(delivery.id, (*attempts.rows.get(delivery.id, ()), attempt))

    def _find_payment_url(self, payment_id: UUID | None) -> str | None:
        if payment_id is None:
            return None
        return self.session.tables.payments.rows[payment_id].item.webhook_url

    def _list_rows(self, endpoint_id: UUID) -> Sequence[DeliveryRow]:
        rows = self._deliveries.rows.values()
        return [row for row in rows if row.delivery.endpoint_id == endpoint_id]

    def _find(self, merchant_id: UUID, delivery_id: UUID) -> DeliveryRow | None:
        for row in self._deliveries.rows.values():
            delivery = row.delivery
            if (delivery.id, delivery.merchant_id) == (delivery_id, merchant_id):
                is_deleted = self._endpoints.rows[delivery.endpoint_id].deleted_at is not None
                return None if is_deleted else row
        return None


def _build_due(row: DeliveryRow) -> DueDelivery:
    delivery = row.delivery
    return DueDelivery(delivery.event_id, delivery.sequence, delivery.url, row.retries)
