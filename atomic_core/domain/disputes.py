"""Disputes and their states: NEEDS_RESPONSE -> UNDER_REVIEW -> WON | LOST. The card network decides
each step; NEEDS_RESPONSE can also end directly.

Opening a dispute debits the merchant's account by the disputed amount and the network's fee,
whatever its balance. Winning it credits what the network returns.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.ledger import TransactionKind
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment
from atomic_core.domain.posting import Leg, Posting
from atomic_core.domain.timestamps import format_rfc3339

LEASE: Final = timedelta(seconds=60)
"""How long a worker has for one dispute: longer than a request to a network takes."""

CHECK_INTERVAL: Final = timedelta(hours=24)
"""How often an open dispute is looked up, in case an event of the network was lost."""

MAX_REFUND_WAIT: Final = 60
"""How often the opening of a dispute waits, a second each time, for a refund of the payment that
may have been sent: its outcome decides what the network can still dispute."""

RESPONSE_REFUSED: Final = "response_refused"
"""The network took neither the evidence nor the acceptance, for example because it was late."""


class Evidence(NamedTuple):
    """The texts with which a merchant contests a dispute. Adapters map them to their network's
    names."""

    explanation: str | None = None
    product_description: str | None = None
    customer_name: str | None = None
    customer_email: str | None = None
    shipping_carrier: str | None = None
    shipping_tracking_number: str | None = None
    shipping_date: str | None = None
    service_date: str | None = None
    refund_policy: str | None = None
    access_activity_log: str | None = None

    def get_texts(self) -> dict[str, str]:
        """Those that there are, by field."""
        return {name: text for name, text in self._asdict().items() if text is not None}


class DisputeStatus(StrEnum):
    NEEDS_RESPONSE = "NEEDS_RESPONSE"
    UNDER_REVIEW = "UNDER_REVIEW"
    WON = "WON"
    """Decided for the merchant, who gets the amount back."""
    LOST = "LOST"

    @property
    def is_final(self) -> bool:
        return self in (DisputeStatus.WON, DisputeStatus.LOST)


class DisputeResponse(StrEnum):
    """What a merchant has requested to be sent to the network."""

    EVIDENCE = "evidence"
    ACCEPTANCE = "acceptance"


class NetworkDispute(NamedTuple):
    """A dispute as the card network has it. Amounts are in minor units of `currency`."""

    reference: str
    payment_id: UUID
    """Ours, as the network has it: there may be no such payment."""
    status: DisputeStatus
    amount: int
    currency: str
    fee: int
    """What the network has withdrawn beside the amount."""
    fee_returned: int
    """The part of it that the network has returned."""
    reason: str
    evidence_due_at: datetime | None = None
    check_after: timedelta = CHECK_INTERVAL
    """When to look it up again while it is open."""


class DisputeVerdict(StrEnum):
    """What a call of the network says about a dispute."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    """There is no such dispute, or one that has moved no money and is not going to."""
    PENDING = "pending"
    """The dispute has not moved money yet."""
    REFUSED = "refused"
    """Of a response: the network does not take it."""
    UNKNOWN = "unknown"
    """No answer, or none that decides anything."""


class DisputeReport(NamedTuple):
    """The network's answer. `dispute` is set if it was found."""

    verdict: DisputeVerdict
    dispute: NetworkDispute | None = None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A stored dispute. Times come from the database's clock, in UTC."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    account_id: UUID
    """The payment's account."""
    network: str
    network_reference: str
    money: Money
    """What is disputed: the payment, or a part of it."""
    fee: int
    """Minor units, debited with the amount."""
    reason: str
    """The network's word, such as `fraudulent`."""
    evidence_due_at: datetime | None
    created_at: datetime
    updated_at: datetime
    status: DisputeStatus = DisputeStatus.NEEDS_RESPONSE
    fee_returned: int = 0
    """Minor units, credited with the amount when it was won."""
    evidence: Evidence | None = None
    pending_response: DisputeResponse | None = None
    """What is to be sent to the network, until it has confirmed it."""
    response_failure: str | None = None
    """Why the last response was not taken."""
    closed_at: datetime | None = None
    attempt: int = 0
    """How often it has been claimed: the fencing token of a claim."""
    faults: int = 0
    """Calls in a row without an answer."""

    @property
    def is_answerable(self) -> bool:
        return self.status is DisputeStatus.NEEDS_RESPONSE and self.pending_response is None


class DisputeRequest(NamedTuple):
    """What a call of the network is about. `payment` and `dispute` are as Atomic has them: None if
    the event that named the dispute says nothing about the payment, or the dispute is not recorded
    yet."""

    reference: str
    payment: Payment | None = None
    dispute: Dispute | None = None


_RANKS: Final = {
    DisputeStatus.NEEDS_RESPONSE: 0,
    DisputeStatus.UNDER_REVIEW: 1,
    DisputeStatus.WON: 2,
    DisputeStatus.LOST: 2,
}


def apply_report(dispute: Dispute, reported: NetworkDispute) -> Dispute:
    """The dispute after what the network has reported. A report that is older than what is known
    changes nothing; a closed dispute is final. The amount and the fee are those of its opening."""
    if dispute.status.is_final or _RANKS[reported.status] < _RANKS[dispute.status]:
        return dispute
    is_won = reported.status is DisputeStatus.WON
    is_answered = reported.status is not DisputeStatus.NEEDS_RESPONSE
    return replace(
        dispute,
        status=reported.status,
        evidence_due_at=reported.evidence_due_at or dispute.evidence_due_at,
        fee_returned=min(dispute.fee, max(0, reported.fee_returned)) if is_won else 0,
        pending_response=None if is_answered else dispute.pending_response,
        response_failure=None if is_answered else dispute.response_failure,
    )


def refuse_response(dispute: Dispute) -> Dispute:
    """The dispute after the network did not take the merchant's response."""
    return replace(dispute, pending_response=None, response_failure=RESPONSE_REFUSED)


def build_opening(dispute: Dispute, transaction_id: UUID) -> Posting:
    """Debits the merchant's account by the amount and the fee, and credits World."""
    return _build_posting(
        dispute, transaction_id, TransactionKind.DISPUTE, -dispute.money.amount - dispute.fee
    )


def build_reversal(dispute: Dispute, transaction_id: UUID) -> Posting:
    """Credits the merchant's account with what the network returns of a dispute that is won."""
    return _build_posting(
        dispute,
        transaction_id,
        TransactionKind.DISPUTE_REVERSAL,
        dispute.money.amount + dispute.fee_returned,
    )


def _build_posting(
    dispute: Dispute, transaction_id: UUID, kind: TransactionKind, amount: int
) -> Posting:
    world = world_account_id(dispute.money.currency)
    legs = (Leg(dispute.account_id, amount), Leg(world, -amount))
    return Posting(transaction_id, dispute.id, kind, legs)


def describe_dispute(dispute: Dispute) -> dict[str, object]:
    """The data of its events, named as in the API. Without the evidence, which may be long and
    personal."""
    due_at = dispute.evidence_due_at
    return {
        "id": str(dispute.id),
        "paymentId": str(dispute.payment_id),
        "status": str(dispute.status),
        "amount": dispute.money.amount,
        "currency": dispute.money.currency,
        "fee": dispute.fee,
        "feeReturned": dispute.fee_returned,
        "reason": dispute.reason,
        "evidenceDueAt": format_rfc3339(due_at) if due_at else None,
        "pendingResponse": str(dispute.pending_response) if dispute.pending_response else None,
        "responseFailure": dispute.response_failure,
    }
