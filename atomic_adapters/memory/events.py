"""Events in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from atomic_adapters.memory.tables import EventRow, MemorySession
from atomic_core.domain.events import (
    Event,
    EventFilter,
    EventSubject,
    RecordedEvent,
    StreamEvent,
    build_data,
    is_in_stream,
)
from atomic_core.domain.webhooks import EndpointStatus


@dataclass(frozen=True, slots=True)
class MemoryEventRepository:
    session: MemorySession
    _added: list[Event] = field(default_factory=list)

    def add(self, events: Sequence[Event]) -> None:
        self._added.extend(events)

    def flush(self) -> Sequence[UUID]:
        """Store what was added; return the merchants whose streams have grown. The unit of work
        calls it directly before its commit."""
        grown = {event.merchant_id for event in self._added if is_in_stream(event)}
        tables = self.session.tables
        for event in self._added:
            now = tables.clock.now()
            in_stream = self._continue_stream(event, now) if is_in_stream(event) else None
            # Not their number: events are deleted.
            key = max(tables.events.rows, default=0) + 1
            tables.events.put(key, EventRow(event, now, in_stream))
        self._added.clear()
        return sorted(grown)

    def _continue_stream(self, event: Event, now: datetime) -> StreamEvent:
        tables = self.session.tables
        sequence = tables.event_counters.rows.get(event.merchant_id, 0) + 1
        tables.event_counters.put(event.merchant_id, sequence)
        return StreamEvent(event, uuid4(), sequence, now)

    def _build_data(self, event: Event) -> Mapping[str, object]:
        if event.data is not None or event.payment_id is None:
            return event.data or {}
        tables = self.session.tables
        payment = tables.payments.rows[event.payment_id].item
        if event.refund_id:
            refund = tables.refunds.rows[event.refund_id].item
            money, metadata, reason = refund.money, refund.metadata, refund.reason
        else:
            money, metadata, reason = payment.money, payment.metadata, payment.cancellation_reason
        subject = EventSubject(money.amount, money.currency, metadata, reason, payment.fee)
        return build_data(event, subject)

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[RecordedEvent]:
        rows = self.session.tables.events.rows.values()
        recorded = [
            RecordedEvent(row.event, row.at) for row in rows if row.event.payment_id == payment_id
        ]
        return recorded[:limit]

    def list_stream(
        self, merchant_id: UUID, filters: EventFilter, limit: int, *, is_oldest_first: bool
    ) -> Sequence[StreamEvent]:
        rows = self.session.tables.events.rows.values()
        events = [
            row.in_stream
            for row in rows
            if row.in_stream and _is_listed(row.in_stream, merchant_id, filters)
        ]
        events.sort(key=lambda event: event.sequence, reverse=not is_oldest_first)
        return [self._add_data(event) for event in events[:limit]]

    def get(self, merchant_id: UUID, event_id: UUID) -> StreamEvent | None:
        for row in self.session.tables.events.rows.values():
            found = row.in_stream
            if found and (found.event.merchant_id, found.id) == (merchant_id, event_id):
                return self._add_data(found)
        return None

    def _add_data(self, event: StreamEvent) -> StreamEvent:
        data = self._build_data(event.event)
        return event._replace(event=event.event._replace(data=data))

    def list_purgeable(self, before: datetime, limit: int) -> Sequence[UUID]:
        merchant_ids = self.session.tables.event_counters.rows
        return [id for id in merchant_ids if self._list_purgeable_keys(id, before)][:limit]

    def purge_stream(self, merchant_id: UUID, before: datetime, limit: int) -> int:
        return self._remove(self._list_purgeable_keys(merchant_id, before)[:limit])

    def purge_timelines(self, before: datetime, limit: int) -> int:
        rows = self.session.tables.events.rows
        keys = [key for key, row in rows.items() if row.in_stream is None and row.at < before]
        return self._remove(keys[:limit])

    def _list_purgeable_keys(self, merchant_id: UUID, before: datetime) -> Sequence[int]:
        tables = self.session.tables
        needed = [tables.event_counters.rows[merchant_id]]
        for row in tables.webhook_endpoints.rows.values():
            endpoint = row.endpoint
            if endpoint.merchant_id != merchant_id:
                continue
            if endpoint.status is EndpointStatus.ENABLED and row.deleted_at is None:
                needed.append(endpoint.position + 1)
            deliveries = tables.webhook_deliveries.rows
            needed += [sequence for id, sequence in deliveries if id == endpoint.id]
        keys: list[int] = []
        for key, row in tables.events.rows.items():
            if row.in_stream is None or row.event.merchant_id != merchant_id:
                continue
            if row.at >= before or row.in_stream.sequence >= min(needed):
                break
            keys.append(key)
        return keys

    def _remove(self, keys: Sequence[int]) -> int:
        for key in keys:
            self.session.tables.events.remove(key)
        return len(keys)

    def get_last_sequences(self, merchant_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        counters = self.session.tables.event_counters.rows
        return {id: counters[id] for id in merchant_ids if id in counters}

    def count(self) -> int:
        return sum(self.session.tables.event_counters.rows.values())


def _is_listed(listed: StreamEvent, merchant_id: UUID, filters: EventFilter) -> bool:
    event = listed.event
    return (
        event.merchant_id == merchant_id
        and (not filters.types or event.type in filters.types)
        and filters.payment_id in (None, event.payment_id)
        and listed.sequence > (filters.after or 0)
        and (filters.before is None or listed.sequence < filters.before)
    )
