"""The whole story of a payment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import NotFound
from atomic_core.domain.events import PaymentEvent, PaymentEventType, RecordedEvent
from atomic_core.domain.ledger import PostedTransaction
from atomic_core.domain.payments import Payment, PaymentLookup, Status, Step
from atomic_core.domain.refunds import Refund
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.use_cases.refunds import MAX_REFUNDS

MAX_EVENTS: Final = 1_000
"""TimelineEvent at once. A payment has at most a dozen of its own, and so has each of its
MAX_REFUNDS refunds when the card network fails all the time: more than any payment can have."""


_ByRefund = Mapping[UUID | None, PostedTransaction]
"""The payment's own under None."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One thing that happened, and what it did to the books."""

    event: PaymentEvent
    at: datetime
    posted: PostedTransaction | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    payment: Payment
    events: Sequence[TimelineEvent]
    """In the order of their times."""


@dataclass(frozen=True, slots=True)
class GetTimeline:
    """All that happened to a payment of this merchant, with its refunds. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, payment_id: UUID) -> Timeline:
        with self.begin() as work:
            [payment] = work.payments.find([PaymentLookup(merchant_id, payment_id)])
            if payment is None:
                raise NotFound("There is no such payment.")
            recorded = work.events.list_by_payment(payment_id, MAX_EVENTS)
            posted = work.ledger.list_by_payment(payment_id)
            refunds = work.refunds.list_by_payment(payment_id, MAX_REFUNDS)
        return build_timeline(payment, refunds, recorded, posted)


def build_timeline(
    payment: Payment,
    refunds: Sequence[Refund],
    recorded: Sequence[RecordedEvent],
    posted: Sequence[PostedTransaction],
) -> Timeline:
    """What is recorded, and before and between it what the rows tell by themselves."""
    by_refund = {each.transaction.refund_id: each for each in posted}
    told = [*_beginning(payment), *_end_of_charge(payment, by_refund)]
    taken_up: dict[UUID | None, datetime | None] = {each.id: each.claimed_at for each in refunds}
    # A try is kept twice if the answer to its commit was lost. It is told once.
    once: dict[PaymentEvent, datetime] = {}
    for event, at in recorded:
        once.setdefault(event, at)
    for event, at in once.items():
        told.append(_with_books(event, at, by_refund))
        if event.type is PaymentEventType.REFUND_CREATED and (
            then := taken_up.get(event.refund_id)
        ):
            # Taken up by who began a moment before what it found.
            told.append(_taken_up(event, max(at, then)))
    return Timeline(payment, sorted(told, key=lambda each: each.at))


def _beginning(payment: Payment) -> list[TimelineEvent]:
    created = PaymentEvent(
        payment.id,
        PaymentEventType.CREATED,
        Status.PENDING,
        amount=payment.money.amount,
        request_id=payment.request_id,
    )
    told = [TimelineEvent(created, payment.created_at)]
    if payment.claimed_at:
        taken_up = PaymentEvent(
            payment.id, PaymentEventType.PROCESSING, Status.PROCESSING, attempt=1
        )
        told.append(TimelineEvent(taken_up, payment.claimed_at))
    return told


def _end_of_charge(
    payment: Payment, by_refund: Mapping[UUID | None, PostedTransaction]
) -> list[TimelineEvent]:
    """A charge records nothing when it goes as charges go: thousands do in a second."""
    if payment.step is not Step.CHARGE:
        return []
    if None in by_refund:
        posted = by_refund[None]
        succeeded = PaymentEvent(
            payment.id,
            PaymentEventType.SUCCEEDED,
            Status.SUCCESS,
            attempt=payment.attempt or None,
            # Not the payment's word: it was read a moment before, and may know of no success.
            amount=sum(entry.amount for entry in posted.entries if entry.amount > 0),
        )
        return [TimelineEvent(succeeded, posted.posted_at, posted)]
    if payment.status is not Status.FAILED:
        return []
    failed = PaymentEvent(
        payment.id,
        PaymentEventType.FAILED,
        Status.FAILED,
        attempt=payment.attempt,
        reason=payment.failure_reason,
    )
    return [TimelineEvent(failed, payment.updated_at)]


def _taken_up(created: PaymentEvent, at: datetime) -> TimelineEvent:
    taken_up = PaymentEvent(
        created.payment_id,
        PaymentEventType.REFUND_PROCESSING,
        Status.PROCESSING,
        created.refund_id,
        1,
    )
    return TimelineEvent(taken_up, at)


def _with_books(event: PaymentEvent, at: datetime, by_refund: _ByRefund) -> TimelineEvent:
    if event.type not in (PaymentEventType.SUCCEEDED, PaymentEventType.REFUND_SUCCEEDED):
        return TimelineEvent(event, at)
    return TimelineEvent(event, at, by_refund.get(event.refund_id))
