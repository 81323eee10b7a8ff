"""The repository of payment events."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.events import PaymentEvent, RecordedEvent


class EventRepository(Protocol):
    def add(self, events: Sequence[PaymentEvent]) -> None:
        """Keep for ever what happened, as of now."""
        ...

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[RecordedEvent]:
        """The first `limit` of what happened to a payment, in order."""
        ...
