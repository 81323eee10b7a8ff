"""Waking those who wait for events.

One thread per process reads the counters of all streams that are waited for, and only while there
are waits. In the API, whose threads are greenlets, a wait costs a few kilobytes.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from atomic_core.domain.errors import AtomicError, TooManyWaiting, WaitingPlacesTaken
from atomic_core.domain.events import EventFilter, StreamEvent
from atomic_core.ports.unit_of_work import UnitOfWorkFactory

POLL_SECONDS: Final = 0.2
"""Between two reads of the counters. A payment takes tens of milliseconds to settle and a request
as long to answer, so an event arrives well within half a second; five reads per second and process
are a fraction of a percent of a core of PostgreSQL."""

EAGER_SECONDS: Final = 1.0
"""A payment or refund is settled within this time after its request, unless workers lag behind."""

EAGER_POLL_SECONDS: Final = 0.005
"""Between two reads while a watch is younger than EAGER_SECONDS."""

IDLE_PER_READ: Final = 9
"""The pause is at least this many times as long as the read before it, so that reading takes a
tenth of the time at most, however slow the database is."""

EVENTS_PER_READ: Final = 200
"""Of one merchant; further ones are in the next read."""

PROCESS_SHARE: Final = 0.6
"""Waits may hold this part of a process's client connections, which cannot be evicted meanwhile.
The others, 400 by default, remain for requests that do something."""

MERCHANT_SHARE: Final = 0.5
"""One merchant may hold this part of the waits of a process, 300 by default: more consumers than a
merchant runs, and two merchants must misuse the API at once before others are refused."""

STOPPING_SECONDS: Final = 0.5
"""The longest wait in a process that stops. Above 0, so that clients which repeat their request
while it drains its connections do not do so without a pause."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Waiter:
    last_sequence: int
    """The last one that the waiter knows."""
    wake_up: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True, eq=False)
class _Watch:
    """A `SubjectWatch` port."""

    subject_id: UUID
    signal: "PollingEventSignal"
    started_at: float = field(default_factory=time.monotonic)
    is_fresh: bool = True
    """Whether no read has ended that began after the watch did."""
    wake_up: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> bool:
        is_woken = self.wake_up.wait(self.signal.limit_wait(seconds))
        self.wake_up.clear()
        return is_woken and not self.signal.is_stopping


class PollingEventSignal:
    """An `EventSignal` port on any store. `begin` must not limit the caller's merchant."""

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        connections: int,
        interval_seconds: float = POLL_SECONDS,
    ) -> None:
        """`connections` is the number of clients that this process serves at once."""
        self._begin = begin
        self._interval_seconds = interval_seconds
        self._max_waiting = max(1, int(connections * PROCESS_SHARE))
        self._max_waiting_per_merchant = max(1, int(self._max_waiting * MERCHANT_SHARE))
        self._waiters: dict[UUID, set[_Waiter]] = {}
        """By merchant, each with at least one."""
        self._watches: dict[UUID, set[_Watch]] = {}
        """By merchant, each with at least one."""
        self._positions: dict[UUID, int] = {}
        """The last event that was read for the watches of a merchant."""
        self._has_new_watch = threading.Event()
        """Ends the pause of the poller."""
        self._waiting = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_stopping = False
        self._is_readable = True

    def wait(self, merchant_id: UUID, after: int, seconds: float) -> int:
        waiter = _Waiter(after)
        self._add(merchant_id, waiter)
        try:
            waiter.wake_up.wait(self.limit_wait(seconds))
        finally:
            self._remove(merchant_id, waiter)
        return waiter.last_sequence

    @contextmanager
    def watch(self, merchant_id: UUID, subject_id: UUID) -> Iterator[_Watch]:
        watch = _Watch(subject_id, self)
        with self._lock:
            self._require_place(merchant_id)
            self._watches.setdefault(merchant_id, set()).add(watch)
            self._start_waiting()
        self._has_new_watch.set()
        try:
            yield watch
        finally:
            with self._lock:
                watches = self._watches[merchant_id]
                watches.remove(watch)
                self._waiting -= 1
                if not watches:
                    del self._watches[merchant_id]
                    self._positions.pop(merchant_id, None)

    def limit_wait(self, seconds: float) -> float:
        return min(seconds, STOPPING_SECONDS) if self.is_stopping else seconds

    def stop(self) -> None:
        self.is_stopping = True
        for waiter in self._list_waiters():
            waiter.wake_up.set()

    def _add(self, merchant_id: UUID, waiter: _Waiter) -> None:
        with self._lock:
            self._require_place(merchant_id)
            self._waiters.setdefault(merchant_id, set()).add(waiter)
            self._start_waiting()

    def _require_place(self, merchant_id: UUID) -> None:
        of_merchant = (self._waiters.get(merchant_id, ()), self._watches.get(merchant_id, ()))
        if sum(map(len, of_merchant)) >= self._max_waiting_per_merchant:
            raise TooManyWaiting
        if self._waiting >= self._max_waiting:
            raise WaitingPlacesTaken

    def _start_waiting(self) -> None:
        self._waiting += 1
        if self._thread is None or not self._thread.is_alive():
            # Started here, not in __init__: threads do not survive a fork. In a context of its
            # own, without the merchant and the log fields of this request.
            self._thread = threading.Thread(
                target=Context().run, args=(self._run,), name="event-signal", daemon=True
            )
            self._thread.start()

    def _remove(self, merchant_id: UUID, waiter: _Waiter) -> None:
        with self._lock:
            waiters = self._waiters[merchant_id]
            waiters.remove(waiter)
            self._waiting -= 1
            if not waiters:
                del self._waiters[merchant_id]

    def _list_waiters(self) -> list[_Waiter | _Watch]:
        with self._lock:
            groups = [*self._waiters.values(), *self._watches.values()]
            return [waiter for group in groups for waiter in group]

    def _run(self) -> None:
        read_seconds = 0.0
        while True:
            self._pause(read_seconds)
            with self._lock:
                merchant_ids = list(self._waiters.keys() | self._watches.keys())
                watches = {id: tuple(group) for id, group in self._watches.items()}
                if not merchant_ids:
                    self._thread = None
                    return
            started_at = time.monotonic()
            last_sequences = self._read_last_sequences(merchant_ids)
            self._wake(last_sequences)
            if last_sequences is not None:
                for merchant_id, group in watches.items():
                    self._wake_watches(merchant_id, group, last_sequences.get(merchant_id, 0))
            read_seconds = time.monotonic() - started_at

    def _pause(self, read_seconds: float) -> None:
        """Short while there is a young watch."""
        least = IDLE_PER_READ * read_seconds
        eager = min(EAGER_POLL_SECONDS, self._interval_seconds)
        with self._lock:
            young_since = time.monotonic() - EAGER_SECONDS
            is_eager = any(
                watch.started_at > young_since
                for watches in self._watches.values()
                for watch in watches
            )
        pause = max(least, eager if is_eager else self._interval_seconds)
        if not is_eager and self._has_new_watch.wait(pause):
            pause = max(least, eager)
            is_eager = True
        self._has_new_watch.clear()
        if is_eager:
            time.sleep(pause)

    def _wake_watches(self, merchant_id: UUID, watches: Sequence[_Watch], last: int) -> None:
        """`watches` are those that had begun before `last` was read."""
        position = self._positions.get(merchant_id)
        subject_ids: set[UUID | None] = set()
        if position is not None and last > position:
            events = self._read_events(merchant_id, position)
            subject_ids = {event.refund_id or event.payment_id for event, *_ in events}
            last = events[-1].sequence if events else position
        with self._lock:
            if merchant_id in self._watches:
                self._positions[merchant_id] = last
        for watch in watches:
            if watch.is_fresh or watch.subject_id in subject_ids:
                watch.is_fresh = False
                watch.wake_up.set()

    def _read_events(self, merchant_id: UUID, after: int) -> Sequence[StreamEvent]:
        """Empty while the storage is unavailable: they are read the next time."""
        try:
            with self._begin() as work:
                return work.events.list_stream(
                    merchant_id, EventFilter(after=after), EVENTS_PER_READ, is_oldest_first=True
                )
        except AtomicError as error:
            _log.warning("events unreadable", problem=error.message)
            return []

    def _read_last_sequences(self, merchant_ids: Sequence[UUID]) -> Mapping[UUID, int] | None:
        """None while the storage is unavailable."""
        try:
            with self._begin() as work:
                last_sequences = work.events.get_last_sequences(merchant_ids)
        except AtomicError as error:
            if self._is_readable:
                _log.warning("event counters unreadable", problem=error.message)
            self._is_readable = False
            return None
        self._is_readable = True
        return last_sequences

    def _wake(self, last_sequences: Mapping[UUID, int] | None) -> None:
        with self._lock:
            for merchant_id, last_sequence in (last_sequences or {}).items():
                for waiter in self._waiters.get(merchant_id, ()):
                    if last_sequence > waiter.last_sequence:
                        waiter.last_sequence = last_sequence
                        waiter.wake_up.set()
