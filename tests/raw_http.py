"""HTTP requests as raw bytes, and a parser for the responses."""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BODY = b'{"amount":1,"currency":"USD","source":"tok_visa"}'
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"

BODILESS = (100, 204, 304)


@dataclass(frozen=True)
class RawResponse:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The value of the header, which must not be repeated."""
        (value,) = (text for given, text in self.headers if given.lower() == name.lower())
        return value

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.headers}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error envelope that is complete and well formed."""
        assert self.header("Content-Type") == "application/json"
        envelope = self.json
        assert set(envelope) == {"success", "error", "meta"}
        assert envelope["success"] is False
        required = {"code", "type", "message", "retryable", "docUrl"}
        assert required <= set(envelope["error"]) <= {*required, "param", "details"}
        assert set(envelope["meta"]) == {"timestamp", "requestId"}
        assert envelope["meta"]["requestId"] == self.header("X-Request-Id")
        return envelope["error"]["code"]


def head(line: bytes, *headers: bytes, keep: bool = False) -> bytes:
    common = [b"Host: localhost"] if keep else [b"Host: localhost", b"Connection: close"]
    return b"\r\n".join([line, *common, *headers]) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def parse_responses(raw: bytes) -> list[RawResponse]:
    """All responses; fails if the bytes do not end with one."""
    responses: list[RawResponse] = []
    while raw:
        top, end, raw = raw.partition(b"\r\n\r\n")
        assert end, top
        line, *lines = top.decode("latin-1").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), line
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        response = RawResponse(int(status), headers, b"")
        length = 0 if response.status in BODILESS else int(response.header("Content-Length"))
        assert len(raw) >= length, "cut off"
        responses.append(RawResponse(response.status, headers, raw[:length]))
        raw = raw[length:]
    return responses


def receive_all(connection: socket.socket) -> bytes:
    """Everything until the peer closes the connection."""
    parts: list[bytes] = []
    try:
        while data := connection.recv(65_536):
            parts.append(data)
    except ConnectionResetError:
        pass  # The server responded and closed before it had read the whole request.
    return b"".join(parts)


@dataclass(frozen=True)
class Wire:
    """A server on this machine that is sent raw bytes."""

    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def exchange(self, raw: bytes, *, half_close: bool = True) -> bytes:
        """Send the bytes, receive until the server closes. `half_close` ends our sending side."""
        with self.connect() as connection:
            try:
                connection.sendall(raw)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # The server closed before it had read everything.
            return receive_all(connection)

    def send(self, raw: bytes, *, half_close: bool = True) -> list[RawResponse]:
        return parse_responses(self.exchange(raw, half_close=half_close))

    def send_one(self, raw: bytes, *, half_close: bool = True) -> RawResponse:
        (response,) = self.send(raw, half_close=half_close)
        return response
