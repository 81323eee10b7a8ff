"""The model: what clients requested, what they were answered, and what must have become of it."""

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

from fault.ledger_model import LedgerModel
from fault.network_books import LOSSY_SOURCE

FinalState = tuple[str, str | None]
"""Status and failure reason."""

SUCCESS: Final[FinalState] = ("SUCCESS", None)

FINAL_STATES: Final[Mapping[str, FinalState]] = {
    "tok_visa": SUCCESS,
    "tok_mastercard": SUCCESS,
    "tok_chargeDeclined": ("FAILED", "card_declined"),
    "tok_chargeDeclinedInsufficientFunds": ("FAILED", "insufficient_funds"),
    "tok_chargeDeclinedExpiredCard": ("FAILED", "expired_card"),
    "tok_chargeDeclinedProcessingError": ("FAILED", "processing_error"),
    LOSSY_SOURCE: SUCCESS,
    "tok_captureDeclined": ("FAILED", "capture_declined"),
    "tok_refundDeclined": SUCCESS,
    "tok_slow": SUCCESS,
}
"""How a payment must end: the sandbox network decides by the token."""

DECLINED_SOURCES: Final = frozenset({"tok_chargeDeclined"})
"""Their authorization fails, so they are never held."""

TERMINAL: Final = frozenset({"SUCCESS", "FAILED", "CANCELED"})

MAX_LISTED_VIOLATIONS: Final = 50


@dataclass(frozen=True, slots=True)
class Merchant:
    id: UUID
    api_key: str = field(repr=False)
    account_ids: Mapping[str, UUID]
    """By currency."""


class Acknowledgement(StrEnum):
    NONE = "none yet"
    ACCEPTED = "202"
    REFUSED = "refused"
    LOST = "lost"
    """The connection broke: the outcome is unknown, and without a key it must not be retried."""


@dataclass(slots=True)
class PaymentRequest:
    """A payment that a client requested. Its unique token is the payment's description, so that
    each row in the database can be matched to a request."""

    token: str
    merchant: Merchant
    amount: int
    currency: str
    source: str
    acknowledgement: Acknowledgement = Acknowledgement.NONE
    payment_id: str = ""
    last_status: str = ""
    """The status that a client saw last."""
    is_manual_capture: bool = False
    captured_amount: int | None = None
    """The amount of the accepted capture."""
    is_canceled: bool = False
    """Whether a cancellation was accepted."""

    @property
    def body(self) -> dict[str, object]:
        body: dict[str, object] = {
            "amount": self.amount,
            "currency": self.currency,
            "source": self.source,
            "description": self.token,
        }
        return body | ({"capture": "manual"} if self.is_manual_capture else {})

    @property
    def final_state(self) -> FinalState:
        """How the payment must end. A hold that is never captured is canceled or expires."""
        final_state = FINAL_STATES[self.source]
        if not self.is_manual_capture or self.source in DECLINED_SOURCES:
            return final_state
        if self.captured_amount is not None:
            return final_state
        return ("CANCELED", None)


@dataclass(slots=True)
class RefundRequest:
    """A refund that a client requested. Its unique token is the refund's reason."""

    token: str
    payment: PaymentRequest
    amount: int
    is_accepted: bool = False
    refund_id: str = ""


@dataclass(frozen=True, slots=True)
class FirstResponse:
    """The first response to an Idempotency-Key. Keeps a hash of the body, to save memory."""

    path: str
    body: Mapping[str, object]
    key: str
    merchant: Merchant
    response_hash: bytes


def hash_response(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


@dataclass
class Oracle:
    """Everything that clients requested and observed, and the violations found so far."""

    payment_requests: dict[str, PaymentRequest] = field(default_factory=dict)
    refund_requests: dict[str, RefundRequest] = field(default_factory=dict)
    ledger: LedgerModel = field(default_factory=LedgerModel)
    violations: list[str] = field(default_factory=list)
    check_counts: Counter[str] = field(default_factory=Counter)
    """How often each invariant was checked."""
    started: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _accepted_count: int = 0

    def add_violation(self, invariant: str, details: str) -> None:
        with self._lock:
            elapsed = time.monotonic() - self.started
            self.violations.append(f"{elapsed:7.2f} s  {invariant}  {details}")

    def check(self, invariant: str, *, holds: bool, details: str) -> bool:
        """Count the check and record a violation unless the invariant holds; return `holds`."""
        with self._lock:
            self.check_counts[invariant] += 1
        if not holds:
            self.add_violation(invariant, details)
        return holds

    def add_payment_requests(self, requests: Sequence[PaymentRequest]) -> None:
        """Must be called before the requests are sent."""
        with self._lock:
            for request in requests:
                self.payment_requests[request.token] = request

    def add_refund_request(self, refund: RefundRequest) -> None:
        """Must be called before the request is sent."""
        with self._lock:
            self.refund_requests[refund.token] = refund

    def record_accepted(self, request: PaymentRequest, payment: Mapping[str, Any]) -> None:
        """Record a 202, the first one or a replay."""
        echoed = {name: payment[name] for name in request.body}
        is_echo = echoed == request.body and payment["merchantId"] == str(request.merchant.id)
        self.check("response", holds=is_echo, details=f"{request.token} was answered {payment}")
        if request.acknowledgement is Acknowledgement.ACCEPTED:
            is_same = request.payment_id == payment["id"]
            self.check("I7", holds=is_same, details=f"{request.token} has two payment ids")
            return
        request.payment_id = payment["id"]
        request.acknowledgement = Acknowledgement.ACCEPTED
        with self._lock:
            self._accepted_count += 1

    @property
    def accepted_count(self) -> int:
        return self._accepted_count

    def record_refused(self, requests: Sequence[PaymentRequest]) -> None:
        for request in requests:
            request.acknowledgement = Acknowledgement.REFUSED

    def record_lost(self, requests: Sequence[PaymentRequest]) -> None:
        for request in requests:
            request.acknowledgement = Acknowledgement.LOST

    def check_read(self, request: PaymentRequest, payment: Mapping[str, Any]) -> None:
        """Check a GET: it shows the requested payment, whose final status never changes."""
        holds = payment["description"] == request.token and payment["amount"] == request.amount
        self.check("response", holds=holds, details=f"GET of {request.token} returned {payment}")
        status = payment["status"]
        if request.last_status in TERMINAL:
            holds = status == request.last_status
            details = f"{request.token} changed from {request.last_status} to {status}"
            self.check("I4", holds=holds, details=details)
        if status in TERMINAL and not request.is_manual_capture:
            state = (status, payment["failureReason"])
            holds = state == FINAL_STATES[request.source]
            self.check("I4", holds=holds, details=f"{request.token}, {request.source}: {state}")
        request.last_status = status

    def format_violations(self) -> str:
        listed = self.violations[:MAX_LISTED_VIOLATIONS]
        omitted = len(self.violations) - len(listed)
        return "\n".join([*listed, *([f"… and {omitted} more"] if omitted else [])])
