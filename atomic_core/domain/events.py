"""Payment events: the history of a payment beyond its row and its ledger transaction."""

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.card_networks import NetworkState
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import Status, Step
from atomic_core.domain.settlement import Claim, Settlement, get_settled_amount


class PaymentEventType(StrEnum):
    CREATED = "created"
    PROCESSING = "processing"
    RETRIED = "retried"
    """The request did not reach the card network; it will be sent again."""
    PENDING_AT_NETWORK = "pending_at_network"
    """The card network has the request and decides later."""
    IN_DOUBT = "in_doubt"
    """The card network gave no answer; the request is repeated, then the network is asked about
    it."""
    RELEASE_REFUSED = "release_refused"
    """The card network refused to release money; it is asked again."""
    REVERSAL_STARTED = "reversal_started"
    """What the card network approved is being undone there; the payment then fails."""
    RETRY_REQUESTED = "retry_requested"
    """An operator made the payment or refund due at once."""
    RESOLVED = "resolved"
    """An operator decided the outcome of the step, from the network's records."""
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
    REFUND_PENDING_AT_NETWORK = "refund_pending_at_network"
    REFUND_IN_DOUBT = "refund_in_doubt"
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
    origin: Origin | None = None
    """Of the request that caused it. None if Atomic itself did, or if it was recorded without."""

    @property
    def request_id(self) -> str | None:
        return self.origin.request_id if self.origin else None

    @property
    def server_request_id(self) -> UUID | None:
        return self.origin.server_request_id if self.origin else None


class RecordedEvent(NamedTuple):
    """An event and its time, by the database's clock."""

    event: PaymentEvent
    at: datetime


MAX_RECORDED_FAULTS: Final = 10
"""Responses of a step that are recorded although they are not final. What is known can change with
each of them; the bound keeps a timeline short when a network is away for days."""


def build_settlement_event(claim: Claim, settlement: Settlement) -> PaymentEvent | None:
    """The event of a settlement. None for a charge that ended, because its row and its ledger
    transaction record it, and for an open step about which nothing new is known."""
    if settlement.status is Status.PROCESSING:
        return _build_open_event(claim, settlement)
    if claim.step == Step.CHARGE:
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


def _build_open_event(claim: Claim, settlement: Settlement) -> PaymentEvent | None:
    if settlement.reversal_reason:
        event_type = PaymentEventType.REVERSAL_STARTED
    else:
        state = settlement.network_state
        # The claim's state says what was recorded, unless it follows from an interrupted claim.
        is_known = state is None or (state == claim.network_state and claim.faults > 0)
        if is_known or settlement.faults == claim.faults or claim.faults >= MAX_RECORDED_FAULTS:
            return None
        types = _OPEN_REFUND_EVENT_TYPES if claim.refund_id else _OPEN_PAYMENT_EVENT_TYPES
        event_type = types[NetworkState(state)]
    return PaymentEvent(
        claim.payment_id,
        event_type,
        Status.PROCESSING,
        claim.refund_id,
        claim.attempt,
        reason=settlement.reversal_reason,
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
    Status.AUTHORIZED: PaymentEventType.AUTHORIZED,
    Status.SUCCESS: PaymentEventType.SUCCEEDED,
    Status.FAILED: PaymentEventType.FAILED,
    Status.CANCELED: PaymentEventType.CANCELED,
}
_REFUND_EVENT_TYPES: Final = {
    Status.SUCCESS: PaymentEventType.REFUND_SUCCEEDED,
    Status.FAILED: PaymentEventType.REFUND_FAILED,
}
_OPEN_PAYMENT_EVENT_TYPES: Final = {
    NetworkState.NOT_SENT: PaymentEventType.RETRIED,
    NetworkState.PENDING: PaymentEventType.PENDING_AT_NETWORK,
    NetworkState.UNKNOWN: PaymentEventType.IN_DOUBT,
    NetworkState.REFUSED: PaymentEventType.RELEASE_REFUSED,
}
_OPEN_REFUND_EVENT_TYPES: Final = {
    NetworkState.NOT_SENT: PaymentEventType.REFUND_RETRIED,
    NetworkState.PENDING: PaymentEventType.REFUND_PENDING_AT_NETWORK,
    NetworkState.UNKNOWN: PaymentEventType.REFUND_IN_DOUBT,
}
