"""The stream of a merchant's events."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import EventsPurged, NotFound, Unauthorized
from atomic_core.domain.events import EventFilter, StreamEvent, StreamRead
from atomic_core.domain.lists import Page
from atomic_core.domain.merchants import Caller
from atomic_core.ports.event_reader import EventReader
from atomic_core.ports.event_signal import EventSignal
from atomic_core.ports.unit_of_work import UnitOfWorkFactory

MAX_TAILED_MERCHANTS: Final = 10_000
"""Their counters are read by one statement of a few milliseconds."""


@dataclass(frozen=True, slots=True)
class ListEvents:
    """A page of the caller's stream. If it is empty, wait up to `wait_seconds` for its first event.

    The API key is checked together with each read, so that a key which is revoked meanwhile reads
    nothing. Raises Unauthorized; EventsPurged if events after the given number are not kept any
    more; and while waiting TooManyWaiting and WaitingPlacesTaken.
    """

    reader: EventReader
    signal: EventSignal

    def __call__(
        self,
        caller: Caller,
        filters: EventFilter,
        limit: int,
        *,
        is_oldest_first: bool,
        wait_seconds: float = 0,
    ) -> Page[StreamEvent]:
        read = StreamRead(
            caller.merchant_id, filters, limit + 1, is_oldest_first, key_id=caller.key_id
        )
        deadline = time.monotonic() + wait_seconds
        events = self._read(read)
        self._require_kept(read, events)
        last_sequence = filters.after or 0
        while not events and (seconds_left := deadline - time.monotonic()) > 0:
            previous = last_sequence
            last_sequence = self.signal.wait(caller.merchant_id, previous, seconds_left)
            # Read also if the stream has not grown: the signal may have missed its growth.
            events = self._read(read)
            if events:
                self._require_kept(read, events)
            if last_sequence == previous:
                break
        return Page(events[:limit], has_more=len(events) > limit)

    def _require_kept(self, read: StreamRead, events: Sequence[StreamEvent]) -> None:
        """Raises EventsPurged if events after `after` were purged: a reader that relies on the
        order of numbers must not pass over them silently. The last event is always kept, so a
        stream that was purged has a first one."""
        after = read.filters.after
        if after is None or (read.is_oldest_first and events and events[0].sequence == after + 1):
            return
        first = self._read(read._replace(filters=EventFilter(), limit=1, is_oldest_first=True))
        if first and after + 1 < first[0].sequence:
            oldest = first[0].sequence
            raise EventsPurged(
                details={"after": [f"Must be {oldest - 1} or more."]},
                facts={"minimum": oldest - 1},
            )

    def _read(self, read: StreamRead) -> Sequence[StreamEvent]:
        events = self.reader.read(read)
        if events is None:
            raise Unauthorized
        return events


@dataclass(frozen=True, slots=True)
class GetEvent:
    """An event of this merchant's stream. Raises NotFound, also for another merchant's event."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, event_id: UUID) -> StreamEvent:
        with self.begin() as work:
            event = work.events.get(merchant_id, event_id)
        if event is None:
            raise NotFound("No event has this id.")
        return event


@dataclass(frozen=True, slots=True)
class GetLastSequences:
    """The last sequence number of the stream of each merchant that has one: of one merchant, or of
    the latest MAX_TAILED_MERCHANTS. Raises NotFound if the given merchant does not exist."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID | None = None) -> dict[UUID, int]:
        with self.begin() as work:
            if merchant_id is None:
                merchants = work.admin_queries.list_merchants(MAX_TAILED_MERCHANTS)
                merchant_ids = [merchant.id for merchant in merchants]
            elif work.merchants.get(merchant_id) is None:
                raise NotFound("No merchant has this id.")
            else:
                merchant_ids = [merchant_id]
            return dict(work.events.get_last_sequences(merchant_ids))


@dataclass(frozen=True, slots=True)
class CountEvents:
    """How many events the streams of all merchants have had. Raises StorageUnavailable."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        with self.begin() as work:
            return work.events.count()


@dataclass(frozen=True, slots=True)
class TailStream:
    """The first events of a merchant's stream after a sequence number, for operators."""

    reader: EventReader

    def __call__(self, merchant_id: UUID, after: int, limit: int) -> Sequence[StreamEvent]:
        filters = EventFilter(after=after)
        read = StreamRead(merchant_id, filters, limit, is_oldest_first=True)
        return self.reader.read(read) or []
