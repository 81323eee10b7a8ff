"""Webhook endpoints in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from atomic_adapters.memory.tables import EndpointRow, MemorySession, Table
from atomic_core.domain.webhooks import (
    EndpointChange,
    EndpointStatus,
    Health,
    NewEndpoint,
    WebhookEndpoint,
)


@dataclass(frozen=True, slots=True)
class MemoryWebhookEndpointRepository:
    session: MemorySession

    @property
    def _rows(self) -> Table[UUID, EndpointRow]:
        return self.session.tables.webhook_endpoints

    def mark_streams_due(self, merchant_ids: Iterable[UUID]) -> None:
        streams = self.session.tables.webhook_streams
        for merchant_id in merchant_ids:
            if merchant_id in streams.rows:
                streams.put(merchant_id, row=True)

    def add(self, new_endpoint: NewEndpoint) -> WebhookEndpoint | None:
        tables, merchant_id = self.session.tables, new_endpoint.merchant_id
        if new_endpoint.url is None and self.get_default(merchant_id):
            return None
        if merchant_id not in tables.webhook_streams.rows:
            tables.webhook_streams.put(merchant_id, row=False)
        now, position = tables.clock.now(), tables.event_counters.rows.get(merchant_id, 0)
        endpoint = WebhookEndpoint(
            id=new_endpoint.id,
            merchant_id=merchant_id,
            url=new_endpoint.url,
            event_types=new_endpoint.event_types,
            description=new_endpoint.description,
            is_ordered=new_endpoint.is_ordered,
            status=EndpointStatus.ENABLED,
            disabled_reason=None,
            position=position,
            created_at=now,
            updated_at=now,
        )
        row = EndpointRow(endpoint, new_endpoint.encrypted_secret, position, now)
        self._rows.put(endpoint.id, row)
        return endpoint

    def list(self, merchant_id: UUID) -> Sequence[WebhookEndpoint]:
        rows = [row for row in self._rows.rows.values() if row.deleted_at is None]
        endpoints = [row.endpoint for row in rows if row.endpoint.merchant_id == merchant_id]
        return sorted(endpoints, key=lambda endpoint: endpoint.id)

    def get(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint | None:
        row = self._rows.rows.get(endpoint_id)
        is_found = row and row.deleted_at is None and row.endpoint.merchant_id == merchant_id
        return row.endpoint if row and is_found else None

    def get_default(self, merchant_id: UUID) -> WebhookEndpoint | None:
        return next((each for each in self.list(merchant_id) if each.url is None), None)

    def lock(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint | None:
        return self.get(merchant_id, endpoint_id)

    def change(self, endpoint_id: UUID, change: EndpointChange) -> WebhookEndpoint:
        row = self._rows.rows[endpoint_id]
        old = row.endpoint
        status = change.status or old.status
        changed = replace(
            old,
            url=old.url if change.url is None else change.url,
            event_types=old.event_types if change.event_types is None else change.event_types,
            description=old.description if change.description is None else change.description,
            is_ordered=old.is_ordered if change.is_ordered is None else change.is_ordered,
            status=status,
            disabled_reason=change.disabled_reason if change.status else old.disabled_reason,
            updated_at=self.session.tables.clock.now(),
        )
        health = Health() if change.status is EndpointStatus.ENABLED else row.health
        self._rows.put(endpoint_id, replace(row, endpoint=changed, health=health))
        return changed

    def get_secrets(self, endpoint_id: UUID) -> Sequence[bytes]:
        row = self._rows.rows[endpoint_id]
        former = row.get_former_secret(self.session.tables.clock.now())
        return [row.secret] if former is None else [row.secret, former]

    def rotate_secret(self, endpoint_id: UUID, encrypted_secret: bytes, overlap: timedelta) -> None:
        row, now = self._rows.rows[endpoint_id], self.session.tables.clock.now()
        changed = replace(
            row,
            endpoint=replace(row.endpoint, updated_at=now),
            secret=encrypted_secret,
            former_secret=row.secret,
            former_secret_until=now + overlap,
        )
        self._rows.put(endpoint_id, changed)

    def replay(self, endpoint_id: UUID, position: int) -> None:
        row = self._rows.rows[endpoint_id]
        changed = replace(
            row,
            endpoint=replace(row.endpoint, position=position),
            replays=row.replays + 1,
            target_at=self.session.tables.clock.now(),
            health=row.health._replace(paused_until=None),
        )
        self._rows.put(endpoint_id, changed)

    def delete(self, endpoint_id: UUID) -> None:
        row, now = self._rows.rows[endpoint_id], self.session.tables.clock.now()
        self._rows.put(endpoint_id, replace(row, deleted_at=now))
