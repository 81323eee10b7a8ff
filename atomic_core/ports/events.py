"""The repository of payment events."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.events import PaymentEvent, Recorded


class EventRepository(Protocol):
    def add(self, events: Sequence[PaymentEvent]) -> None:
        """Keep for ever what happened, as of now."""
        ...

    def of_payment(self, payment_id: UUID, limit: int) -> Sequence[Recorded]:
        """The first `limit` of what happened to a payment, in order."""
        ...
