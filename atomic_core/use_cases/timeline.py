"""The timeline of a payment: its events with the ledger transactions that they caused."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.disputes import Dispute, DisputeStatus
from atomic_core.domain.errors import NotFound
from atomic_core.domain.events import Event, EventType, RecordedEvent
from atomic_core.domain.ledger import PostedTransaction, TransactionKind
from atomic_core.domain.lists import DisputeFilter
from atomic_core.domain.payments import Payment, PaymentLookup, Status, Step
from atomic_core.domain.refunds import Refund
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.refunds import MAX_REFUNDS

MAX_EVENTS: Final = 5_000
"""Recorded events that are read. A payment has at most five steps and MAX_REFUNDS refunds; each of
them records at most MAX_RECORDED_FAULTS responses that are not final, and three events of its
own, so a payment has fewer."""


MAX_DISPUTES: Final = 100
"""Of one payment. Networks allow a few: each disputes another part of it."""

_LAST_EVENTS: Final = (EventType.SUCCEEDED, EventType.FAILED)

_TransactionsByRefund = Mapping[UUID | None, PostedTransaction]
"""By refund id; the payment's own transaction is under None."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """An event, and the ledger transaction that it caused."""

    event: Event
    at: datetime
    posted: PostedTransaction | None = None
    dispute_id: UUID | None = None
    """Of an event of a dispute."""
    dispute_status: DisputeStatus | None = None

    @property
    def status(self) -> Status | DisputeStatus | None:
        """Of the payment, refund or dispute after the event."""
        return self.dispute_status or self.event.status


class PostedDispute(NamedTuple):
    """A dispute with its ledger transactions."""

    dispute: Dispute
    transactions: Sequence[PostedTransaction]

    def find_transaction(self, kind: TransactionKind) -> PostedTransaction | None:
        return next((found for found in self.transactions if found.kind is kind), None)


@dataclass(frozen=True, slots=True)
class Timeline:
    payment: Payment
    events: Sequence[TimelineEvent]
    """Ordered by time."""


@dataclass(frozen=True, slots=True)
class GetTimeline:
    """The timeline of a payment of this merchant, with its refunds and disputes. Raises
    NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, payment_id: UUID) -> Timeline:
        with self.begin() as work:
            [payment] = work.payments.find([PaymentLookup(merchant_id, payment_id)])
            if payment is None:
                raise NotFound("No payment has this id.")
            recorded = work.events.list_by_payment(payment_id, MAX_EVENTS)
            transactions = work.ledger.list_by_payment(payment_id)
            refunds = work.refunds.list_by_payment(payment_id, MAX_REFUNDS)
            disputes = list_posted_disputes(work, payment_id)
        return build_timeline(payment, refunds, recorded, transactions, disputes)


def list_posted_disputes(work: UnitOfWork, payment_id: UUID) -> Sequence[PostedDispute]:
    filters = DisputeFilter(payment_id=payment_id)
    return [
        PostedDispute(dispute, work.ledger.list_by_payment(dispute.id))
        for dispute in work.disputes.list(None, filters, None, MAX_DISPUTES)
    ]


def build_timeline(
    payment: Payment,
    refunds: Sequence[Refund],
    recorded: Sequence[RecordedEvent],
    transactions: Sequence[PostedTransaction],
    disputes: Sequence[PostedDispute] = (),
) -> Timeline:
    """Combine recorded events with those that follow from the rows of payment, refunds and
    disputes."""
    transactions_by_refund = {
        transaction.transaction.refund_id: transaction for transaction in transactions
    }
    events = _build_first_events(payment)
    if not any(event.type in _LAST_EVENTS and not event.refund_id for event, _ in recorded):
        events += _build_last_charge_event(payment, transactions_by_refund)
    claim_times = {refund.id: refund.claimed_at for refund in refunds}
    # An event is recorded twice if the reply to its commit was lost. The first one counts.
    times: dict[Event, datetime] = {}
    for event, at in recorded:
        times.setdefault(event, at)
    for event, at in times.items():
        events.append(_add_transaction(event, at, transactions_by_refund))
        if event.type is EventType.REFUND_CREATED and event.refund_id:
            claimed_at = claim_times.get(event.refund_id)
            if claimed_at:
                # The claim's transaction may have begun just before the refund was created.
                events.append(_build_refund_processing_event(event, max(at, claimed_at)))
    for each in disputes:
        events += _build_dispute_events(each)
    return Timeline(payment, _count_calls(sorted(events, key=lambda event: event.at)))


_CLAIMS_WITHOUT_CALL: Final = (
    EventType.CAPTURE_REQUESTED,
    EventType.CANCEL_REQUESTED,
    EventType.EXPIRED,
    EventType.RESOLVED,
)
"""What raises the attempt, which fences off workers, and calls no card network."""


def _count_calls(events: Sequence[TimelineEvent]) -> Sequence[TimelineEvent]:
    """The events with the number of the call in place of the attempt."""
    without_call: dict[UUID | None, int] = defaultdict(int)
    counted: list[TimelineEvent] = []
    for each in events:
        event = each.event
        without_call[event.refund_id] += event.type in _CLAIMS_WITHOUT_CALL
        if event.attempt is not None:
            attempt = max(1, event.attempt - without_call[event.refund_id])
            each = replace(each, event=event._replace(attempt=attempt))  # noqa: PLW2901
        counted.append(each)
    return counted


def _build_first_events(payment: Payment) -> list[TimelineEvent]:
    created = Event(
        payment.merchant_id,
        EventType.CREATED,
        payment.id,
        Status.PENDING,
        amount=payment.money.amount,
        origin=payment.origin,
    )
    events = [TimelineEvent(created, payment.created_at)]
    if payment.claimed_at:
        processing = Event(
            payment.merchant_id, EventType.PROCESSING, payment.id, Status.PROCESSING, attempt=1
        )
        events.append(TimelineEvent(processing, payment.claimed_at))
    return events


def _build_last_charge_event(
    payment: Payment, transactions_by_refund: _TransactionsByRefund
) -> list[TimelineEvent]:
    """The last event of a charge that was settled before charges recorded one (migration 0018):
    it follows from its row and its ledger transaction."""
    if payment.step is not Step.CHARGE:
        return []
    if None in transactions_by_refund:
        transaction = transactions_by_refund[None]
        succeeded = Event(
            payment.merchant_id,
            EventType.SUCCEEDED,
            payment.id,
            Status.SUCCESS,
            attempt=payment.attempt or None,
            # From the entries: the payment was read before them and may not be a SUCCESS yet.
            amount=sum(entry.amount for entry in transaction.entries if entry.amount > 0),
        )
        return [TimelineEvent(succeeded, transaction.posted_at, transaction)]
    if payment.status is not Status.FAILED:
        return []
    failed = Event(
        payment.merchant_id,
        EventType.FAILED,
        payment.id,
        Status.FAILED,
        attempt=payment.attempt,
        reason=payment.failure_reason,
    )
    return [TimelineEvent(failed, payment.updated_at)]


def _build_refund_processing_event(created: Event, at: datetime) -> TimelineEvent:
    processing = Event(
        created.merchant_id,
        EventType.REFUND_PROCESSING,
        created.payment_id,
        Status.PROCESSING,
        created.refund_id,
        1,
    )
    return TimelineEvent(processing, at)


def _build_dispute_events(posted: PostedDispute) -> list[TimelineEvent]:
    """When it was recorded, and when it was decided."""
    dispute = posted.dispute
    opened = Event(
        dispute.merchant_id,
        EventType.DISPUTE_OPENED,
        dispute.payment_id,
        None,
        amount=dispute.money.amount,
        reason=dispute.reason,
    )
    events = [
        TimelineEvent(
            opened,
            dispute.created_at,
            posted.find_transaction(TransactionKind.DISPUTE),
            dispute.id,
            DisputeStatus.NEEDS_RESPONSE,
        )
    ]
    if dispute.closed_at:
        is_won = dispute.status is DisputeStatus.WON
        closed = opened._replace(
            type=EventType.DISPUTE_WON if is_won else EventType.DISPUTE_LOST, reason=None
        )
        reversal = posted.find_transaction(TransactionKind.DISPUTE_REVERSAL)
        events.append(
            TimelineEvent(closed, dispute.closed_at, reversal, dispute.id, dispute.status)
        )
    return events


def _add_transaction(
    event: Event, at: datetime, transactions_by_refund: _TransactionsByRefund
) -> TimelineEvent:
    if event.type not in (EventType.SUCCEEDED, EventType.REFUND_SUCCEEDED):
        return TimelineEvent(event, at)
    return TimelineEvent(event, at, transactions_by_refund.get(event.refund_id))
