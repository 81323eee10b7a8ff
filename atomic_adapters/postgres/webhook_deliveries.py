"""Webhook deliveries, and the claims of endpoints, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.arrays import (
    bigint_array,
    integer_array,
    text_array,
    timestamp_array,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.postgres.webhook_endpoints import build_endpoint, lock_stream
from atomic_core.domain.events import STREAM_TYPES, EventType, StreamEvent
from atomic_core.domain.lists import MAX_TIME, MIN_ID, MIN_TIME, Position
from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.domain.webhooks import (
    RETRY_DELAYS,
    Delivery,
    DeliveryAttempt,
    DeliveryFilter,
    DeliveryStatus,
    DisabledReason,
    DueDelivery,
    EndpointClaim,
    EndpointSecrets,
    Health,
    RoundRecord,
)

_SQL: Final = load_statements("webhook_deliveries")


@dataclass(frozen=True, slots=True)
class PostgresWebhookDeliveryRepository:
    session: DatabaseSession

    def plan(self, limit: int) -> int:
        streams = self.session.fetch_all(_SQL["plan_streams"], limit=limit)
        if streams:
            self.session.execute(
                _SQL["make_endpoints_due"],
                merchant_ids=uuid_array(merchant_id for merchant_id, _ in streams),
                sequences=bigint_array(sequence for _, sequence in streams),
            )
        return len(streams)

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[EndpointClaim]:
        rows = self.session.fetch_all(
            _SQL["claim_endpoints"],
            limit=limit,
            lease=lease,
            overdue_by=overdue_by,
            worker_id=worker_id,
        )
        return [_build_claim(row) for row in rows]

    def list_retries(self, claim: EndpointClaim, limit: int) -> Sequence[DueDelivery]:
        endpoint = claim.endpoint
        if endpoint.is_ordered:
            rows = self.session.fetch_all(_SQL["list_first_pending"], endpoint_id=endpoint.id)
        else:
            rows = self.session.fetch_all(
                _SQL["list_retries"], endpoint_id=endpoint.id, limit=limit
            )
        return [DueDelivery(*row) for row in rows]

    def list_new(
        self, claim: EndpointClaim, events: Sequence[StreamEvent]
    ) -> Sequence[DueDelivery]:
        if not events:
            return []
        urls = self._find_urls(claim, events)
        sequences = bigint_array(event.sequence for event in events)
        rows = self.session.fetch_all(
            _SQL["list_failures"], endpoint_id=claim.endpoint.id, sequences=sequences
        )
        failures = dict(rows)
        return [
            DueDelivery(event.id, event.sequence, url, failures.get(event.sequence, 0))
            for event in events
            if (url := urls.get(event.id)) is not None
        ]

    def _find_urls(
        self, claim: EndpointClaim, events: Sequence[StreamEvent]
    ) -> dict[UUID, str | None]:
        if claim.endpoint.url is not None:
            return {event.id: claim.endpoint.url for event in events}
        payment_ids = {event.event.payment_id for event in events if event.event.payment_id}
        by_payment = dict(
            self.session.fetch_all(_SQL["list_payment_urls"], payment_ids=uuid_array(payment_ids))
        )
        return {
            event.id: by_payment.get(event.event.payment_id)
            for event in events
            if event.event.payment_id
        }

    def record(self, record: RoundRecord) -> bool:
        claim, outcomes = record.claim, record.outcomes
        endpoint = claim.endpoint
        if record.disabled_reason is not None:
            # Before the endpoint, as `plan` does.
            lock_stream(self.session, endpoint.merchant_id)
        locked = self.session.fetch_optional(
            _SQL["lock_claimed_endpoint"], id=endpoint.id, claim=claim.number
        )
        if locked is None:
            return False
        if outcomes:
            self.session.execute(
                _SQL["record_deliveries"],
                endpoint_id=endpoint.id,
                merchant_id=endpoint.merchant_id,
                event_ids=uuid_array(outcome.due.event_id for outcome in outcomes),
                sequences=bigint_array(outcome.due.sequence for outcome in outcomes),
                types=text_array(outcome.type for outcome in outcomes),
                urls=text_array(outcome.due.url for outcome in outcomes),
                statuses=text_array(outcome.status for outcome in outcomes),
                retries=integer_array(
                    0 if outcome.result.is_success else outcome.due.retries + 1
                    for outcome in outcomes
                ),
                next_attempts_at=timestamp_array(outcome.next_attempt_at for outcome in outcomes),
                times=timestamp_array(outcome.at for outcome in outcomes),
                status_codes=integer_array(outcome.result.status_code for outcome in outcomes),
                durations=integer_array(outcome.result.duration_ms for outcome in outcomes),
                errors=text_array(outcome.result.error for outcome in outcomes),
                # PostgreSQL stores no U+0000.
                responses=text_array(
                    outcome.result.response.replace("\0", "\ufffd") for outcome in outcomes
                ),
            )
        self.session.execute(
            _SQL["release_endpoint"],
            id=endpoint.id,
            replays=claim.replays,
            position=record.position,
            consecutive_failures=record.health.consecutive_failures,
            failing_since=record.health.failing_since,
            paused_until=record.health.paused_until,
        )
        return True

    def list(
        self, endpoint_id: UUID, filters: DeliveryFilter, limit: int, after: Position | None
    ) -> Sequence[Delivery]:
        end = Position(filters.created_to or MAX_TIME, MIN_ID)
        start = end if after is None else min(after, end)
        parameters: dict[str, Any] = {
            "endpoint_id": endpoint_id,
            "before_at": start.created_at,
            "before_id": start.id,
            "created_from": filters.created_from or MIN_TIME,
            "limit": limit,
        }
        if filters.statuses:
            parameters["statuses"] = text_array(filters.statuses)
            parameters["types"] = text_array(filters.types or STREAM_TYPES)
            rows = self.session.fetch_all(_SQL["list_deliveries_by_status"], **parameters)
        elif filters.types:
            parameters["types"] = text_array(filters.types)
            rows = self.session.fetch_all(_SQL["list_deliveries_by_type"], **parameters)
        else:
            rows = self.session.fetch_all(_SQL["list_deliveries"], **parameters)
        return [_build_delivery(*row) for row in rows]

    def get(self, merchant_id: UUID, delivery_id: UUID) -> Delivery | None:
        row = self.session.fetch_optional(
            _SQL["get_delivery"], id=delivery_id, merchant_id=merchant_id
        )
        return _build_delivery(*row) if row else None

    def list_attempts(self, delivery_id: UUID, limit: int) -> Sequence[DeliveryAttempt]:
        rows = self.session.fetch_all(_SQL["list_attempts"], delivery_id=delivery_id, limit=limit)
        return [DeliveryAttempt(*row) for row in rows]

    def retry(self, merchant_id: UUID, delivery_id: UUID) -> Delivery | None:
        locked = self.session.fetch_optional(
            _SQL["lock_endpoint_of_delivery"], id=delivery_id, merchant_id=merchant_id
        )
        if locked is None:
            return None
        (is_ordered,) = locked
        row = self.session.fetch_one(
            _SQL["retry_delivery"],
            id=delivery_id,
            is_ordered=is_ordered,
            last_retry=len(RETRY_DELAYS),
        )
        return _build_delivery(*row)

    def measure(self, max_counted: int) -> WebhookBacklog:
        row = self.session.fetch_one(_SQL["measure_backlog"], limit=max_counted)
        *counts, requested, gone, failing = row
        disabled = {
            DisabledReason.REQUESTED: requested,
            DisabledReason.GONE: gone,
            DisabledReason.FAILING: failing,
        }
        return WebhookBacklog(*counts, disabled=disabled)

    def purge(self, before: datetime, limit: int) -> int:
        purged = self.session.execute(_SQL["purge_deliveries"], before=before, limit=limit)
        if purged < limit:
            purged += self.session.execute(_SQL["purge_deleted_deliveries"], limit=limit - purged)
        if purged < limit:
            self.session.execute(_SQL["purge_deleted_endpoints"])
        return purged


def _build_claim(row: Sequence[Any]) -> EndpointClaim:
    endpoint, rest = build_endpoint(*row[:11]), row[11:]
    secret, former, number, target, failures, failing_since, paused_until, at, replays = rest
    return EndpointClaim(
        endpoint,
        EndpointSecrets(bytes(secret), former and bytes(former)),
        number,
        target,
        Health(failures, failing_since, paused_until),
        at,
        replays,
    )


def _build_delivery(
    id: UUID, endpoint_id: UUID, merchant_id: UUID, event_id: UUID, *details: Any
) -> Delivery:
    """From the columns of fragments/webhook_delivery_columns.sql."""
    sequence, type, url, status, attempts, next_attempt_at, created_at, updated_at = details
    return Delivery(
        id,
        endpoint_id,
        merchant_id,
        event_id,
        sequence,
        EventType(type),
        url,
        DeliveryStatus(status),
        attempts,
        next_attempt_at,
        created_at,
        updated_at,
    )
