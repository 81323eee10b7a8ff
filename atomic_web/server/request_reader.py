"""Reading a request from a client: the whole request must arrive by one deadline.

gunicorn's master imports this before the workers patch the standard library.
"""

import time
from typing import Any

from atomic_web.server.connection_eviction import ConnectionEvicted, ConnectionEvictor


class RequestReader:
    """The socket that gunicorn's parser reads. The deadline is absolute, so that a client that
    sends a byte now and then does not extend it."""

    def __init__(self, client: Any, timeout_seconds: float, evictor: ConnectionEvictor) -> None:
        self.deadline = 0.0
        """In monotonic seconds."""
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._evictor = evictor

    def start_request(self) -> None:
        """Set the deadline; called when the first byte of a request has arrived."""
        self.deadline = time.monotonic() + self._timeout_seconds

    def recv(self, size: int) -> bytes:
        """Raises RequestTimeout past the deadline, or when the connection is evicted."""
        # settimeout() makes no system call.
        self._client.settimeout(max(0.001, self.deadline - time.monotonic()))
        try:
            with self._evictor.reading_since(self.deadline - self._timeout_seconds):
                return self._client.recv(size)
        except (TimeoutError, ConnectionEvicted):
            from atomic_web.errors import RequestTimeout

            raise RequestTimeout from None
