"""Processing disputes: looks up at the card network what its events name, sends the responses of
merchants, and posts what the network has moved.

An event is a hint, as for payments: what the network answers to a look-up decides. So events may
be repeated, forged or out of order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.card_networks import MAX_BACK_OFF, compute_back_off
from atomic_core.domain.disputes import (
    CHECK_INTERVAL,
    LEASE,
    MAX_REFUND_WAIT,
    Dispute,
    DisputeReport,
    DisputeRequest,
    DisputeResponse,
    DisputeStatus,
    DisputeVerdict,
    NetworkDispute,
    apply_report,
    build_opening,
    build_reversal,
    refuse_response,
)
from atomic_core.domain.errors import AtomicError, StorageRefused
from atomic_core.domain.events import EventType
from atomic_core.domain.money import Money
from atomic_core.domain.network_events import BATCH_SIZE, POSTPONEMENT, NetworkEvent
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.posting import Posting, post
from atomic_core.ports.dispute_network import DisputeNetwork
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.disputes import build_dispute_event
from atomic_core.use_cases.refunds import MAX_REFUNDS

MAX_BATCHES: Final = 10
"""Per call, so that the caller soon checks whether it has to stop."""

_EVENT_TYPES: Final = {
    DisputeStatus.NEEDS_RESPONSE: EventType.DISPUTE_UPDATED,
    DisputeStatus.UNDER_REVIEW: EventType.DISPUTE_UPDATED,
    DisputeStatus.WON: EventType.DISPUTE_WON,
    DisputeStatus.LOST: EventType.DISPUTE_LOST,
}

_NO_ANSWER: Final = DisputeReport(DisputeVerdict.UNKNOWN)

OnProblem = Callable[[str, str], None]
"""Called with the network's id of a dispute and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ProcessDisputes:
    """Process what is due of one network's disputes. Returns how many look-ups and responses were
    made.

    Each is leased in one transaction, called for outside of any, and recorded in another. What is
    not answered is repeated with back-off and without end: money has moved at the network.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    networks: Mapping[str, DisputeNetwork]
    """By name."""

    def __call__(self, network: str, on_problem: OnProblem = lambda *_: None) -> int:
        total = 0
        for _ in range(MAX_BATCHES):
            with self.begin() as work:
                events = _lease_events(work, network)
                disputes = work.disputes.claim(network, BATCH_SIZE, LEASE)
                work.commit()
            for event in events:
                self._process(network, event, None, on_problem)
            for dispute in disputes:
                self._process(network, None, dispute, on_problem)
            total += len(events) + len(disputes)
            if len(events) < BATCH_SIZE and len(disputes) < BATCH_SIZE:
                break
        return total

    def _process(
        self,
        network: str,
        event: NetworkEvent | None,
        dispute: Dispute | None,
        on_problem: OnProblem,
    ) -> None:
        reference = event.dispute_reference if event else dispute and dispute.network_reference
        payment_id = event.payment_id if event else dispute and dispute.payment_id
        assert reference is not None  # noqa: S101  one of both is given
        with self.begin() as work:
            payment = work.disputes.get_payment(payment_id) if payment_id else None
        request = DisputeRequest(reference, payment, dispute)
        try:
            report = _call(self.networks[network], request)
        except Exception as error:  # noqa: BLE001 - whatever an adapter raises is no answer
            report = _NO_ANSWER
            on_problem(reference, f"the call of the network failed: {error!r}")
        try:
            with self.begin() as work:
                recorder = _Recorder(work, self.ids, network)
                if dispute:
                    recorder.record_answer(dispute, report)
                elif event:
                    recorder.record_event(event, report)
                work.commit()
        except (StorageRefused, _Unrecordable) as refusal:
            # Due again after the lease, or later: an operator has to look at it meanwhile.
            on_problem(reference, str(refusal) or repr(refusal.__cause__))
            self._postpone(event, dispute)

    def _postpone(self, event: NetworkEvent | None, dispute: Dispute | None) -> None:
        with self.begin() as work:
            if event:
                work.network_events.postpone([event], MAX_BACK_OFF)
            elif dispute:
                current = work.disputes.lock(dispute.merchant_id, dispute.id)
                if current and current.attempt == dispute.attempt:
                    work.disputes.update(current, MAX_BACK_OFF, current.faults + 1)
            work.commit()


class _Unrecordable(AtomicError):
    """The network's dispute does not fit its payment."""


def _lease_events(work: UnitOfWork, network: str) -> Sequence[NetworkEvent]:
    """The due events of disputes that are not recorded yet, due again after the lease. Those of
    recorded disputes make these due."""
    due = work.network_events.lock_due_of_disputes(network, BATCH_SIZE)
    known = work.disputes.make_due(
        network, {event.dispute_reference for event in due if event.dispute_reference}
    )
    work.network_events.finish([event for event in due if event.dispute_reference in known])
    unknown: dict[str | None, NetworkEvent] = {}
    for event in due:
        if event.dispute_reference not in known:
            unknown.setdefault(event.dispute_reference, event)
    # The other events of the same dispute stay due: they find it recorded in the next batch.
    work.network_events.lease(list(unknown.values()), LEASE)
    return list(unknown.values())


def _call(network: DisputeNetwork, request: DisputeRequest) -> DisputeReport:
    pending = request.dispute.pending_response if request.dispute else None
    if pending is DisputeResponse.EVIDENCE:
        return network.submit_evidence(request)
    if pending is DisputeResponse.ACCEPTANCE:
        return network.accept(request)
    return network.look_up(request)


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Records what a network has answered, in one unit of work."""

    work: UnitOfWork
    ids: IdGenerator
    network: str

    def record_event(self, event: NetworkEvent, report: DisputeReport) -> None:
        events = self.work.network_events
        match report.verdict:
            case DisputeVerdict.FOUND if report.dispute:
                delay = self._open(event, report.dispute)
                if delay is None:
                    events.finish([event])
                else:
                    events.postpone([event], delay)
            case DisputeVerdict.NOT_FOUND:
                events.finish([event])
            case _:
                events.postpone([event], compute_back_off(event.postponements))

    def record_answer(self, claimed: Dispute, report: DisputeReport) -> None:
        # Before the dispute, as when it is opened.
        self.work.disputes.lock_payment(claimed.payment_id)
        dispute = self.work.disputes.lock(claimed.merchant_id, claimed.id)
        if dispute is None or dispute.attempt != claimed.attempt or dispute.status.is_final:
            # Another worker has claimed it since.
            return
        if dispute.pending_response is not claimed.pending_response:
            # The merchant has answered since, which has made it due at once.
            return
        match report.verdict:
            case DisputeVerdict.FOUND if report.dispute:
                self._advance(dispute, report.dispute)
            case DisputeVerdict.REFUSED:
                refused = refuse_response(dispute)
                # What the network has of it now may explain the refusal.
                saved = self.work.disputes.update(refused, POSTPONEMENT)
                self._add_event(saved, EventType.DISPUTE_UPDATED)
            case DisputeVerdict.NOT_FOUND | DisputeVerdict.PENDING:
                self.work.disputes.update(dispute, CHECK_INTERVAL)
            case _:
                delay = compute_back_off(dispute.faults)
                self.work.disputes.update(dispute, delay, dispute.faults + 1)

    def _open(self, event: NetworkEvent, reported: NetworkDispute) -> timedelta | None:
        """Record a dispute and post it. Returns after which time to look it up again first; None if
        there is no need to."""
        payment = self.work.disputes.lock_payment(reported.payment_id)
        if payment is None or payment.network != self.network:
            # Of another program that uses the account.
            return None
        known = self.work.disputes.lock_by_reference(self.network, reported.reference)
        if known:
            if not known.status.is_final:
                self._advance(known, reported)
            return None
        if payment.status is not Status.SUCCESS:
            if payment.status.is_open:
                return compute_back_off(event.postponements)
            raise _Unrecordable(f"its payment is {payment.status}")
        disputed = self.work.disputes.sum_disputed(payment.id)
        _check_amount(payment, reported, disputed)
        exceeds = payment.refunds_reserved + disputed + reported.amount > payment.amount_captured
        if exceeds and event.postponements < MAX_REFUND_WAIT and self._has_open_refund(payment.id):
            return POSTPONEMENT
        dispute = self.work.disputes.add(
            self._build_dispute(payment, reported), reported.check_after
        )
        self._post(build_opening(dispute, self.ids.new_id()))
        self._add_event(dispute, EventType.DISPUTE_OPENED)
        if reported.status is not DisputeStatus.NEEDS_RESPONSE:
            self._advance(dispute, reported)
        return None

    def _has_open_refund(self, payment_id: UUID) -> bool:
        """Whether a refund of the payment has been reserved, so that it may have been sent. One
        that has not will fail: see `_reserve_refunds` in settlement."""
        refunds = self.work.refunds.list_by_payment(payment_id, MAX_REFUNDS)
        open_ids = [refund.id for refund in refunds if refund.status.is_open]
        return bool(self.work.refunds.list_reserved(open_ids))

    def _build_dispute(self, payment: Payment, reported: NetworkDispute) -> Dispute:
        now = self.work.now()
        return Dispute(
            self.ids.new_id(),
            payment.merchant_id,
            payment.id,
            payment.account_id,
            self.network,
            reported.reference,
            Money(reported.amount, reported.currency),
            max(0, reported.fee),
            reported.reason,
            reported.evidence_due_at,
            now,
            now,
        )

    def _advance(self, dispute: Dispute, reported: NetworkDispute) -> None:
        changed = apply_report(dispute, reported)
        saved = self.work.disputes.update(changed, reported.check_after)
        if saved.status is DisputeStatus.WON:
            self._post(build_reversal(saved, self.ids.new_id()))
        if saved.status is not dispute.status:
            self._add_event(saved, _EVENT_TYPES[saved.status])

    def _post(self, posting: Posting) -> None:
        accounts = self.work.accounts.lock([leg.account_id for leg in posting.legs])
        # The time is read after the accounts are locked, as in settlement.
        result = post(accounts, [posting], self.work.now())
        if result.refusals:
            refusal = result.refusals[posting.transaction_id]
            raise _Unrecordable(f"the ledger refuses {posting.kind}: {refusal}")
        self.work.ledger.save(result)

    def _add_event(self, dispute: Dispute, type: EventType) -> None:
        self.work.events.add([build_dispute_event(dispute, type)])


def _check_amount(payment: Payment, reported: NetworkDispute, disputed: int) -> None:
    remaining = payment.amount_captured - disputed
    if reported.currency != payment.money.currency:
        raise _Unrecordable(f"{reported.currency} is disputed of {payment.money.currency}")
    if not 1 <= reported.amount <= remaining:
        raise _Unrecordable(f"{reported.amount} is disputed, and {remaining} is left to dispute")
