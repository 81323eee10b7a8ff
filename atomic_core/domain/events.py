"""What happened to a payment beyond what its row and its ledger transaction tell."""

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
    """The card network failed in passing; it will be asked again."""
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
    """One thing that happened. `status` is the payment's after it, or the refund's."""

    payment_id: UUID
    type: PaymentEventType
    status: Status
    refund_id: UUID | None = None
    attempt: int | None = None
    """Of settling, if a settler did it."""
    amount: int | None = None
    reason: str | None = None
    request_id: str | None = None


class RecordedEvent(NamedTuple):
    """An event and when it was."""

    event: PaymentEvent
    at: datetime


def build_settlement_event(claim: Claim, settlement: Settlement) -> PaymentEvent | None:
    """What a settlement has to tell. None for a charge that went as charges go, which its row and
    its ledger transaction tell already, and for one that was merely put off."""
    is_retry = settlement.status is Status.PROCESSING
    if is_retry and settlement.faults == claim.faults:
        return None
    if claim.step == Step.CHARGE and not is_retry:
        return None
    event = (_OF_REFUNDS if claim.refund_id else _OF_PAYMENTS)[settlement.status]
    return PaymentEvent(
        claim.payment_id,
        event,
        settlement.status,
        claim.refund_id,
        claim.attempt,
        get_settled_amount(claim) if settlement.status is Status.SUCCESS else None,
        settlement.failure_reason,
    )


def build_reservation_event(claim: Claim) -> PaymentEvent:
    """A refund's amount is promised."""
    return PaymentEvent(
        claim.payment_id,
        PaymentEventType.REFUND_RESERVED,
        Status.PROCESSING,
        claim.refund_id,
        claim.attempt,
        claim.amount,
    )


_OF_PAYMENTS: Final = {
    Status.PROCESSING: PaymentEventType.RETRIED,
    Status.AUTHORIZED: PaymentEventType.AUTHORIZED,
    Status.SUCCESS: PaymentEventType.SUCCEEDED,
    Status.FAILED: PaymentEventType.FAILED,
    Status.CANCELED: PaymentEventType.CANCELED,
}
_OF_REFUNDS: Final = {
    Status.PROCESSING: PaymentEventType.REFUND_RETRIED,
    Status.SUCCESS: PaymentEventType.REFUND_SUCCEEDED,
    Status.FAILED: PaymentEventType.REFUND_FAILED,
}
