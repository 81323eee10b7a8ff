"""Payment events: the history of a payment beyond its row and its ledger transaction."""

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.payments import Status, Step
from atomic_core.domain.settlement import Claim, Settlement, get_settled_amount


class PaymentEventType(StrEnum):
    CREATED = "created"
    PROCESSING = "processing"
    RETRIED = "retried"
    """The card network failed; the step will be tried again."""
    AUTHORIZED = "authorized"
    CAPTURE_REQUESTED = "capture_requested"
    CANCEL_REQUESTED = "cancel_requested"
    EXPIRED = "expired"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUND_CREATED = "refund_created"
    REFUND_PROCESSING = "refund_processing"
    REFUND_RESERVED = "refund_reserved"
    REFUND_RETRIED = "refund_retried"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_FAILED = "refund_failed"


class PaymentEvent(NamedTuple):
    """One event. `status` is that of the payment after it, or of the refund if it is a refund's."""

    payment_id: UUID
    type: PaymentEventType
    status: Status
    refund_id: UUID | None = None
    attempt: int | None = None
    """The settlement attempt, if a worker caused the event."""
    amount: int | None = None
    reason: str | None = None
    request_id: str | None = None


class RecordedEvent(NamedTuple):
    """An event and its time, by the database's clock."""

    event: PaymentEvent
    at: datetime


def build_settlement_event(claim: Claim, settlement: Settlement) -> PaymentEvent | None:
    """The event of a settlement. None for a charge that ended, because its row and its ledger
    transaction record it, and for a postponement."""
    is_retry = settlement.status is Status.PROCESSING
    if is_retry and settlement.faults == claim.faults:
        return None
    if claim.step == Step.CHARGE and not is_retry:
        return None
    types = _REFUND_EVENT_TYPES if claim.refund_id else _PAYMENT_EVENT_TYPES
    return PaymentEvent(
        claim.payment_id,
        types[settlement.status],
        settlement.status,
        claim.refund_id,
        claim.attempt,
        get_settled_amount(claim) if settlement.status is Status.SUCCESS else None,
        settlement.failure_reason,
    )


def build_reservation_event(claim: Claim) -> PaymentEvent:
    return PaymentEvent(
        claim.payment_id,
        PaymentEventType.REFUND_RESERVED,
        Status.PROCESSING,
        claim.refund_id,
        claim.attempt,
        claim.amount,
    )


_PAYMENT_EVENT_TYPES: Final = {
    Status.PROCESSING: PaymentEventType.RETRIED,
    Status.AUTHORIZED: PaymentEventType.AUTHORIZED,
    Status.SUCCESS: PaymentEventType.SUCCEEDED,
    Status.FAILED: PaymentEventType.FAILED,
    Status.CANCELED: PaymentEventType.CANCELED,
}
_REFUND_EVENT_TYPES: Final = {
    Status.PROCESSING: PaymentEventType.REFUND_RETRIED,
    Status.SUCCESS: PaymentEventType.REFUND_SUCCEEDED,
    Status.FAILED: PaymentEventType.REFUND_FAILED,
}
