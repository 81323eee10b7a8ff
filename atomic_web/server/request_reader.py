"""Reading a request from a client: the whole request must arrive by one deadline, in bounded steps.

gunicorn's master imports this before the workers patch the standard library.
"""

import time
from typing import Any, Final, cast

from gevent.socket import wait_read
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

from atomic_web.server.connection_eviction import ConnectionEvicted, ConnectionEvictor

MAX_BYTES_PER_TURN: Final = 65_536
"""Bytes read from one client before other greenlets run. Reading does not wait, and so does not
switch greenlets, while the kernel has bytes: a fast client would occupy the process."""

MAX_CHUNK_OVERHEAD_BYTES: Final = 65_536
"""Bytes of a chunked body that are not content: sizes, extensions, line ends. A chunk has at least
five of them, so a body has at most 13,107 chunks: a full batch in chunks of 160 bytes."""

MAX_TRAILER_BYTES: Final = 8_190
"""As long as one header: the API uses no trailers."""


class RequestReader:
    """The socket that gunicorn's parser reads. The deadline is absolute: neither a client that
    sends a byte now and then nor one that sends without a pause extends it."""

    def __init__(self, client: Any, timeout_seconds: float, evictor: ConnectionEvictor) -> None:
        self.deadline = 0.0
        """In monotonic seconds."""
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._evictor = evictor
        self._bytes_this_turn = 0

    def start_request(self) -> None:
        """Set the deadline; called when the first byte of a request has arrived."""
        self.deadline = time.monotonic() + self._timeout_seconds

    def recv(self, size: int) -> bytes:
        """Raises RequestTimeout past the deadline, or when the connection is evicted."""
        from atomic_web.errors import RequestTimeout

        seconds_left = self.deadline - time.monotonic()
        if seconds_left <= 0:
            raise RequestTimeout
        # settimeout() makes no system call.
        self._client.settimeout(seconds_left)
        try:
            with self._evictor.reading_since(self.deadline - self._timeout_seconds):
                if self._bytes_this_turn >= MAX_BYTES_PER_TURN:
                    self._bytes_this_turn = 0
                    wait_read(self._client.fileno(), seconds_left)
                data = self._client.recv(min(size, MAX_BYTES_PER_TURN))
        except (TimeoutError, ConnectionEvicted):
            raise RequestTimeout from None
        self._bytes_this_turn += len(data)
        return data


class ChunkOverheadExceeded(ParseException):
    """A chunked body has more than MAX_CHUNK_OVERHEAD_BYTES of chunk headers."""


class BoundedChunkedReader(ChunkedReader):
    """gunicorn bounds each chunk header, but not how many of them a body has."""

    def __init__(self, request: Any, unreader: Any) -> None:
        super().__init__(request, unreader)
        self.limit_trailer_section = MAX_TRAILER_BYTES
        self._overhead_bytes = 0

    def parse_chunk_size(self, unreader: Any, data: bytes | None = None) -> Any:
        self._overhead_bytes += len(data or b"")
        # The type stubs describe an older gunicorn.
        size, rest = cast("Any", super()).parse_chunk_size(unreader, data)
        # The last chunk has no rest: what follows it is the next request.
        if size:
            self._overhead_bytes += len(b"\r\n") - len(rest)
            if self._overhead_bytes > MAX_CHUNK_OVERHEAD_BYTES:
                raise ChunkOverheadExceeded
        return size, rest

    def read_into(self, unreader: Any, buf: bytearray) -> None:
        length = len(buf)
        cast("Any", super()).read_into(unreader, buf)
        self._overhead_bytes += len(buf) - length


class BoundedRequest(Request):
    def set_body_reader(self) -> None:
        super().set_body_reader()
        body: Any = self.body
        if isinstance(body.reader, ChunkedReader):
            body.reader = BoundedChunkedReader(self, self.unreader)


class BoundedRequestParser(RequestParser):
    mesg_class = BoundedRequest
