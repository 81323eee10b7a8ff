"""Which connection to close when all places are taken: the one that has waited longest for its
client.

gunicorn's master imports this before the workers patch the standard library.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import gevent

MIN_WAIT_SECONDS: Final = 0.1
"""A connection is not evicted before: the first bytes arrive a moment after the handshake."""


class ConnectionEvicted(Exception):
    """Thrown into the greenlet of the connection that has to make room for a new one."""


class WorkerStopping(Exception):
    """Thrown into greenlets that wait on idle connections when the worker stops."""


class ConnectionEvictor:
    """Knows which greenlets wait for a client, and since when. `is_full` says whether every place
    is taken."""

    def __init__(self, is_full: Callable[[], bool]) -> None:
        self._is_full = is_full
        self._idle: dict[Any, float] = {}
        """Waiting for the next request of a kept-alive connection."""
        self._reading: dict[Any, float] = {}
        """Waiting for the rest of a request, or for the client to read its response."""
        self._timer: Any = None

    @contextmanager
    def waiting_idle(self) -> Iterator[None]:
        """The current greenlet waits for a request. Raises ConnectionEvicted, WorkerStopping."""
        greenlet = gevent.getcurrent()
        self._idle[greenlet] = time.monotonic()
        self.make_room()
        try:
            yield
        finally:
            del self._idle[greenlet]

    @contextmanager
    def waiting_to_close(self) -> Iterator[None]:
        """The current greenlet waits for its client to read a last response: evicted before all
        others. Raises ConnectionEvicted."""
        with self.reading_since(0.0):
            self.make_room()
            yield

    @contextmanager
    def reading_since(self, started: float) -> Iterator[None]:
        """The current greenlet reads a request that began to arrive at `started` (monotonic
        seconds). Raises ConnectionEvicted."""
        greenlet = gevent.getcurrent()
        self._reading[greenlet] = started
        try:
            yield
        finally:
            del self._reading[greenlet]

    def stop_idle(self) -> None:
        """Throw WorkerStopping into every idle greenlet, from the hub."""
        gevent.get_hub().loop.run_callback(self._stop_idle)

    def make_room(self) -> None:
        """Keep one place free for the next connection as long as a greenlet waits for a client."""
        if self._is_full():
            gevent.get_hub().loop.run_callback(self._evict_longest_waiting)

    # The methods below run in the hub, as wake-ups by input do: a greenlet that is still in one
    # of the maps has not begun to work, so none is interrupted at work.

    def _stop_idle(self) -> None:
        for greenlet in list(self._idle):
            greenlet.throw(WorkerStopping)

    def _evict_longest_waiting(self) -> None:
        waiting = self._idle | self._reading
        if not waiting or not self._is_full():
            return
        greenlet = min(waiting, key=waiting.__getitem__)
        seconds_left = waiting[greenlet] + MIN_WAIT_SECONDS - time.monotonic()
        if seconds_left <= 0:
            greenlet.throw(ConnectionEvicted)
        elif self._timer is None:
            self._timer = gevent.get_hub().loop.timer(seconds_left)
            self._timer.start(self._on_timer)

    def _on_timer(self) -> None:
        self._timer.close()
        self._timer = None
        self._evict_longest_waiting()
