"""HTTP as no client library would send it, and what comes back of it."""

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
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The one header of that name."""
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
        """The code of a complete, well-formed refusal."""
        assert self.header("Content-Type") == "application/json"
        told = self.json
        assert set(told) == {"success", "error", "meta"}
        assert told["success"] is False
        assert {"code", "message"} <= set(told["error"]) <= {"code", "message", "details"}
        assert set(told["meta"]) == {"timestamp", "requestId"}
        assert told["meta"]["requestId"] == self.header("X-Request-Id")
        return told["error"]["code"]


def head(line: bytes, *headers: bytes, keep: bool = False) -> bytes:
    known = [b"Host: localhost"] if keep else [b"Host: localhost", b"Connection: close"]
    return b"\r\n".join([line, *known, *headers]) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def answers_in(raw: bytes) -> list[Answer]:
    """All of them; fails if anything is left over."""
    found: list[Answer] = []
    while raw:
        top, end, raw = raw.partition(b"\r\n\r\n")
        assert end, top
        line, *lines = top.decode("latin-1").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), line
        headers = [(name, value) for name, _, value in (each.partition(": ") for each in lines)]
        answer = Answer(int(status), headers, b"")
        length = 0 if answer.status in BODILESS else int(answer.header("Content-Length"))
        assert len(raw) >= length, "cut off"
        found.append(Answer(answer.status, headers, raw[:length]))
        raw = raw[length:]
    return found


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts: list[bytes] = []
    try:
        while data := connection.recv(65_536):
            parts.append(data)
    except ConnectionResetError:
        pass  # it answered and closed before it had read everything
    return b"".join(parts)


@dataclass(frozen=True)
class Wire:
    """One server, spoken to byte by byte."""

    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def exchange(self, raw: bytes, *, half_close: bool = True) -> bytes:
        """What comes back until the server closes. With `half_close` it sees that nothing more
        will come."""
        with self.connect() as connection:
            try:
                connection.sendall(raw)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # as above
            return received(connection)

    def send(self, raw: bytes, *, half_close: bool = True) -> list[Answer]:
        return answers_in(self.exchange(raw, half_close=half_close))

    def one(self, raw: bytes, *, half_close: bool = True) -> Answer:
        (answer,) = self.send(raw, half_close=half_close)
        return answer
