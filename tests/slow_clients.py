"""A real Atomic under attack, and the count of what it took."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import psutil
import psycopg

from processes import System
from raw_http import Answer, Wire, head

SECURITY: Final = {
    "Cache-Control",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-Request-Id",
}

PAYMENTS: Final = b"POST /api/v1/payments HTTP/1.1"

SMUGGLED: Final = b'{"amount":666,"currency":"USD","source":"tok_visa"}'


@dataclass
class Siege:
    system: System
    key: str
    taken: set[str] = field(default_factory=set)
    """The payments that somebody was told of: there must be these and no others."""

    def __post_init__(self) -> None:
        self._database = psycopg.connect(self.system.environ["DATABASE_URL"], autocommit=True)
        self._before, _ = self._payments()
        self._workers = self._pids()

    @cached_property
    def wire(self) -> Wire:
        return Wire(int(self.system.environ["PORT"]))

    @property
    def known(self) -> tuple[bytes, bytes]:
        return (b"Authorization: Bearer " + self.key.encode(), b"Content-Type: application/json")

    def post(self, path: bytes, body: bytes, *headers: bytes) -> bytes:
        length = b"Content-Length: %d" % len(body)
        line = b"POST /api/v1/" + path + b" HTTP/1.1"
        return head(line, *self.known, length, *headers) + body

    def payment(self, *headers: bytes, body: bytes = b"", keep: bool = False) -> bytes:
        return head(PAYMENTS, *self.known, *headers, keep=keep) + body

    @property
    def smuggled(self) -> bytes:
        """A payment that nobody may make: it stands where no request begins."""
        length = b"Content-Length: %d" % len(SMUGGLED)
        return self.payment(length, body=SMUGGLED)

    def send(self, raw: bytes, *, half_close: bool = True) -> list[Answer]:
        """All answers but 100 (Continue)."""
        return self.counted(self.wire.send(raw, half_close=half_close))

    def one(self, raw: bytes, *, half_close: bool = True) -> Answer:
        (answer,) = self.send(raw, half_close=half_close)
        return answer

    def counted(self, answers: list[Answer]) -> list[Answer]:
        """Looked at as every answer has to be."""
        final = [answer for answer in answers if answer.status >= 200]
        for answer in final:
            assert answer.status < 500
            assert answer.names >= SECURITY
            assert len(answer.names) == len(answer.headers), "a header twice"
            if answer.status >= 400 and answer.body:
                assert answer.code
            if answer.status == 202:
                self.taken.add(answer.json["data"]["id"])
        return final

    def has_taken_nothing_else(self) -> bool:
        total, smuggled = self._payments()
        return total == self._before + len(self.taken) and not smuggled

    def is_settled(self) -> bool:
        open = "SELECT count(*) FROM payments WHERE status NOT IN ('SUCCESS', 'FAILED')"
        return self.system.number(open) == 0

    def stands(self) -> bool:
        """Nothing broke within: no process was lost, no bug was met."""
        words = self.system.words()
        for line in words.splitlines():
            assert json.loads(line)["event"] != "forged", line
        broken = ("Traceback", "unexpected_error", '"level":"error"')
        assert not any(word in words for word in broken), words[-3000:]
        return self._pids() == self._workers

    def close(self) -> None:
        self._database.close()

    def _payments(self) -> tuple[int, int]:
        """How many there are, and how many of those that nobody may make."""
        row = self._database.execute(
            "SELECT count(*), count(*) FILTER (WHERE amount = 666) FROM payments"
        ).fetchone()
        assert row
        return row

    def _pids(self) -> set[int]:
        api = psutil.Process(self.system.running["api"].pid)
        return {child.pid for child in api.children(recursive=True)}


def refused(answer: Answer, status: int, code: str) -> None:
    """Refused, and nothing more will be read from that connection."""
    assert (answer.status, answer.code) == (status, code)
    assert answer.header("Connection") == "close"
