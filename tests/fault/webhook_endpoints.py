"""The endpoints of webhooks under faults, and how each of them answers."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID


class Kind(StrEnum):
    """How an endpoint answers."""

    GOOD = "good"
    ORDERED = "ordered"
    """As `good`; its events arrive in order."""
    FLAKY = "flaky"
    """Some requests fail in turn: 500, a redirect, no answer, an answer that is cut off."""
    ORDERED_FLAKY = "ordered-flaky"
    HANGING = "hanging"
    """Never answers: it must delay no other."""
    GONE = "gone"
    """Answers 410 after some requests, which disables it."""
    BAD_TLS = "bad-tls"
    """Has a certificate that is not trusted: it gets no event, and none counts as delivered."""


KINDS: Final = tuple(Kind)

COMPLETE: Final = frozenset({Kind.GOOD, Kind.ORDERED, Kind.FLAKY, Kind.ORDERED_FLAKY})
"""Endpoints that get every event."""

FAILING_REQUESTS: Final = {Kind.FLAKY: 10, Kind.ORDERED_FLAKY: 200}
"""Every such request fails. At each failure an ordered endpoint waits for 5 s."""

GONE_AFTER: Final = 10
"""Requests. Few: on a busy machine a merchant has few events."""

ENDLESS_EVERY: Final = 97
"""Every such request of a flaky endpoint is answered 200 with ENDLESS_BYTES."""

ENDLESS_BYTES: Final = 1_000_000_000
ENDLESS_PART: Final = bytes(100_000)

FAILURES: Final = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",
)

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

ENDLESS: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS_BYTES

GONE: Final = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Endpoint:
    id: str
    merchant_id: UUID
    kind: Kind
    secret: str
    position: int
    """After which its events begin."""
    requests: int = 0
    accepted: list[tuple[int, str]] = field(default_factory=list)
    """Sequence number and webhook-id of each request that was answered 200, in order."""
    invalid: list[str] = field(default_factory=list)

    @property
    def is_endless(self) -> bool:
        return self.kind is Kind.FLAKY and self.requests % ENDLESS_EVERY == 0

    def find_failure(self) -> bytes | None:
        """The answer to the current request if it fails."""
        if self.kind is Kind.GONE and self.requests > GONE_AFTER:
            return GONE
        every = FAILING_REQUESTS.get(self.kind)
        if every and self.requests % every == 0:
            return FAILURES[self.requests // every % len(FAILURES)]
        return None
