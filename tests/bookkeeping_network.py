"""A card network with books of its own. It answers a repeated request as it answered the first, and
its answers can be lost, delayed or refused, per claim and for whole calls."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim

APPROVED = NetworkResponse(Verdict.APPROVED)
UNKNOWN = NetworkResponse(Verdict.UNKNOWN)
NOT_SENT = NetworkResponse(Verdict.NOT_SENT)
PENDING = NetworkResponse(Verdict.PENDING)
NOT_FOUND = NetworkResponse(Verdict.NOT_FOUND)


@dataclass
class NetworkRecord:
    """What the network did for one payment, in minor units."""

    held: int = 0
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    """What disputes have withdrawn and not returned."""

    @property
    def net(self) -> int:
        return self.captured - self.refunded - self.disputed


Fault = Callable[[str, Claim], NetworkResponse | None]
"""By method and claim: the response instead of the true one; None for the true one. NOT_SENT: the
request does not reach the network."""


def no_fault(method: str, claim: Claim) -> None:
    """The network answers everything."""


@dataclass
class BookkeepingNetwork(SandboxCardNetwork):
    """`fault` decides about each request. A fault that raises fails the whole call, after it has
    taken effect."""

    fault: Fault = no_fault
    lost_requests: int = 0
    """How many of the next requests do not reach the network, without the caller knowing."""
    records: dict[UUID, NetworkRecord] = field(default_factory=dict)
    """By payment."""
    calls: list[tuple[str, UUID]] = field(default_factory=list)
    """Method and claim of every request."""
    _responses: dict[tuple[UUID, str], NetworkResponse] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get_record(self, payment_id: UUID) -> NetworkRecord:
        return self.records.setdefault(payment_id, NetworkRecord())

    def list_methods(self, id: UUID) -> list[str]:
        return [method for method, claim_id in self.calls if claim_id == id]

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._answer("authorize", claims)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._answer("capture", claims)

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._answer("void", claims)

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._answer("reverse", claims)

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._answer("refund", claims)

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._answer("inquire", claims)

    def _answer(self, method: str, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        with self._lock:
            self.calls += [(method, claim.id) for claim in claims]
            outcomes = [self._process_or_lose(method, claim) for claim in claims]
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, NetworkResponse)]

    def _process_or_lose(self, method: str, claim: Claim) -> NetworkResponse | Exception:
        if self.lost_requests:
            self.lost_requests -= 1
            return UNKNOWN
        try:
            fault = self.fault(method, claim)
        except Exception as error:  # noqa: BLE001 - raised when the call has taken effect
            self._process(method, claim)
            return error
        if fault is not None and fault.verdict is Verdict.NOT_SENT:
            return fault
        true_response = self._process(method, claim)
        return fault or true_response

    def _process(self, method: str, claim: Claim) -> NetworkResponse:
        key = (claim.id, str(claim.step))
        if method == "inquire" and claim.awaits_customer:
            [response] = SandboxCardNetwork.inquire(self, [claim])
            if response.verdict is Verdict.APPROVED and key not in self._responses:
                self._responses[key] = response
                self._record(claim)
            return response
        if method == "inquire":
            return self._responses.get(key, NetworkResponse(Verdict.NOT_FOUND))
        if key not in self._responses:
            [response] = getattr(SandboxCardNetwork, method)(self, [claim])
            if response.verdict in (Verdict.APPROVED, Verdict.DECLINED):
                self._responses[key] = response
            if response.verdict is Verdict.APPROVED:
                self._record(claim)
            return response
        return self._responses[key]

    def _record(self, claim: Claim) -> None:
        record = self.get_record(claim.payment_id)
        match claim.step:
            case Step.CHARGE:
                record.captured += claim.amount
            case Step.AUTHORIZE:
                record.held += claim.amount
            case Step.CAPTURE:
                record.captured += claim.capture_amount or 0
                record.held = 0
            case Step.REFUND:
                record.refunded += claim.amount
            case _:
                record.held, record.refunded = 0, record.captured
