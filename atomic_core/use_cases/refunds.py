"""Money given back."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import PaymentEvent, PaymentEventType
from atomic_core.domain.payments import Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.holds import build_state_conflict, lock_payment
from atomic_core.use_cases.idempotency import Command

MAX_REFUNDS: Final = 100
"""Of one payment. Nobody who gives back by honest parts needs as many, and the payment's story
stays short enough to be told at once."""


@dataclass(frozen=True, slots=True)
class CreateRefund(Command[NewRefund, Refund]):
    """Record a refund to be settled later. Locks the payment, so that those who ask at once are
    told one after the other what is left. Moves no money.

    Raises NotFound; ValidationFailed; Conflict for a payment that did not succeed, and for more
    than is left of it: refunds that are under way count, those that failed do not. Whether the
    balance suffices is asked when it is settled.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, order: NewRefund) -> Refund:
        payment = lock_payment(work, order.merchant_id, order.payment_id)
        if payment.status is not Status.SUCCESS:
            raise build_state_conflict(payment, "Only a payment that is a SUCCESS can be refunded")
        left = payment.amount_refundable
        amount = left if order.amount is None else order.amount
        if order.amount is not None and order.amount < 1:
            raise ValidationFailed(details={"amount": ["Must be at least 1."]})
        if not 1 <= amount <= left:
            told = f"{left} of {payment.amount_captured} can still be refunded."
            raise Conflict("More than is left of this payment.", details={"amount": [told]})
        if len(work.refunds.list_by_payment(payment.id, MAX_REFUNDS)) >= MAX_REFUNDS:
            raise Conflict(f"This payment has {MAX_REFUNDS} refunds, which is the most it can.")
        refund = work.refunds.add(self.ids.new_id(), payment, amount, order)
        event = PaymentEvent(
            payment.id,
            PaymentEventType.REFUND_CREATED,
            refund.status,
            refund.id,
            amount=amount,
            reason=order.reason,
            request_id=order.request_id,
        )
        work.events.add([event])
        return refund

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


@dataclass(frozen=True, slots=True)
class GetRefund:
    """A refund of this merchant. Raises NotFound, for another merchant's too."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, refund_id: UUID) -> Refund:
        with self.begin() as work:
            refund = work.refunds.get(merchant_id, refund_id)
        if refund is None:
            raise NotFound("There is no such refund.")
        return refund
