"""A payment and its life.

Captured automatically: PENDING -> PROCESSING -> SUCCESS | FAILED. By hand: PENDING -> PROCESSING ->
AUTHORIZED, where the money is held; then, asked to capture or to cancel, or when the hold expires,
-> PROCESSING -> SUCCESS | CANCELED | FAILED.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.money import Money

DEFAULT_HOLD_PERIOD: Final = timedelta(days=7)
"""How long money is held unless configuration says otherwise: as long as card networks do."""

REASON_EXPIRED: Final = "expired"
"""Why a payment is CANCELED whose hold nobody captured in time."""

REASON_REQUESTED_BY_MERCHANT: Final = "requested_by_merchant"
"""Why it is, when the merchant asked for it and said no more."""


class Status(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_open(self) -> bool:
        """Whether there is work to do for it."""
        return self in (Status.PENDING, Status.PROCESSING)

    @property
    def is_settled(self) -> bool:
        """Whether this is the end: a settled payment never changes again, but for its refunds."""
        return self in (Status.SUCCESS, Status.FAILED, Status.CANCELED)


class CaptureMethod(StrEnum):
    """Whether the money is taken with the authorization, or when the merchant says so."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"

    @property
    def first_step(self) -> "Step":
        return Step.AUTHORIZE if self is CaptureMethod.MANUAL else Step.CHARGE


class Step(StrEnum):
    """What the open work of a payment is, or its last was; or of a refund."""

    CHARGE = "charge"
    """Authorize and capture in one."""
    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    EXPIRE = "expire"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What a merchant asks for: charge `source` and credit the merchant's account."""

    merchant_id: UUID
    money: Money
    source: str
    description: str = "API Payment"
    webhook_url: str | None = None
    idempotency_key: str | None = None
    capture: CaptureMethod = CaptureMethod.AUTOMATIC
    metadata: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = None
    """Of the request that asks for it."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as recorded. Times come from the database's clock, in UTC."""

    id: UUID
    merchant_id: UUID
    account_id: UUID
    """The merchant's account that a success credits."""
    money: Money
    source: str
    description: str
    status: Status
    idempotency_key: str | None
    webhook_url: str | None
    failure_reason: str | None
    created_at: datetime
    updated_at: datetime
    capture: CaptureMethod = CaptureMethod.AUTOMATIC
    step: Step = Step.CHARGE
    metadata: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = None
    claimed_at: datetime | None = None
    """When it was first taken up for settling."""
    attempt: int = 0
    """How often it was."""
    expires_at: datetime | None = None
    """The end of its hold, if it ever had one."""
    capture_amount: int | None = None
    """What was asked to be captured of a hold."""
    cancellation_reason: str | None = None
    fee: int = 0
    """What of the captured amount went to the house."""
    refunds_reserved: int = 0
    """The sum of its refunds that have not failed."""
    amount_refunded: int = 0
    """The sum of its refunds that succeeded."""

    @property
    def amount_captured(self) -> int:
        if self.status is not Status.SUCCESS:
            return 0
        return self.money.amount if self.capture_amount is None else self.capture_amount

    @property
    def amount_refundable(self) -> int:
        """What can still be asked back."""
        return self.amount_captured - self.refunds_reserved


@dataclass(frozen=True, slots=True)
class PaymentInsert:
    """A payment to insert as PENDING under `payment_id`.

    It is inserted only if all of these hold: the merchant has an account in its currency; with a
    `key_id`, that API key is active; with `idempotency`, the Idempotency-Key is new. The response
    is stored under the key together with the payment; its body may contain
    COMMIT_TIME_PLACEHOLDER.
    """

    payment_id: UUID
    new_payment: NewPayment
    key_id: UUID | None = None
    idempotency: tuple[IdempotentRequest, StoredResponse] | None = None

    def to_payment(self, inserted: "InsertedPayment") -> Payment:
        """The payment as it was inserted."""
        new, (account_id, created_at) = self.new_payment, inserted
        return Payment(
            id=self.payment_id,
            merchant_id=new.merchant_id,
            account_id=account_id,
            money=new.money,
            source=new.source,
            description=new.description,
            status=Status.PENDING,
            idempotency_key=new.idempotency_key,
            webhook_url=new.webhook_url,
            failure_reason=None,
            created_at=created_at,
            updated_at=created_at,
            capture=new.capture,
            step=new.capture.first_step,
            metadata=new.metadata,
            request_id=new.request_id,
        )


class InsertedPayment(NamedTuple):
    """Where a recorded payment will be credited, and when it was recorded."""

    account_id: UUID
    created_at: datetime


class PaymentLookup(NamedTuple):
    """A payment to find for its merchant; with a `key_id`, only while that API key is active."""

    merchant_id: UUID
    payment_id: UUID
    key_id: UUID | None = None


class HoldResolution(NamedTuple):
    """What shall become of a hold: `step` is CAPTURE (of `amount`), VOID (for a `reason`)."""

    payment_id: UUID
    step: Step
    amount: int | None = None
    reason: str | None = None
