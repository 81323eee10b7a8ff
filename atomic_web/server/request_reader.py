"""How our worker reads from a client: by a deadline, and for as long as nobody needs the place.

Imported by gunicorn's master too, so nothing here may import what must wait for monkey-patching.
"""

import time
from typing import Any

import gevent


class ConnectionEvicted(Exception):
    """Thrown into whoever has kept us waiting the longest when all connections are taken."""


Waiting = dict[Any, float]
"""Who waits for a client, and since when."""


class Reader:
    """A socket as the parser reads it: each request has to arrive by its deadline, in whole, so
    that a byte now and then buys no time."""

    def __init__(self, client: Any, seconds: float, waiting: Waiting) -> None:
        self.deadline = 0.0
        self._client = client
        self._seconds = seconds
        self._waiting = waiting

    def begin(self) -> None:
        """The time of a request runs from its first byte."""
        self.deadline = time.monotonic() + self._seconds

    def recv(self, size: int) -> bytes:
        """Raises RequestTimeout."""
        # Nothing but a note: the system is not asked until there is nothing to read.
        self._client.settimeout(max(0.001, self.deadline - time.monotonic()))
        reading = gevent.getcurrent()
        self._waiting[reading] = self.deadline - self._seconds
        try:
            return self._client.recv(size)
        except (TimeoutError, ConnectionEvicted):
            from atomic_web.errors import RequestTimeout

            raise RequestTimeout from None
        finally:
            del self._waiting[reading]
