"""One client: sends, remembers each answer, and asks again with the same key until it has one."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fault.oracle import Book, Order, Shop
from processes import PAUSE, Client, Reply

PATIENCE_SECONDS: Final = 90
"""After which a keyed request counts as never answered: three times the longest outage."""

AGAIN_SECONDS: Final = 0.1
"""Between two tries; a client would take the Retry-After, but here every moment of an outage is
to be tried."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as its client saw it."""

    begun: float
    seconds: float
    method: str
    outcome: str
    """The status, or the name of the error."""


@dataclass
class Journal:
    """Every attempt of every caller."""

    attempts: list[Attempt] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, attempt: Attempt) -> None:
        with self._lock:
            self.attempts.append(attempt)

    def since(self, begun: float) -> list[Attempt]:
        """Those that began then or later."""
        with self._lock:
            return [attempt for attempt in self.attempts if attempt.begun >= begun]

    def under_way(self, begun: float) -> list[Attempt]:
        """Those that ended then or later, whenever they began."""
        with self._lock:
            return [each for each in self.attempts if each.begun + each.seconds >= begun]


@dataclass(frozen=True, slots=True)
class Caller:
    base_url: str
    book: Book
    journal: Journal

    def send(
        self,
        shop: Shop,
        method: str,
        path: str,
        body: object = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | None:
        """The answer, or None if the connection broke and asking again might do it twice."""
        sent = dict(headers or {})
        if key is not None:
            sent["Idempotency_Key"] = key
        may_repeat = method == "GET" or key is not None
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            reply, was_processed = self._try(shop, method, path, body, sent)
            if reply is not None and reply.status != 503:
                return reply
            if was_processed and not may_repeat:
                return None
            PAUSE.wait(AGAIN_SECONDS)
        self.book.violated("answer", f"{method} {path} {key}: none in {PATIENCE_SECONDS} s")
        return None

    def _try(
        self, shop: Shop, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[Reply | None, bool]:
        """The answer if there was one, and whether the request may have had its effect."""
        begun = time.monotonic()
        outcome, reply, was_processed = "", None, True
        try:
            reply = Client(self.base_url, shop.key).ask(method, path, body, **headers)
        except ConnectionRefusedError:
            outcome, was_processed = "refused", False
        except OSError as error:
            outcome = type(error).__name__
        else:
            outcome = str(reply.status)
            self._look_at(reply, f"{method} {path[:60]}")
        self.journal.add(Attempt(begun, time.monotonic() - begun, method, outcome))
        return reply, was_processed

    def _look_at(self, reply: Reply, what: str) -> None:
        """What holds for every answer."""
        server_error = reply.status >= 500 and reply.status != 503
        self.book.check(
            "no 5xx but 503", holds=not server_error, what=f"{what}: {reply.raw[:300]!r}"
        )
        has_id = "X-Request-Id" in reply.headers and "meta" in json.loads(reply.raw)
        self.book.check(
            "envelope", holds=has_id, what=f"{what}: {reply.headers} {reply.raw[:300]!r}"
        )
        if reply.status == 503:
            says_when = "Retry-After" in reply.headers
            self.book.check("Retry-After", holds=says_when, what=what)

    def pay(self, order: Order, key: str | None) -> Reply | None:
        """Order one payment, and note what became of it."""
        self.book.ordered([order])
        reply = self.send(order.shop, "POST", "/payments", order.content, key)
        self.note(reply, [order], lambda data: [data])
        return reply

    def note(self, reply: Reply | None, orders: Sequence[Order], listed: Any) -> None:
        if reply is None:
            self.book.lost(orders)
        elif reply.status == 202:
            for order, payment in zip(orders, listed(reply.data), strict=True):
                self.book.accepted(order, payment)
        else:
            self.book.refused(orders)
            what = f"{orders[0].token}: {reply.status} {reply.raw[:300]!r}"
            self.book.violated("answer", what)
