"""The model: what was ordered and what was answered, as clients remember it."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

Fate = tuple[str, str | None]
"""Status and failure reason."""

SUCCESS: Final[Fate] = ("SUCCESS", None)

RETRIED: Final = "tok_chargeDeclinedProcessingError"
"""Settled only after its back-off, six seconds and more."""

FATES: Final[Mapping[str, Fate]] = {
    "tok_visa": SUCCESS,
    "tok_mastercard": SUCCESS,
    "tok_chargeDeclined": ("FAILED", "card_declined"),
    "tok_chargeDeclinedInsufficientFunds": ("FAILED", "insufficient_funds"),
    "tok_chargeDeclinedExpiredCard": ("FAILED", "expired_card"),
    RETRIED: ("FAILED", "processing_error"),
    "tok_captureDeclined": ("FAILED", "capture_declined"),
    "tok_refundDeclined": SUCCESS,
    "tok_slow": SUCCESS,
}
"""What must become of a payment. The network is a sandbox: it answers by token."""

DECLINED: Final = frozenset({"tok_chargeDeclined"})
"""Never held."""

TERMINAL: Final = frozenset({"SUCCESS", "FAILED", "CANCELED"})

SHOWN_VIOLATIONS: Final = 50
"""The rest is counted."""


@dataclass(frozen=True, slots=True)
class Shop:
    merchant_id: UUID
    key: str = field(repr=False)
    accounts: Mapping[str, UUID]
    """By currency."""


class Answer(StrEnum):
    NONE = "none yet"
    ACCEPTED = "202"
    REFUSED = "refused"
    LOST = "lost"
    """The connection broke; nobody can say, and without a key nobody may ask again."""


@dataclass(slots=True)
class Order:
    """One payment that somebody wants. Its token is its description, so that a row in the
    database can be told from any other."""

    token: str
    shop: Shop
    amount: int
    currency: str
    source: str
    answer: Answer = Answer.NONE
    payment_id: str = ""
    status: str = ""
    """The last one seen."""
    is_held: bool = False
    """Whether it is captured by hand."""
    captured: int | None = None
    """What a capture was granted for: that one has decided."""
    canceled: bool = False
    """Whether a cancellation was granted."""

    @property
    def content(self) -> dict[str, object]:
        content: dict[str, object] = {
            "amount": self.amount,
            "currency": self.currency,
            "source": self.source,
            "description": self.token,
        }
        return content | ({"capture": "manual"} if self.is_held else {})

    @property
    def fate(self) -> Fate:
        """What must become of it. A hold that nobody decided on expires."""
        fate = FATES[self.source]
        if not self.is_held or self.source in DECLINED:
            return fate
        if self.captured is not None:
            return fate
        return ("CANCELED", None)


@dataclass(slots=True)
class Return:
    """One refund that somebody wants. Its token is its reason."""

    token: str
    order: Order
    amount: int
    granted: bool = False
    refund_id: str = ""


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What a key was first answered; of the bytes only the digest, to hold a million."""

    path: str
    body: Mapping[str, object]
    key: str
    shop: Shop
    digest: bytes
    orders: Sequence[Order]


def digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


@dataclass
class Book:
    orders: dict[str, Order] = field(default_factory=dict)
    returns: dict[str, Return] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    """How often each invariant was looked at."""
    begun: float = field(default_factory=time.monotonic)
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _accepted: int = 0

    def violated(self, rule: str, what: str) -> None:
        with self._lock:
            self.violations.append(f"{time.monotonic() - self.begun:7.2f} s  {rule}  {what}")

    def check(self, rule: str, *, holds: bool, what: str) -> bool:
        """Count the check; note the violation."""
        with self._lock:
            self.checks[rule] += 1
        if not holds:
            self.violated(rule, what)
        return holds

    def ordered(self, orders: Sequence[Order]) -> None:
        with self._lock:
            for order in orders:
                self.orders[order.token] = order

    def accepted(self, order: Order, payment: Mapping[str, Any]) -> None:
        """A 202, or what it was answered again."""
        echo = {name: payment[name] for name in order.content}
        same = echo == order.content and payment["merchantId"] == str(order.shop.merchant_id)
        self.check("answer", holds=same, what=f"{order.token} was answered {payment}")
        if order.answer is Answer.ACCEPTED:
            same = order.payment_id == payment["id"]
            self.check("I7", holds=same, what=f"{order.token} is two payments")
            return
        order.payment_id = payment["id"]
        order.answer = Answer.ACCEPTED
        with self._lock:
            self._accepted += 1

    @property
    def count_accepted(self) -> int:
        return self._accepted

    def refused(self, orders: Sequence[Order]) -> None:
        for order in orders:
            order.answer = Answer.REFUSED

    def lost(self, orders: Sequence[Order]) -> None:
        for order in orders:
            order.answer = Answer.LOST

    def read(self, order: Order, payment: Mapping[str, Any]) -> None:
        """What a GET showed: the same payment, and never a way back from where it ended."""
        holds = payment["description"] == order.token and payment["amount"] == order.amount
        self.check("answer", holds=holds, what=f"{order.token} reads {payment}")
        status = payment["status"]
        if order.status in TERMINAL:
            holds = status == order.status
            self.check("I4", holds=holds, what=f"{order.token}: {order.status}, then {status}")
        if status in TERMINAL and not order.is_held:
            fate = (status, payment["failureReason"])
            holds = fate == FATES[order.source]
            self.check("I4", holds=holds, what=f"{order.token} from {order.source}: {fate}")
        order.status = status

    def returning(self, asked: Return) -> None:
        with self._lock:
            self.returns[asked.token] = asked

    def told(self) -> str:
        """The violations, for people."""
        shown = self.violations[:SHOWN_VIOLATIONS]
        more = len(self.violations) - len(shown)
        return "\n".join([*shown, *([f"… and {more} more"] if more else [])])
