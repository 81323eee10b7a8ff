"""What becomes of a hold: captured, let go, or expired. Whoever comes first decides."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import PaymentEvent, PaymentEventType
from atomic_core.domain.payments import (
    REASON_EXPIRED,
    REASON_REQUESTED_BY_MERCHANT,
    HoldResolution,
    Payment,
    Status,
    Step,
)
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command

EXPIRE_BATCH_SIZE: Final = 500
"""Holds ended per transaction: short locks, as many as are settled in a moment."""

MAX_EXPIRE_BATCHES: Final = 20
"""Batches per call, so that the sweeper soon settles what it made due."""


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Take `amount` (minor units) of what is held, or all of it; the rest is let go."""

    merchant_id: UUID
    payment_id: UUID
    amount: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Let go of what is held."""

    merchant_id: UUID
    payment_id: UUID
    reason: str = REASON_REQUESTED_BY_MERCHANT
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class CapturePayment(Command[CaptureRequest, Payment]):
    """Decide that a hold is captured; it is settled later. Locks the payment.

    Raises NotFound; ValidationFailed; Conflict for an amount that is more than is held, and, with
    the present state, for a payment that is not AUTHORIZED: the first to decide decides.
    """

    begin: UnitOfWorkFactory
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, order: CaptureRequest) -> Payment:
        payment = lock_payment(work, order.merchant_id, order.payment_id)
        check_authorized(payment)
        held = payment.money.amount
        amount = held if order.amount is None else order.amount
        if amount < 1:
            raise ValidationFailed(details={"amount": ["Must be at least 1."]})
        if amount > held:
            raise Conflict("More than is held.", details={"amount": [f"{held} is held."]})
        resolution = HoldResolution(payment.id, Step.CAPTURE, amount=amount)
        captured = work.payments.resolve_hold(resolution)
        event = PaymentEvent(
            payment.id,
            PaymentEventType.CAPTURE_REQUESTED,
            captured.status,
            amount=amount,
            request_id=order.request_id,
        )
        work.events.add([event])
        return captured

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


@dataclass(frozen=True, slots=True)
class CancelPayment(Command[CancelRequest, Payment]):
    """Decide that a hold is let go of; it is settled later. Locks the payment. Raises NotFound
    and Conflict as CapturePayment."""

    begin: UnitOfWorkFactory
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, order: CancelRequest) -> Payment:
        payment = lock_payment(work, order.merchant_id, order.payment_id)
        check_authorized(payment)
        canceled = work.payments.resolve_hold(
            HoldResolution(payment.id, Step.VOID, reason=order.reason)
        )
        event = PaymentEvent(
            payment.id,
            PaymentEventType.CANCEL_REQUESTED,
            canceled.status,
            reason=order.reason,
            request_id=order.request_id,
        )
        work.events.add([event])
        return canceled

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


@dataclass(frozen=True, slots=True)
class ExpireHolds:
    """Decide that holds which have ended are let go of; return how many. Never early, by the
    store's clock. They are settled as everything is."""

    begin: UnitOfWorkFactory
    job_queue: JobQueue

    def __call__(self) -> int:
        total = 0
        for _ in range(MAX_EXPIRE_BATCHES):
            with self.begin() as work:
                ended = work.payments.expire_holds(EXPIRE_BATCH_SIZE)
                if ended:
                    work.events.add([_expired(id) for id in ended])
                    work.commit()
            total += len(ended)
            if len(ended) < EXPIRE_BATCH_SIZE:
                break
        if total:
            self.job_queue.notify(Job.SETTLE)
        return total


def lock_payment(work: UnitOfWork, merchant_id: UUID, payment_id: UUID) -> Payment:
    """The merchant's payment, held. Raises NotFound, for another merchant's too."""
    payment = work.payments.lock(merchant_id, payment_id)
    if payment is None:
        raise NotFound("There is no such payment.")
    return payment


def check_authorized(payment: Payment) -> None:
    if payment.status is not Status.AUTHORIZED:
        raise build_state_conflict(
            payment, "Only a payment that is AUTHORIZED can be captured or canceled"
        )


def build_state_conflict(payment: Payment, rule: str) -> Conflict:
    """A refusal that tells the present state."""
    state = f"{payment.status} ({payment.step})" if payment.status.is_open else payment.status
    return Conflict(f"{rule}; this one is {state}.", details={"status": [payment.status.value]})


def _expired(payment_id: UUID) -> PaymentEvent:
    return PaymentEvent(
        payment_id, PaymentEventType.EXPIRED, Status.PROCESSING, reason=REASON_EXPIRED
    )
