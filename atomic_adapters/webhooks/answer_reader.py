"""Reads HTTP/1.1 answers (RFC 9112) from a socket.

By httptools, because `http.client` parses every header with the parser of e-mails: with urllib3's
layers this took half of the CPU time of a delivery, which bounds how many of them a process makes.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import httptools

from atomic_adapters.webhooks.exchange import (
    MAX_BYTES,
    Exchange,
    ExchangeSocket,
    ExchangeTlsSocket,
    SendFailed,
)

MAX_HEADERS: Final = 100

RECEIVE_BYTES: Final = 8_192

SWITCHING_PROTOCOLS: Final = 101


class HttpAnswer(NamedTuple):
    status: int
    body: bytes
    retry_after: str
    """The header; empty without it."""
    is_reusable: bool
    """Whether the connection can serve a further request: all of the answer was read, and the
    receiver keeps the connection open."""


class _Message:
    """What the parser has found: its callbacks."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        # An answer only says whether its webhook has arrived. One that is sloppy and yet clear is
        # better understood than retried for days.
        self.parser.set_dangerous_leniencies(
            lenient_chunked_length=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """By name in lower case; of repeated ones the last."""
        self._header_count = 0
        """Of all messages, interim ones and trailers included."""
        self.body = bytearray()
        self.has_head = False
        self.is_complete = False
        self.is_kept_open = False
        self.has_surplus = False
        """Whether the receiver has sent more than one answer."""

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.has_surplus = True
        else:
            self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        if self._header_count > MAX_HEADERS:
            raise _not_valid()
        if not self.is_complete:
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status < 100:
            raise _not_valid()
        is_interim = status < 200 and status != SWITCHING_PROTOCOLS
        if not self.is_complete and not is_interim:
            self.status, self.has_head = status, True

    def on_body(self, part: bytes) -> None:
        if not self.is_complete:
            self.body += part

    def on_message_complete(self) -> None:
        if self.has_head and not self.is_complete:
            self.is_complete = True
            # The parser knows it only here.
            self.is_kept_open = self.parser.should_keep_alive()

    @property
    def has_known_end(self) -> bool:
        """Otherwise the end of the connection is the end of the body."""
        encoding = self.headers.get(b"transfer-encoding", b"").lower()
        return b"content-length" in self.headers or encoding.endswith(b"chunked")


@dataclass(slots=True)
class AnswerReader:
    """Of one answer."""

    socket: ExchangeSocket | ExchangeTlsSocket
    exchange: Exchange
    _message: _Message = field(default_factory=_Message)

    def read(self) -> HttpAnswer:
        """Read up to MAX_BYTES. Raises SendFailed and OSError; ConnectionResetError if the receiver
        closes the connection early."""
        message = self._message
        part = bytearray(RECEIVE_BYTES)
        while not message.is_complete:
            # Beyond this bound the rest of a body is left unread; a head is refused by the socket.
            if message.has_head and self.exchange.received >= MAX_BYTES:
                break
            count = self.socket.recv_into(part, RECEIVE_BYTES)
            if count == 0:
                if not message.has_head or message.has_known_end:
                    raise ConnectionResetError
                break
            self._feed(part[:count])
            if message.has_head:
                self.exchange.activity = "reading the answer"
        return HttpAnswer(
            message.status,
            bytes(message.body),
            message.headers.get(b"retry-after", b"").decode("latin-1"),
            message.is_kept_open and not message.has_surplus,
        )

    def _feed(self, part: bytearray) -> None:
        try:
            self._message.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            self._message.is_complete = True
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from error
        except httptools.HttpParserError as error:
            # What follows a complete answer matters only to a further request.
            if not self._message.is_complete:
                raise _not_valid() from error
            self._message.has_surplus = True


def _not_valid() -> SendFailed:
    return SendFailed("the answer is not valid HTTP")
