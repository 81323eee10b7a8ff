"""The repository of payment events."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.events import PaymentEvent, RecordedEvent


class EventRepository(Protocol):
    def add(self, events: Sequence[PaymentEvent]) -> None:
        """Append the events, with the current time of the database."""
        ...

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[RecordedEvent]:
        """The first `limit` events of a payment and its refunds, oldest first."""
        ...
