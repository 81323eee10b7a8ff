"""A payment and its life: PENDING -> PROCESSING -> SUCCESS | FAILED."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.ledger import Kind, Leg, Posting, Refusal, world_account_id
from atomic_core.domain.money import Money

MAX_NETWORK_ATTEMPTS: Final = 3
"""How often a payment is tried against a faulty card network before it fails (api.md)."""

BACK_OFF_BASE: Final = timedelta(seconds=2)
"""Wait after the first network fault; doubled after each further one (api.md)."""

BUSY_PAUSE: Final = timedelta(milliseconds=500)
"""Wait before another try when somebody else holds the payment's account: about one sweep."""

PROCESSING_ERROR: Final = "processing_error"


class Status(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"

    @property
    def settled(self) -> bool:
        """Whether this is the end: a settled payment never changes again."""
        return self in (Status.SUCCESS, Status.FAILED)


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What a merchant asks for: charge `source` and credit the merchant's account."""

    merchant_id: UUID
    money: Money
    source: str
    description: str = "API Payment"
    webhook_url: str | None = None
    idempotency_key: str | None = None


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


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A payment to record as PENDING, under the id it shall have.

    Recorded only if the merchant has an account in its currency; with a `key_id`, only while
    that API key is active; with a `record`, only if its Idempotency-Key is new, and together
    with it. The record's answer may hold STORE_TIME for the moment of recording.
    """

    payment_id: UUID
    order: NewPayment
    key_id: UUID | None = None
    record: tuple[IdempotentRequest, StoredResponse] | None = None

    def recorded(self, accepted: "Accepted") -> Payment:
        """The payment as it stands once it is accepted."""
        order, (account_id, created_at) = self.order, accepted
        return Payment(
            id=self.payment_id,
            merchant_id=order.merchant_id,
            account_id=account_id,
            money=order.money,
            source=order.source,
            description=order.description,
            status=Status.PENDING,
            idempotency_key=order.idempotency_key,
            webhook_url=order.webhook_url,
            failure_reason=None,
            created_at=created_at,
            updated_at=created_at,
        )


class Accepted(NamedTuple):
    """Where a recorded payment will be credited, and when it was recorded."""

    account_id: UUID
    created_at: datetime


class Lookup(NamedTuple):
    """A payment to find for its merchant; with a `key_id`, only while that API key is active."""

    merchant_id: UUID
    payment_id: UUID
    key_id: UUID | None = None


class Claim(NamedTuple):
    """A payment in the hands of one settler until its lease ends, or the settler dies.

    `attempt` is the fencing number: it grows with each claim, and only the settler that holds
    the latest may finish the payment. `faults` counts network faults so far.
    """

    payment_id: UUID
    attempt: int
    faults: int
    account_id: UUID
    amount: int
    currency: str
    source: str


class Verdict(StrEnum):
    APPROVED = "approved"
    DECLINED = "declined"
    FAULT = "fault"


class Authorization(NamedTuple):
    """The card network's answer. `reason` says why for DECLINED, and is None otherwise."""

    verdict: Verdict
    reason: str | None = None


class Settlement(NamedTuple):
    """What became of one claim: an end, or another try after `retry_after`."""

    payment_id: UUID
    status: Status
    failure_reason: str | None
    faults: int
    retry_after: timedelta | None


def posting_of(claim: Claim, transaction_id: UUID) -> Posting:
    """A success debits the currency's World account and credits the merchant's."""
    return Posting(
        transaction_id,
        claim.payment_id,
        Kind.PAYMENT,
        (
            Leg(world_account_id(claim.currency), -claim.amount),
            Leg(claim.account_id, claim.amount),
        ),
    )


def settlement_of(
    claim: Claim, authorization: Authorization, refusal: Refusal | None
) -> Settlement:
    """Decide a claim from what the network said and, if it approved, what the ledger said."""
    if authorization.verdict is Verdict.FAULT:
        return _faulted(claim)
    reason = refusal.value if refusal else authorization.reason
    approved = authorization.verdict is Verdict.APPROVED and refusal is None
    status = Status.SUCCESS if approved else Status.FAILED
    return Settlement(claim.payment_id, status, reason, claim.faults, None)


def postponed(claim: Claim) -> Settlement:
    """Given back undecided, to be due again soon. No fault of the network, so none is counted."""
    return Settlement(claim.payment_id, Status.PROCESSING, None, claim.faults, BUSY_PAUSE)


def _faulted(claim: Claim) -> Settlement:
    faults = claim.faults + 1
    if faults >= MAX_NETWORK_ATTEMPTS:
        return Settlement(claim.payment_id, Status.FAILED, PROCESSING_ERROR, faults, None)
    wait = BACK_OFF_BASE * 2 ** (faults - 1)
    return Settlement(claim.payment_id, Status.PROCESSING, None, faults, wait)
