"""Waking those who wait for events.

One thread per process reads the counters of all streams that are waited for, and only while there
are waits. In the API, whose threads are greenlets, a wait costs a few kilobytes.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from atomic_core.domain.errors import AtomicError, TooManyWaiting, WaitingPlacesTaken
from atomic_core.ports.unit_of_work import UnitOfWorkFactory

POLL_SECONDS: Final = 0.2
"""Between two reads of the counters. A payment takes tens of milliseconds to settle and a request
as long to answer, so an event arrives well within half a second; five reads per second and process
are a fraction of a percent of a core of PostgreSQL."""

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
        self._waiting = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._is_readable = True

    def wait(self, merchant_id: UUID, after: int, seconds: float) -> int:
        waiter = _Waiter(after)
        self._add(merchant_id, waiter)
        try:
            waiter.wake_up.wait(min(seconds, STOPPING_SECONDS) if self._is_stopping else seconds)
        finally:
            self._remove(merchant_id, waiter)
        return waiter.last_sequence

    def stop(self) -> None:
        self._is_stopping = True
        for waiter in self._list_waiters():
            waiter.wake_up.set()

    def _add(self, merchant_id: UUID, waiter: _Waiter) -> None:
        with self._lock:
            if len(self._waiters.get(merchant_id, ())) >= self._max_waiting_per_merchant:
                raise TooManyWaiting
            if self._waiting >= self._max_waiting:
                raise WaitingPlacesTaken
            self._waiters.setdefault(merchant_id, set()).add(waiter)
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

    def _list_waiters(self) -> list[_Waiter]:
        with self._lock:
            return [waiter for waiters in self._waiters.values() for waiter in waiters]

    def _run(self) -> None:
        while True:
            time.sleep(self._interval_seconds)
            with self._lock:
                merchant_ids = list(self._waiters)
                if not merchant_ids:
                    self._thread = None
                    return
            self._wake(self._read_last_sequences(merchant_ids))

    def _read_last_sequences(self, merchant_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Empty while the storage is unavailable."""
        try:
            with self._begin() as work:
                last_sequences = work.events.get_last_sequences(merchant_ids)
        except AtomicError as error:
            if self._is_readable:
                _log.warning("event counters unreadable", problem=error.message)
            self._is_readable = False
            return {}
        self._is_readable = True
        return last_sequences

    def _wake(self, last_sequences: Mapping[UUID, int]) -> None:
        with self._lock:
            for merchant_id, last_sequence in last_sequences.items():
                for waiter in self._waiters.get(merchant_id, ()):
                    if last_sequence > waiter.last_sequence:
                        waiter.last_sequence = last_sequence
                        waiter.wake_up.set()
