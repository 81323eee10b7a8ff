"""The repository of events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from atomic_core.domain.events import Event, EventFilter, RecordedEvent, StreamEvent


class EventRepository(Protocol):
    def add(self, events: Sequence[Event]) -> None:
        """Append the events at the end of this unit of work, in its commit, with the database's
        time and with what they are about as it then is.

        The commit locks the stream of each merchant, in merchant order, after every other lock:
        the order of sequence numbers is the order of commits.
        """
        ...

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[RecordedEvent]:
        """The first `limit` events of a payment and its refunds, oldest first."""
        ...

    def list_stream(
        self, merchant_id: UUID, filters: EventFilter, limit: int, *, is_oldest_first: bool
    ) -> Sequence[StreamEvent]:
        """Up to `limit` events of the merchant's stream, in or against the order of sequence
        numbers."""
        ...

    def get(self, merchant_id: UUID, event_id: UUID) -> StreamEvent | None:
        """An event of the merchant's stream."""
        ...

    def list_purgeable(self, before: datetime, limit: int) -> Sequence[UUID]:
        """Merchants whose stream begins with an event from before this time that nothing needs."""
        ...

    def purge_stream(self, merchant_id: UUID, before: datetime, limit: int) -> int:
        """Delete up to `limit` events from before this time at the beginning of a stream; returns
        how many. Kept are its last event, those that an enabled webhook endpoint has not passed,
        and those from the first one on of which an endpoint has a delivery."""
        ...

    def purge_timelines(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` events from before this time that are of timelines only; returns how
        many."""
        ...

    def get_last_sequences(self, merchant_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """The last sequence number of each merchant's stream; without merchants that have no
        event."""
        ...

    def count(self) -> int:
        """How many events all streams have had, also those that were purged. Never decreases."""
        ...
