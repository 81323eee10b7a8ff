"""Payment events in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.origins import build_origin, build_origin_arrays
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.events import PaymentEvent, PaymentEventType, RecordedEvent
from atomic_core.domain.payments import Status

_SQL: Final = load_statements("events")


@dataclass(frozen=True, slots=True)
class PostgresEventRepository:
    session: DatabaseSession

    def add(self, events: Sequence[PaymentEvent]) -> None:
        if not events:
            return
        self.session.execute(
            _SQL["insert_payment_events"],
            payment_ids=[event.payment_id for event in events],
            refund_ids=[event.refund_id for event in events],
            events=[event.type.value for event in events],
            statuses=[event.status.value for event in events],
            attempts=[event.attempt for event in events],
            amounts=[event.amount for event in events],
            reasons=[event.reason for event in events],
            **build_origin_arrays([event.origin for event in events]),
        )

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[RecordedEvent]:
        rows = self.session.fetch_all(
            _SQL["list_events_by_payment"], payment_id=payment_id, limit=limit
        )
        return [
            RecordedEvent(
                PaymentEvent(
                    id,
                    PaymentEventType(event),
                    Status(status),
                    refund_id,
                    attempt,
                    amount,
                    reason,
                    build_origin(*origin),
                ),
                at,
            )
            for at, id, event, status, refund_id, attempt, amount, reason, *origin in rows
        ]
