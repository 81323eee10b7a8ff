"""Capturing, canceling and expiring holds. The first of these to commit decides."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import (
    AmountExceedsHeld,
    Conflict,
    NotFound,
    PaymentNotCancelable,
    PaymentNotCapturable,
    ValidationFailed,
)
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.origins import Origin
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
"""Holds that expire per transaction. Keeps locks short."""

MAX_EXPIRE_BATCHES: Final = 20
"""Batches per call, so that the sweeper soon settles the payments that they make due."""


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """A request to capture `amount` (minor units) of a hold, or all of it, and to release the
    rest."""

    merchant_id: UUID
    payment_id: UUID
    amount: int | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A request to release a hold, or to wait no longer for the customer."""

    merchant_id: UUID
    payment_id: UUID
    reason: str = REASON_REQUESTED_BY_MERCHANT
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class CapturePayment(Command[CaptureRequest, Payment]):
    """Make the capture of an AUTHORIZED payment due. Locks the payment.

    Raises NotFound; ValidationFailed; AmountExceedsHeld; PaymentNotCapturable, with the current
    status in its details.
    """

    begin: UnitOfWorkFactory
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, request: CaptureRequest) -> Payment:
        payment = lock_payment(work, request.merchant_id, request.payment_id)
        if payment.status is not Status.AUTHORIZED:
            raise build_state_conflict(payment, PaymentNotCapturable)
        held_amount = payment.money.amount
        amount = held_amount if request.amount is None else request.amount
        if amount < 1:
            raise ValidationFailed(details={"amount": ["Must be at least 1."]})
        if amount > held_amount:
            raise AmountExceedsHeld(
                f"The amount exceeds the hold; capture at most {held_amount}.",
                details={"amount": [f"Must be at most {held_amount}."]},
                facts={"held": held_amount},
            )
        resolution = HoldResolution(payment.id, Step.CAPTURE, amount=amount)
        resolved_payment = work.payments.resolve_hold(resolution)
        event = Event(
            payment.merchant_id,
            EventType.CAPTURE_REQUESTED,
            payment.id,
            resolved_payment.status,
            amount=amount,
            origin=request.origin,
        )
        work.events.add([event])
        return resolved_payment

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


@dataclass(frozen=True, slots=True)
class CancelPayment(Command[CancelRequest, Payment]):
    """Make the release of an AUTHORIZED payment's hold due, or the end of a REQUIRES_ACTION one.
    Locks the payment. Raises NotFound and PaymentNotCancelable."""

    begin: UnitOfWorkFactory
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, request: CancelRequest) -> Payment:
        payment = lock_payment(work, request.merchant_id, request.payment_id)
        step = _CANCELING_STEPS.get(payment.status)
        if step is None:
            raise build_state_conflict(payment, PaymentNotCancelable)
        resolution = HoldResolution(payment.id, step, reason=request.reason)
        resolved_payment = work.payments.resolve_hold(resolution)
        event = Event(
            payment.merchant_id,
            EventType.CANCEL_REQUESTED,
            payment.id,
            resolved_payment.status,
            reason=request.reason,
            origin=request.origin,
        )
        work.events.add([event])
        return resolved_payment

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


@dataclass(frozen=True, slots=True)
class ExpireHolds:
    """Make the release of holds that have ended, by the database's clock, due, and the end of
    payments whose customers did not act in time. Returns their number."""

    begin: UnitOfWorkFactory
    job_queue: JobQueue

    def __call__(self) -> int:
        total = 0
        for _ in range(MAX_EXPIRE_BATCHES):
            with self.begin() as work:
                expired = [
                    *work.payments.expire_holds(EXPIRE_BATCH_SIZE),
                    *work.payments.abandon_awaited(EXPIRE_BATCH_SIZE),
                ]
                if expired:
                    work.events.add([_build_expired_event(*ids) for ids in expired])
                    work.commit()
            total += len(expired)
            if len(expired) < EXPIRE_BATCH_SIZE:
                break
        if total:
            self.job_queue.notify(Job.SETTLE)
        return total


_CANCELING_STEPS: Final = {Status.AUTHORIZED: Step.VOID, Status.REQUIRES_ACTION: Step.ABANDON}


def lock_payment(work: UnitOfWork, merchant_id: UUID, payment_id: UUID) -> Payment:
    """The merchant's payment, locked. Raises NotFound, also for another merchant's payment."""
    payment = work.payments.lock(merchant_id, payment_id)
    if payment is None:
        raise NotFound("No payment has this id.")
    return payment


def build_state_conflict(payment: Payment, error: type[Conflict]) -> Conflict:
    """The error for a request that the current status of the payment does not allow. The default
    message of `error` is the rule."""
    state = f"{payment.status} ({payment.step})" if payment.status.is_open else payment.status
    rule = error().message.removesuffix(".")
    return error(f"{rule}; this one is {state}.", details={"status": [payment.status.value]})


def _build_expired_event(merchant_id: UUID, payment_id: UUID) -> Event:
    return Event(
        merchant_id, EventType.EXPIRED, payment_id, Status.PROCESSING, reason=REASON_EXPIRED
    )
