"""A real system that receives hostile requests, and the payments that it accepted."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import psutil
import psycopg

from processes import System
from raw_http import RawResponse, Wire, head

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
class AttackedSystem:
    system: System
    key: str
    accepted_payment_ids: set[str] = field(default_factory=set)
    """Ids of every 202 response: these payments must exist, and no others."""

    def __post_init__(self) -> None:
        self._database = psycopg.connect(self.system.superuser_url, autocommit=True)
        self._before, _ = self._payments()
        self._workers = self._pids()
        self._checked_bytes = self.system.log.stat().st_size

    @cached_property
    def wire(self) -> Wire:
        return Wire(int(self.system.environ["PORT"]))

    @property
    def credentials(self) -> tuple[bytes, bytes]:
        return (b"Authorization: Bearer " + self.key.encode(), b"Content-Type: application/json")

    def post(self, path: bytes, body: bytes, *headers: bytes) -> bytes:
        length = b"Content-Length: %d" % len(body)
        line = b"POST /api/v1/" + path + b" HTTP/1.1"
        return head(line, *self.credentials, length, *headers) + body

    def payment(self, *headers: bytes, body: bytes = b"", keep: bool = False) -> bytes:
        return head(PAYMENTS, *self.credentials, *headers, keep=keep) + body

    @property
    def smuggled_payment(self) -> bytes:
        """A payment request to hide inside another request; executing it is a fault."""
        length = b"Content-Length: %d" % len(SMUGGLED)
        return self.payment(length, body=SMUGGLED)

    def send(self, raw: bytes, *, half_close: bool = True) -> list[RawResponse]:
        """All responses except 100 (Continue)."""
        return self.check_responses(self.wire.send(raw, half_close=half_close))

    def send_one(self, raw: bytes, *, half_close: bool = True) -> RawResponse:
        (response,) = self.send(raw, half_close=half_close)
        return response

    def check_responses(self, responses: list[RawResponse]) -> list[RawResponse]:
        """Check what must hold for every response, and note accepted payments."""
        final = [response for response in responses if response.status >= 200]
        for response in final:
            assert response.status < 500
            assert response.names >= SECURITY
            assert len(response.names) == len(response.headers), "a header is repeated"
            if response.status >= 400 and response.body:
                assert response.code
            if response.status == 202:
                self.accepted_payment_ids.add(response.json["data"]["id"])
        return final

    def has_only_accepted_payments(self) -> bool:
        total, smuggled_payment = self._payments()
        return total == self._before + len(self.accepted_payment_ids) and not smuggled_payment

    def is_settled(self) -> bool:
        open = "SELECT count(*) FROM payments WHERE status NOT IN ('SUCCESS', 'FAILED')"
        return self.system.query_number(open) == 0

    def is_intact(self) -> bool:
        """Whether no API process has died and no error was logged since the last call."""
        with self.system.log.open("rb") as log:
            log.seek(self._checked_bytes)
            # The last line may not be written completely yet.
            whole_lines = log.read().rpartition(b"\n")[0]
        self._checked_bytes += len(whole_lines)
        lines = whole_lines.decode(errors="replace").strip("\n").split("\n")
        for line in filter(None, lines):
            assert json.loads(line)["event"] != "forged", line
        words = "\n".join(lines)
        error_signs = ("Traceback", "unexpected_error", '"level":"error"')
        assert not any(word in words for word in error_signs), words[-3000:]
        return self._pids() == self._workers

    def close(self) -> None:
        self._database.close()

    def _payments(self) -> tuple[int, int]:
        """How many payments exist, and how many of them were smuggled."""
        row = self._database.execute(
            "SELECT count(*), count(*) FILTER (WHERE amount = 666) FROM payments"
        ).fetchone()
        assert row
        return row

    def _pids(self) -> set[int]:
        api = psutil.Process(self.system.running["api"].pid)
        return {child.pid for child in api.children(recursive=True)}


def assert_refused(response: RawResponse, status: int, code: str) -> None:
    """The response has this error, and the connection is closed."""
    assert (response.status, response.code) == (status, code)
    assert response.header("Connection") == "close"
