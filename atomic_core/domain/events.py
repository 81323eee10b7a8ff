"""Events: the timeline of a payment, and the stream of what happened to a merchant's payments."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.admin_queries import UnresolvedStep
from atomic_core.domain.card_networks import NetworkState
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import Status
from atomic_core.domain.settlement import Claim, Settlement, get_settled_amount


class EventType(StrEnum):
    CREATED = "payment.created"
    PROCESSING = "payment.processing"
    RETRIED = "payment.retried"
    """The request did not reach the card network; it will be sent again."""
    PENDING_AT_NETWORK = "payment.pending_at_network"
    """The card network has the request and decides later."""
    IN_DOUBT = "payment.in_doubt"
    """The card network gave no answer; the request is repeated, then the network is queried about
    it. In the stream only once the doubt has lasted for long: see `is_in_stream`."""
    RELEASE_REFUSED = "payment.release_refused"
    """The card network refused to release money; the request is repeated."""
    REVERSAL_STARTED = "payment.reversal_started"
    """What the card network approved is being undone there; the payment then fails."""
    RETRY_REQUESTED = "payment.retry_requested"
    """An operator made the payment or refund due at once."""
    RESOLVED = "payment.resolved"
    """An operator decided the outcome of the step, from the network's records."""
    REQUIRES_ACTION = "payment.requires_action"
    """The card network waits for the customer, who has to authenticate."""
    AUTHORIZED = "payment.authorized"
    CAPTURE_REQUESTED = "payment.capture_requested"
    CANCEL_REQUESTED = "payment.cancel_requested"
    EXPIRED = "payment.expired"
    SUCCEEDED = "payment.succeeded"
    FAILED = "payment.failed"
    CANCELED = "payment.canceled"
    REFUND_CREATED = "refund.created"
    REFUND_PROCESSING = "refund.processing"
    REFUND_RESERVED = "refund.reserved"
    REFUND_RETRIED = "refund.retried"
    REFUND_PENDING_AT_NETWORK = "refund.pending_at_network"
    REFUND_IN_DOUBT = "refund.in_doubt"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    ACCOUNT_CREATED = "account.created"
    ACCOUNT_UPDATED = "account.updated"
    """Its name or its metadata."""
    ACCOUNT_FROZEN = "account.frozen"
    ACCOUNT_CLOSED = "account.closed"
    ACCOUNT_REOPENED = "account.reopened"
    LEDGER_TRANSACTION_PENDING = "ledger_transaction.pending"
    LEDGER_TRANSACTION_POSTED = "ledger_transaction.posted"
    LEDGER_TRANSACTION_VOIDED = "ledger_transaction.voided"
    LEDGER_TRANSACTION_EXPIRED = "ledger_transaction.expired"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_UPDATED = "dispute.updated"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    """By Atomic, because its receiver is gone or has failed for days."""

    @property
    def timeline_name(self) -> str:
        """The name in timelines, which are older than the stream."""
        return self.removeprefix("payment.").replace(".", "_")


STREAM_TYPES: Final = frozenset(
    {
        EventType.REQUIRES_ACTION,
        EventType.AUTHORIZED,
        EventType.CAPTURE_REQUESTED,
        EventType.CANCEL_REQUESTED,
        EventType.IN_DOUBT,
        EventType.SUCCEEDED,
        EventType.FAILED,
        EventType.CANCELED,
        EventType.REFUND_CREATED,
        EventType.REFUND_IN_DOUBT,
        EventType.REFUND_SUCCEEDED,
        EventType.REFUND_FAILED,
        EventType.ACCOUNT_CREATED,
        EventType.ACCOUNT_UPDATED,
        EventType.ACCOUNT_FROZEN,
        EventType.ACCOUNT_CLOSED,
        EventType.ACCOUNT_REOPENED,
        EventType.LEDGER_TRANSACTION_PENDING,
        EventType.LEDGER_TRANSACTION_POSTED,
        EventType.LEDGER_TRANSACTION_VOIDED,
        EventType.LEDGER_TRANSACTION_EXPIRED,
        EventType.DISPUTE_OPENED,
        EventType.DISPUTE_UPDATED,
        EventType.DISPUTE_WON,
        EventType.DISPUTE_LOST,
        EventType.WEBHOOK_ENDPOINT_DISABLED,
    }
)
"""What a merchant's own systems act on. Retries and other inner steps are in timelines only.
Payments have no event of their creation: each of them would lock the counter of the stream."""

DOUBT_TYPES: Final = frozenset({EventType.IN_DOUBT, EventType.REFUND_IN_DOUBT})
"""Of an attempt that got no answer, or of a doubt that has lasted for long."""


class Event(NamedTuple):
    """One event. `status` is that of the payment after it, or of the refund if it is a refund's."""

    merchant_id: UUID
    type: EventType
    payment_id: UUID | None
    status: Status | None
    refund_id: UUID | None = None
    attempt: int | None = None
    """The settlement attempt, if a worker caused the event."""
    amount: int | None = None
    """Minor units: what was captured, refunded or reserved, or is to be."""
    reason: str | None = None
    origin: Origin | None = None
    """Of the request that caused it. None if Atomic itself did, or if it was recorded without."""
    data: Mapping[str, object] | None = None
    """What an event is about that is neither a payment's nor a refund's, named as in the API."""

    @property
    def request_id(self) -> str | None:
        return self.origin.request_id if self.origin else None

    @property
    def server_request_id(self) -> UUID | None:
        return self.origin.server_request_id if self.origin else None


def is_in_stream(event: Event) -> bool:
    """Whether the merchant's own systems act on it. An attempt without an answer is of the timeline
    only: the next one usually has the answer."""
    if event.type in DOUBT_TYPES:
        return event.attempt is None
    return event.type in STREAM_TYPES


class RecordedEvent(NamedTuple):
    """An event and its time, by the database's clock."""

    event: Event
    at: datetime


class StreamEvent(NamedTuple):
    """An event of a merchant's stream, with its data. It never changes."""

    event: Event
    id: UUID
    sequence: int
    """From 1, without gaps per merchant, in the order of commits."""
    occurred_at: datetime


class EventFilter(NamedTuple):
    """An event must meet all conditions."""

    types: frozenset[EventType] = frozenset()
    """Any of these; empty for every type."""
    payment_id: UUID | None = None
    after: int | None = None
    """Sequence numbers above this one."""
    before: int | None = None
    """Sequence numbers below this one."""


class StreamRead(NamedTuple):
    """One page of a merchant's stream, in or against the order of sequence numbers."""

    merchant_id: UUID
    filters: EventFilter
    limit: int
    is_oldest_first: bool
    key_id: UUID | None = None
    """The API key of the reader, which must be active. None: the reader needs no key."""


MAX_RECORDED_FAULTS: Final = 10
"""Responses of a step that are recorded although they are not final. What is known can change with
each of them; the bound keeps a timeline short when a network is away for days."""


def build_settlement_event(claim: Claim, settlement: Settlement) -> Event | None:
    """The event of a settlement. None for an open step about which nothing new is known."""
    if settlement.status is Status.PROCESSING:
        return _build_open_event(claim, settlement)
    if settlement.status is Status.REQUIRES_ACTION and claim.awaits_customer:
        return None
    types = _REFUND_EVENT_TYPES if claim.refund_id else _PAYMENT_EVENT_TYPES
    return Event(
        claim.merchant_id,
        types[settlement.status],
        claim.payment_id,
        settlement.status,
        claim.refund_id,
        claim.attempt,
        get_settled_amount(claim) if settlement.status is Status.SUCCESS else None,
        settlement.failure_reason,
    )


def _build_open_event(claim: Claim, settlement: Settlement) -> Event | None:
    if settlement.reversal_reason:
        event_type = EventType.REVERSAL_STARTED
    else:
        state = settlement.network_state
        # The claim's state says what was recorded, unless it follows from an interrupted claim.
        is_known = state is None or (state == claim.network_state and claim.faults > 0)
        if is_known or settlement.faults == claim.faults or claim.faults >= MAX_RECORDED_FAULTS:
            return None
        types = _OPEN_REFUND_EVENT_TYPES if claim.refund_id else _OPEN_PAYMENT_EVENT_TYPES
        event_type = types[NetworkState(state)]
    return Event(
        claim.merchant_id,
        event_type,
        claim.payment_id,
        Status.PROCESSING,
        claim.refund_id,
        claim.attempt,
        reason=settlement.reversal_reason,
    )


def build_account_event(
    merchant_id: UUID,
    account: Account,
    origin: Origin | None,
    type: EventType = EventType.ACCOUNT_CREATED,
) -> Event:
    data = {
        "id": str(account.id),
        "name": account.name,
        "currency": account.currency,
        "type": str(account.type),
        "status": str(account.status),
        "minBalance": account.min_balance,
        "maxBalance": account.max_balance,
        "externalId": account.external_id,
        "metadata": dict(account.metadata),
    }
    return Event(merchant_id, type, None, None, origin=origin, data=data)


def build_reservation_event(claim: Claim) -> Event:
    return Event(
        claim.merchant_id,
        EventType.REFUND_RESERVED,
        claim.payment_id,
        Status.PROCESSING,
        claim.refund_id,
        claim.attempt,
        claim.amount,
    )


def build_doubt_event(doubt: UnresolvedStep) -> Event:
    """Of a step that has been in doubt for long, whatever its last attempt."""
    event_type = EventType.REFUND_IN_DOUBT if doubt.refund_id else EventType.IN_DOUBT
    return Event(
        doubt.merchant_id, event_type, doubt.payment_id, Status.PROCESSING, doubt.refund_id
    )


class EventSubject(NamedTuple):
    """What never changes of the payment or refund that an event is about."""

    amount: int
    currency: str
    metadata: Mapping[str, str]
    reason: str | None
    """Of a canceled payment: why. Of a refund: why."""
    fee: int = 0
    """Of a payment that succeeded."""


def build_data(event: Event, subject: EventSubject) -> dict[str, object]:
    """The payment or refund as it was directly after the event, named as in the API. An event
    stores what changes; the rest is read from the row of its subject."""
    if event.refund_id:
        return _build_refund_data(event, subject)
    is_success = event.type is EventType.SUCCEEDED
    is_cancellation = event.type in (EventType.CANCEL_REQUESTED, EventType.CANCELED)
    return {
        "id": str(event.payment_id),
        "status": str(event.status),
        "amount": subject.amount,
        "currency": subject.currency,
        "amountCaptured": event.amount if is_success else 0,
        "fee": subject.fee if is_success else 0,
        "failureReason": event.reason if event.type is EventType.FAILED else None,
        "cancellationReason": subject.reason if is_cancellation else None,
        "metadata": dict(subject.metadata),
    }


def _build_refund_data(event: Event, subject: EventSubject) -> dict[str, object]:
    return {
        "id": str(event.refund_id),
        "paymentId": str(event.payment_id),
        "status": str(event.status),
        "amount": subject.amount,
        "currency": subject.currency,
        "reason": subject.reason,
        "failureReason": event.reason if event.type is EventType.REFUND_FAILED else None,
        "metadata": dict(subject.metadata),
    }


_PAYMENT_EVENT_TYPES: Final = {
    Status.REQUIRES_ACTION: EventType.REQUIRES_ACTION,
    Status.AUTHORIZED: EventType.AUTHORIZED,
    Status.SUCCESS: EventType.SUCCEEDED,
    Status.FAILED: EventType.FAILED,
    Status.CANCELED: EventType.CANCELED,
}
_REFUND_EVENT_TYPES: Final = {
    Status.SUCCESS: EventType.REFUND_SUCCEEDED,
    Status.FAILED: EventType.REFUND_FAILED,
}
_OPEN_PAYMENT_EVENT_TYPES: Final = {
    NetworkState.NOT_SENT: EventType.RETRIED,
    NetworkState.PENDING: EventType.PENDING_AT_NETWORK,
    NetworkState.UNKNOWN: EventType.IN_DOUBT,
    NetworkState.REFUSED: EventType.RELEASE_REFUSED,
}
_OPEN_REFUND_EVENT_TYPES: Final = {
    NetworkState.NOT_SENT: EventType.REFUND_RETRIED,
    NetworkState.PENDING: EventType.REFUND_PENDING_AT_NETWORK,
    NetworkState.UNKNOWN: EventType.REFUND_IN_DOUBT,
}
