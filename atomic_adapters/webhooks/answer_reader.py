"""Reads HTTP/1.1 answers (RFC 9112) from a socket.

`http.client` parses every header with the parser of e-mails. That took half of the CPU time of a
delivery, which bounds how many of them a process makes.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from atomic_adapters.webhooks.exchange import (
    MAX_BYTES,
    Exchange,
    ExchangeSocket,
    ExchangeTlsSocket,
    SendFailed,
)

MAX_HEADERS: Final = 100

RECEIVE_BYTES: Final = 8_192

_START: Final = b"HTTP/1."
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.(\d) ([1-9]\d\d)(?: [^\r\n]*)?", re.ASCII)
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_LENGTH: Final = re.compile(rb"\d{1,18}", re.ASCII)
_CHUNK_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.ASCII)

SWITCHING_PROTOCOLS: Final = 101
_WITHOUT_BODY: Final = frozenset({SWITCHING_PROTOCOLS, 204, 304})


class HttpAnswer(NamedTuple):
    status: int
    body: bytes
    retry_after: str
    """The header; empty without it."""
    is_reusable: bool
    """Whether the connection can serve a further request: all of the answer was read, and the
    receiver keeps the connection open."""


class _Head(NamedTuple):
    status: int
    minor_version: int
    headers: dict[bytes, bytes]
    """By name in lower case; of repeated ones the last."""


class _LimitReached(Exception):
    """MAX_BYTES were read. What follows is left unread."""


@dataclass(slots=True)
class AnswerReader:
    """Of one answer."""

    socket: ExchangeSocket | ExchangeTlsSocket
    exchange: Exchange
    _buffer: bytearray = field(default_factory=bytearray)
    """Received, and not used yet."""

    def read(self) -> HttpAnswer:
        """Read up to MAX_BYTES. Raises SendFailed and OSError; ConnectionResetError if the receiver
        closes the connection early."""
        head = self._read_head()
        while 100 <= head.status < 200 and head.status != SWITCHING_PROTOCOLS:
            head = self._read_head()
        self.exchange.activity = "reading the answer"
        body = bytearray()
        is_complete = False
        with suppress(_LimitReached):
            is_complete = self._read_body(head, body)
        is_kept_open = head.minor_version >= 1 and not _has_token(head, b"connection", b"close")
        return HttpAnswer(
            head.status,
            bytes(body),
            head.headers.get(b"retry-after", b"").decode("latin-1"),
            is_complete
            and is_kept_open
            and not self._buffer
            and head.status != SWITCHING_PROTOCOLS,
        )

    def _read_head(self) -> _Head:
        searched = 0
        while not (end := _HEAD_END.search(self._buffer, searched)):
            searched = max(0, len(self._buffer) - 2)
            # What is no HTTP is recognized before its end, which may never come.
            if not _START.startswith(self._buffer[: len(_START)]):
                raise _not_valid()
            self.exchange.get_bytes_left()
            if not self._receive():
                if b"\n" in self._buffer:
                    _parse_head(self._buffer)
                raise ConnectionResetError
        head = _parse_head(self._buffer[: end.start()])
        del self._buffer[: end.end()]
        return head

    def _read_body(self, head: _Head, body: bytearray) -> bool:
        """Add it to `body`; return whether its end is known without the end of the connection."""
        if head.status in _WITHOUT_BODY:
            return True
        if _has_token(head, b"transfer-encoding", b"chunked"):
            self._read_chunks(body)
            return True
        length = head.headers.get(b"content-length", b"")
        if _LENGTH.fullmatch(length):
            self._read_exactly(int(length), body)
            return True
        try:
            while self._receive_more():
                pass
        finally:
            body += self._take(len(self._buffer))
        return False

    def _read_chunks(self, body: bytearray) -> None:
        while True:
            size = _CHUNK_SIZE.fullmatch(self._read_line())
            if size is None:
                raise _not_valid()
            if int(size[1], 16) == 0:
                break
            self._read_exactly(int(size[1], 16), body)
            if self._read_line():
                raise _not_valid()
        while self._read_line():
            pass

    def _read_exactly(self, count: int, body: bytearray) -> None:
        try:
            while len(self._buffer) < count:
                if not self._receive_more():
                    raise ConnectionResetError
        finally:
            body += self._take(count)

    def _read_line(self) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if not self._receive_more():
                raise ConnectionResetError
        return self._take(end + 1).rstrip(b"\r\n")

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _receive_more(self) -> bool:
        """As `_receive`. Raises _LimitReached."""
        if self.exchange.received >= MAX_BYTES:
            raise _LimitReached
        return self._receive()

    def _receive(self) -> bool:
        """False at the end of the connection."""
        part = bytearray(RECEIVE_BYTES)
        count = self.socket.recv_into(part, RECEIVE_BYTES)
        self._buffer += part[:count]
        return count > 0


def _parse_head(text: bytearray) -> _Head:
    first, *lines = bytes(text).split(b"\n")
    status_line = _STATUS_LINE.fullmatch(first.rstrip(b"\r"))
    if status_line is None or len(lines) > MAX_HEADERS:
        raise _not_valid()
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return _Head(int(status_line[2]), int(status_line[1]), headers)


def _has_token(head: _Head, name: bytes, token: bytes) -> bool:
    value = head.headers.get(name)
    return value is not None and token in [part.strip().lower() for part in value.split(b",")]


def _not_valid() -> SendFailed:
    return SendFailed("the answer is not valid HTTP")
