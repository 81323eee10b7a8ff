"""Creating and reading refunds. `settlement.py` settles them."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import (
    NotFound,
    PaymentNotRefundable,
    RefundExceedsRemaining,
    TooManyRefunds,
    ValidationFailed,
)
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.payments import Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.holds import build_state_conflict, lock_payment
from atomic_core.use_cases.idempotency import Command

MAX_REFUNDS: Final = 100
"""Refunds of one payment. Bounds the size of its timeline."""


@dataclass(frozen=True, slots=True)
class CreateRefund(Command[NewRefund, Refund]):
    """Insert a refund as PENDING, to be settled later. Moves no money. Locks the payment, so that
    concurrent refunds cannot exceed its refundable amount together.

    Raises NotFound; ValidationFailed; PaymentNotRefundable; TooManyRefunds; RefundExceedsRemaining
    for an amount above the refundable amount, which excludes open and succeeded refunds, and
    disputes unless they are won. The account's balance is checked at settlement.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, new_refund: NewRefund) -> Refund:
        payment = lock_payment(work, new_refund.merchant_id, new_refund.payment_id)
        if payment.status is not Status.SUCCESS:
            raise build_state_conflict(payment, PaymentNotRefundable)
        # The network pays out what is disputed.
        disputed = work.disputes.sum_disputed(payment.id)
        refundable = max(0, payment.amount_refundable - disputed)
        amount = refundable if new_refund.amount is None else new_refund.amount
        if new_refund.amount is not None and new_refund.amount < 1:
            raise ValidationFailed(details={"amount": ["Must be at least 1."]})
        if not 1 <= amount <= refundable:
            detail = f"{refundable} of {payment.amount_captured} can still be refunded."
            if disputed:
                detail = f"{detail.removesuffix('.')}: {disputed} is disputed."
            raise RefundExceedsRemaining(
                f"The amount exceeds what can still be refunded: {detail}",
                details={"amount": [detail]},
                facts={
                    "remaining": refundable,
                    "captured": payment.amount_captured,
                    "disputed": disputed,
                },
            )
        if len(work.refunds.list_by_payment(payment.id, MAX_REFUNDS)) >= MAX_REFUNDS:
            raise TooManyRefunds(
                f"This payment has {MAX_REFUNDS} refunds, the maximum.",
                facts={"maximum": MAX_REFUNDS},
            )
        refund = work.refunds.add(self.ids.new_id(), payment, amount, new_refund)
        event = Event(
            payment.merchant_id,
            EventType.REFUND_CREATED,
            payment.id,
            refund.status,
            refund.id,
            amount=amount,
            reason=new_refund.reason,
            origin=new_refund.origin,
        )
        work.events.add([event])
        return refund

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


@dataclass(frozen=True, slots=True)
class GetRefund:
    """A refund of this merchant. Raises NotFound, also for another merchant's refund."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, refund_id: UUID) -> Refund:
        with self.begin() as work:
            refund = work.refunds.get(merchant_id, refund_id)
        if refund is None:
            raise NotFound("No refund has this id.")
        return refund
