"""A merchant whose payments are disputed at a card network that a test controls."""

from dataclasses import dataclass, field
from typing import Any

from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.disputes import (
    Dispute,
    DisputeReport,
    DisputeRequest,
    DisputeResponse,
    DisputeStatus,
    DisputeVerdict,
    NetworkDispute,
)
from atomic_core.domain.events import EventFilter
from atomic_core.domain.lists import DisputeFilter
from atomic_core.domain.network_events import NetworkEvent
from atomic_core.domain.payments import Payment
from payment_scenarios import PaymentScenario

FEE = 15


@dataclass
class ControlledDisputes:
    """A network with the disputes that a test gives it. `silence` answers nothing while it is
    set."""

    disputes: dict[str, NetworkDispute] = field(default_factory=dict)
    silence: bool = False
    refuses_responses: bool = False
    responses: list[tuple[DisputeResponse, str]] = field(default_factory=list)
    look_ups: int = 0

    def look_up(self, request: DisputeRequest) -> DisputeReport:
        self.look_ups += 1
        if self.silence:
            raise TimeoutError
        found = self.disputes.get(request.reference)
        if found is None:
            return DisputeReport(DisputeVerdict.NOT_FOUND)
        return DisputeReport(DisputeVerdict.FOUND, found)

    def submit_evidence(self, request: DisputeRequest) -> DisputeReport:
        return self._respond(request, DisputeResponse.EVIDENCE, DisputeStatus.UNDER_REVIEW)

    def accept(self, request: DisputeRequest) -> DisputeReport:
        return self._respond(request, DisputeResponse.ACCEPTANCE, DisputeStatus.LOST)

    def _respond(
        self, request: DisputeRequest, response: DisputeResponse, status: DisputeStatus
    ) -> DisputeReport:
        if self.silence:
            raise TimeoutError
        if self.refuses_responses:
            return DisputeReport(DisputeVerdict.REFUSED)
        assert request.dispute is not None
        self.responses.append((response, request.reference))
        self.change(request.reference, status=status)
        return self.look_up(request)

    def change(self, reference: str, **changes: Any) -> None:
        self.disputes[reference] = self.disputes[reference]._replace(**changes)


@dataclass
class DisputeScenario(PaymentScenario):
    """The same merchant, and disputes at `disputes`."""

    disputes: ControlledDisputes = field(default_factory=ControlledDisputes)
    _events: int = 0

    def add_dispute(self, payment: Payment, amount: int, reference: str = "dp_1") -> None:
        """At the network: Atomic learns of it by an event."""
        self.disputes.disputes[reference] = NetworkDispute(
            reference,
            payment.id,
            DisputeStatus.NEEDS_RESPONSE,
            amount,
            payment.money.currency,
            FEE,
            0,
            "fraudulent",
        )

    def receive(self, reference: str = "dp_1", id: str | None = None) -> None:
        """An event that names the dispute, with a new id unless one is given."""
        self._events += 1
        event_id = id or f"evt_{self._events}"
        with self.application.disputes.process.begin() as work:
            work.network_events.add(
                NetworkEvent(
                    DEFAULT_NETWORK, event_id, "charge.dispute.x", None, dispute_reference=reference
                )
            )
            work.commit()

    def process(self) -> list[str]:
        """Process what is due; the problems."""
        problems: list[str] = []
        self.application.disputes.process(
            DEFAULT_NETWORK, lambda _, problem: problems.append(problem)
        )
        return problems

    def open(self, payment: Payment, amount: int, reference: str = "dp_1") -> Dispute:
        """A recorded dispute."""
        self.add_dispute(payment, amount, reference)
        self.receive(reference)
        problems = self.process()
        assert problems == [], problems
        return self.get(reference)

    def update(self, reference: str = "dp_1", **changes: Any) -> Dispute:
        """The recorded dispute after the network has changed it and sent an event."""
        self.disputes.change(reference, **changes)
        self.receive(reference)
        problems = self.process()
        assert problems == [], problems
        return self.get(reference)

    def get(self, reference: str = "dp_1") -> Dispute:
        [dispute] = [
            dispute for dispute in self.list_disputes() if dispute.network_reference == reference
        ]
        return dispute

    def list_disputes(self) -> list[Dispute]:
        page = self.application.disputes.list(self.merchant_id, DisputeFilter(), None, 100)
        return list(page.items)

    def list_stream(self) -> list[tuple[str, Any]]:
        """Type and status of the events of disputes, oldest first."""
        with self.application.disputes.process.begin() as work:
            events = work.events.list_stream(
                self.merchant_id, EventFilter(), 1_000, is_oldest_first=True
            )
        return [
            (str(event.event.type), event.event.data["status"])
            for event in events
            if event.event.type.startswith("dispute.") and event.event.data
        ]
