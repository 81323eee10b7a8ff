"""Reading and answering disputes. `dispute_processing.py` opens them and calls the card network."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from atomic_core.domain.disputes import Dispute, DisputeResponse, Evidence, describe_dispute
from atomic_core.domain.errors import DisputeNotAnswerable, NotFound
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.lists import DisputeFilter, Page, Position
from atomic_core.domain.origins import Origin
from atomic_core.domain.settlement import NO_DELAY
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """A request to contest a dispute."""

    merchant_id: UUID
    dispute_id: UUID
    evidence: Evidence
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class AcceptanceRequest:
    """A request to accept that a dispute is lost."""

    merchant_id: UUID
    dispute_id: UUID
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class SubmitEvidence(Command[EvidenceRequest, Dispute]):
    """Store the evidence, to be sent to the network by the sweeper. Locks the dispute. Raises
    NotFound and DisputeNotAnswerable."""

    begin: UnitOfWorkFactory

    def execute(self, work: UnitOfWork, request: EvidenceRequest) -> Dispute:
        dispute = _lock_answerable(work, request.merchant_id, request.dispute_id)
        answered = replace(
            dispute,
            evidence=request.evidence,
            pending_response=DisputeResponse.EVIDENCE,
            response_failure=None,
        )
        return _save_response(work, answered, request.origin)


@dataclass(frozen=True, slots=True)
class AcceptDispute(Command[AcceptanceRequest, Dispute]):
    """Store that the merchant does not contest, which the sweeper reports to the network. Locks and
    raises as SubmitEvidence."""

    begin: UnitOfWorkFactory

    def execute(self, work: UnitOfWork, request: AcceptanceRequest) -> Dispute:
        dispute = _lock_answerable(work, request.merchant_id, request.dispute_id)
        answered = replace(
            dispute, pending_response=DisputeResponse.ACCEPTANCE, response_failure=None
        )
        return _save_response(work, answered, request.origin)


@dataclass(frozen=True, slots=True)
class GetDispute:
    """A dispute of this merchant; without a merchant, that of any, for operators. Raises NotFound,
    also for another merchant's dispute."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID | None, dispute_id: UUID) -> Dispute:
        with self.begin() as work:
            dispute = work.disputes.get(merchant_id, dispute_id)
        if dispute is None:
            raise NotFound("No dispute has this id.")
        return dispute


@dataclass(frozen=True, slots=True)
class ListDisputes:
    """A merchant's disputes, newest first; without a merchant, those of all, for operators."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID | None, filters: DisputeFilter, after: Position | None, limit: int
    ) -> Page[Dispute]:
        with self.begin() as work:
            found = work.disputes.list(merchant_id, filters, after, limit + 1)
        return Page(found[:limit], has_more=len(found) > limit)


@dataclass(frozen=True, slots=True)
class CountOpenDisputes:
    """The number of disputes that are not closed, by status. For metrics."""

    begin: UnitOfWorkFactory

    def __call__(self) -> Mapping[str, int]:
        with self.begin() as work:
            return work.disputes.count_open()


def build_dispute_event(dispute: Dispute, type: EventType, origin: Origin | None = None) -> Event:
    data = describe_dispute(dispute)
    return Event(dispute.merchant_id, type, None, None, origin=origin, data=data)


def _lock_answerable(work: UnitOfWork, merchant_id: UUID, dispute_id: UUID) -> Dispute:
    dispute = work.disputes.lock(merchant_id, dispute_id)
    if dispute is None:
        raise NotFound("No dispute has this id.")
    if not dispute.is_answerable:
        rule = "Only a dispute that NEEDS_RESPONSE and has no pending response can be answered"
        state = dispute.status.value
        if dispute.pending_response:
            state = f"{state}, with a pending response"
        raise DisputeNotAnswerable(
            f"{rule}; this one is {state}.", details={"status": [dispute.status.value]}
        )
    return dispute


def _save_response(work: UnitOfWork, dispute: Dispute, origin: Origin | None) -> Dispute:
    saved = work.disputes.update(dispute, NO_DELAY)
    work.events.add([build_dispute_event(saved, EventType.DISPUTE_UPDATED, origin)])
    return saved
