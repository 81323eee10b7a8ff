"""Payments and their states.

With automatic capture: PENDING -> PROCESSING -> SUCCESS | FAILED. With manual capture: PENDING ->
PROCESSING -> AUTHORIZED | FAILED; a capture, a cancellation or the end of the hold then leads from
AUTHORIZED to PROCESSING -> SUCCESS | CANCELED | FAILED.

If the network waits for the customer, PROCESSING -> REQUIRES_ACTION. The network's word leads from
there to SUCCESS | AUTHORIZED | FAILED, or to PROCESSING if it decides later; a cancellation, or the
end of the customer's time, to PROCESSING -> CANCELED.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.card_networks import DEFAULT_NETWORK, NetworkState, NextAction
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.origins import Origin

DEFAULT_HOLD_PERIOD: Final = timedelta(days=7)
"""How long an authorization is held by default: as long as card networks hold one."""

DEFAULT_ACTION_PERIOD: Final = timedelta(hours=1)
"""How long a payment waits for its customer by default. A customer who pays is at the screen;
after an hour the shop has given the goods to another one."""

REASON_EXPIRED: Final = "expired"
"""The cancellation reason of a payment whose hold ended before it was captured, or whose customer
did not act in time."""

REASON_REQUESTED_BY_MERCHANT: Final = "requested_by_merchant"
"""The default cancellation reason of a canceled payment."""


class Status(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    AUTHORIZED = "AUTHORIZED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_open(self) -> bool:
        """Whether a worker has to process it."""
        return self in (Status.PENDING, Status.PROCESSING)

    @property
    def is_settled(self) -> bool:
        """Whether it is final: a settled payment changes only by its refunds."""
        return self in (Status.SUCCESS, Status.FAILED, Status.CANCELED)


class CaptureMethod(StrEnum):
    """Whether the amount is captured with the authorization or at the merchant's request."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"

    @property
    def first_step(self) -> "Step":
        return Step.AUTHORIZE if self is CaptureMethod.MANUAL else Step.CHARGE


class Step(StrEnum):
    """The current step of a payment or refund; the last one, if it is settled."""

    CHARGE = "charge"
    """Authorize and capture in one call."""
    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    EXPIRE = "expire"
    ABANDON = "abandon"
    """Give up waiting for the customer: nothing is held or charged yet, and what the network has
    approved meanwhile is undone. The payment is then canceled."""
    REVERSE = "reverse"
    """Undo at the card network what it approved but the payment cannot keep: the ledger refused it,
    or its capture was declined. The payment then fails."""
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A request to charge `source` and to credit the merchant's account."""

    merchant_id: UUID
    money: Money
    source: str
    description: str = "API Payment"
    webhook_url: str | None = None
    idempotency_key: str | None = None
    capture: CaptureMethod = CaptureMethod.AUTOMATIC
    metadata: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """A stored payment. Times come from the database's clock, in UTC."""

    id: UUID
    merchant_id: UUID
    account_id: UUID
    """The merchant's account, which a success credits."""
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
    origin: Origin | None = None
    """Of the request that created it. None if it was recorded without."""
    claimed_at: datetime | None = None
    """When a worker first claimed it."""
    attempt: int = 0
    """How often it has been claimed."""
    expires_at: datetime | None = None
    """When its hold, or its customer's time to act, ends or ended; None if it never had either."""
    capture_amount: int | None = None
    """The amount of the requested capture of a hold."""
    cancellation_reason: str | None = None
    fee: int = 0
    """The part of the captured amount that went to the fee account."""
    refunds_reserved: int = 0
    """The sum of its refunds that have not failed."""
    amount_refunded: int = 0
    """The sum of its refunds that succeeded."""
    network_state: NetworkState | None = None
    """What is known of its open step; None if the network has not been called, or has decided."""
    unresolved_since: datetime | None = None
    """When the network first gave no final response to its open step."""
    network_reference: str | None = None
    """The card network's id of the payment."""
    network: str = DEFAULT_NETWORK
    """The card network that it was accepted for, which settles all its steps and refunds."""
    next_action: NextAction | None = None
    """What its customer has to do; None unless it is REQUIRES_ACTION."""

    @property
    def amount_captured(self) -> int:
        if self.status is not Status.SUCCESS:
            return 0
        return self.money.amount if self.capture_amount is None else self.capture_amount

    @property
    def held_until(self) -> datetime | None:
        """When its hold or its customer's time ends; None if it waits for neither a capture nor the
        customer."""
        is_waiting = self.status in (Status.AUTHORIZED, Status.REQUIRES_ACTION)
        return self.expires_at if is_waiting else None

    @property
    def is_in_doubt(self) -> bool:
        return self.network_state is NetworkState.UNKNOWN

    @property
    def in_doubt_since(self) -> datetime | None:
        """Since when it is not known whether the card network processed its open step."""
        return self.unresolved_since if self.is_in_doubt else None

    @property
    def amount_refundable(self) -> int:
        """The amount that further refunds can have."""
        return self.amount_captured - self.refunds_reserved


@dataclass(frozen=True, slots=True)
class PaymentInsert:
    """A payment to insert as PENDING under `payment_id`.

    It is inserted only if all of these hold: the merchant has an account in its currency; with a
    `key_id`, that API key is active; with `idempotency`, the Idempotency-Key is new. The response
    is stored under the key together with the payment; its body may contain
    COMMIT_TIME_PLACEHOLDER, and ACCOUNT_ID_PLACEHOLDER once, in whose place the id of the account
    is stored.
    """

    payment_id: UUID
    new_payment: NewPayment
    key_id: UUID | None = None
    idempotency: tuple[IdempotentRequest, StoredResponse] | None = None
    network: str = DEFAULT_NETWORK
    """The card network of the deployment. A merchant's own takes its place."""

    def to_payment(self, inserted: "InsertedPayment") -> Payment:
        """The payment as it was inserted."""
        new, (account_id, created_at, network) = self.new_payment, inserted
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
            origin=new.origin,
            network=network,
        )


class InsertedPayment(NamedTuple):
    """The account that a success will credit, and the time of the insert."""

    account_id: UUID
    created_at: datetime
    network: str = DEFAULT_NETWORK


class PaymentLookup(NamedTuple):
    """A payment to find by id and merchant; with a `key_id`, only while that API key is active."""

    merchant_id: UUID
    payment_id: UUID
    key_id: UUID | None = None


class HoldResolution(NamedTuple):
    """How to end a hold, or the wait for a customer. `step` is CAPTURE (of `amount`), VOID or
    EXPIRE (both with a `reason`) of a hold; ABANDON (with a `reason`) of a wait."""

    payment_id: UUID
    step: Step
    amount: int | None = None
    reason: str | None = None
