"""Payment events in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.events import PaymentEvent, RecordedEvent


@dataclass(frozen=True, slots=True)
class MemoryEventRepository:
    session: MemorySession

    def add(self, events: Sequence[PaymentEvent]) -> None:
        tables = self.session.tables
        for event in events:
            key = (event.payment_id, len(tables.events.rows))
            tables.events.put(key, RecordedEvent(event, tables.clock.now()))

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[RecordedEvent]:
        rows = sorted(self.session.tables.events.rows.items(), key=lambda item: item[0][1])
        return [recorded for (id, _), recorded in rows if id == payment_id][:limit]
