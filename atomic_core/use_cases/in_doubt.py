"""Payments and refunds whose outcome the card network has left open, for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.admin_queries import UnresolvedStep, UnresolvedTotal
from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import Event, EventType, build_doubt_event
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import Status
from atomic_core.domain.settlement import RELEASING_STEPS, Claim, Settlement, decide_settlement
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.settlement_posting import save_settlements

DEFAULT_IN_DOUBT_ALARM: Final = timedelta(minutes=15)
"""A step that stays open for longer is reported, by default. A network that is only slow has
answered by then."""

REPORT_BATCH_SIZE: Final = 500
"""Doubts that one transaction reports. Keeps locks short."""

MAX_REPORT_BATCHES: Final = 20
"""Batches per call, so that the sweeper soon settles overdue payments again."""

MAX_REASON: Final = 500
"""Characters of an operator's reason: a sentence and a ticket number."""

RESOLVED_BY_OPERATOR: Final = "resolved_by_operator"
"""The failure reason of a payment or refund that an operator has resolved as failed."""


@dataclass(frozen=True, slots=True)
class ListUnresolved:
    """Steps whose outcome the card network has left open, the longest open first."""

    begin: UnitOfWorkFactory

    def __call__(self, limit: int) -> Sequence[UnresolvedStep]:
        with self.begin() as work:
            return work.admin_queries.list_unresolved(limit)


@dataclass(frozen=True, slots=True)
class SumUnresolved:
    """The money whose outcome the card networks have left open, by network, state and currency."""

    begin: UnitOfWorkFactory
    alarm: timedelta
    """Steps that have been open for longer are overdue."""

    def __call__(self) -> Sequence[UnresolvedTotal]:
        with self.begin() as work:
            return work.admin_queries.sum_unresolved(self.alarm)


@dataclass(frozen=True, slots=True)
class ReportDoubts:
    """Put an event into the streams of merchants for each payment and refund that has been in doubt
    for `alarm`, by the database's clock. Once per doubt, however many processes report. Returns
    what was reported."""

    begin: UnitOfWorkFactory
    alarm: timedelta

    def __call__(self) -> Sequence[UnresolvedStep]:
        reported: list[UnresolvedStep] = []
        for _ in range(MAX_REPORT_BATCHES):
            with self.begin() as work:
                # Payments first, as settlement locks them.
                doubts = [
                    *work.payments.report_doubts(self.alarm, REPORT_BATCH_SIZE),
                    *work.refunds.report_doubts(self.alarm, REPORT_BATCH_SIZE),
                ]
                if doubts:
                    work.events.add([build_doubt_event(doubt) for doubt in doubts])
                    work.commit()
            reported += doubts
            if len(doubts) < REPORT_BATCH_SIZE:
                break
        return reported


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an operator has found in the network's records about the open step of a payment or
    refund."""

    id: UUID
    """Of the payment or refund."""
    is_success: bool
    """Whether the network has processed the step."""
    reason: str
    """Where the operator has found it."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class ResolveStep:
    """End a step that the card network has left open, as if the network had answered. Audited.

    Locks the payment or refund and the accounts. The present claim, if any, is no longer current.
    Raises NotFound; ValidationFailed; Conflict if the network has not left the step open, for a
    release of money that is to be resolved as failed, and if an account is in use elsewhere.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue
    lease: timedelta
    hold_period: timedelta

    def __call__(self, resolution: Resolution) -> Settlement:
        if not 1 <= len(resolution.reason.strip()) <= MAX_REASON:
            raise ValidationFailed(details={"reason": [f"Must have 1 to {MAX_REASON} characters."]})
        with self.begin() as work:
            claim = work.payments.claim_unresolved(
                resolution.id, self.lease
            ) or work.refunds.claim_unresolved(resolution.id, self.lease)
            if claim is None:
                raise _build_claim_error(work, resolution.id)
            settlement = _decide(claim, resolution)
            self._record(work, claim, resolution)
            [saved] = save_settlements(work, [(claim, settlement)], self.ids, self.hold_period)
            if saved.status is Status.PROCESSING and saved.reversal_reason is None:
                raise Conflict("The account of this payment is in use. Try again.")
            work.commit()
        self.job_queue.notify(Job.SETTLE)
        return saved

    def _record(self, work: UnitOfWork, claim: Claim, resolution: Resolution) -> None:
        payment = work.admin_queries.get_payment(claim.payment_id)
        if payment is None:
            raise NotFound("No payment has this id.")
        outcome = "succeeded" if resolution.is_success else "failed"
        work.audit_log.add(
            AuditEvent(
                self.ids.new_id(),
                AuditEventType.PAYMENT_RESOLVED,
                resolution.origin,
                payment.payment.merchant_id,
                {
                    "paymentId": str(claim.payment_id),
                    **({"refundId": str(claim.refund_id)} if claim.refund_id else {}),
                    "step": str(claim.step),
                    "outcome": outcome,
                    "reason": resolution.reason,
                },
            )
        )
        event = Event(
            claim.merchant_id,
            EventType.RESOLVED,
            claim.payment_id,
            Status.PROCESSING,
            claim.refund_id,
            claim.attempt,
            reason=outcome,
            origin=resolution.origin,
        )
        work.events.add([event])


def _decide(claim: Claim, resolution: Resolution) -> Settlement:
    if resolution.is_success:
        return decide_settlement(claim, NetworkResponse(Verdict.APPROVED))
    if claim.step in RELEASING_STEPS:
        raise Conflict(
            f"A {claim.step} cannot be resolved as failed: it is repeated until the card network "
            "has released the money."
        )
    return decide_settlement(claim, NetworkResponse(Verdict.DECLINED, RESOLVED_BY_OPERATOR))


def _build_claim_error(work: UnitOfWork, id: UUID) -> NotFound | Conflict:
    if work.admin_queries.get_payment(id) or work.admin_queries.get_refund(id):
        return Conflict("The card network has not left this payment or refund open.")
    return NotFound("No payment or refund has this id.")
