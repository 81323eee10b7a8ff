"""A merchant whose payments are captured, canceled and refunded, and a faulty card network."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.accounts import Account
from atomic_core.domain.events import EventType
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest

MAX_SETTLE_CALLS = 20


class FaultyNetwork(SandboxCardNetwork):
    """Records its calls. The next call of `failing_call` takes effect and raises KeyboardInterrupt,
    as if the worker had died."""

    def __init__(self) -> None:
        self.failing_call: str | None = None
        self.calls: list[tuple[str, UUID]] = []

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._record_call("capture", claims, super().capture(claims))

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._record_call("void", claims, super().void(claims))

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._record_call("reverse", claims, super().reverse(claims))

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._record_call("refund", claims, super().refund(claims))

    def _record_call(
        self, call: str, claims: Sequence[Claim], responses: Sequence[NetworkResponse]
    ) -> Sequence[NetworkResponse]:
        self.calls += [(call, claim.id) for claim in claims]
        if self.failing_call == call:
            self.failing_call = None
            raise KeyboardInterrupt
        return responses


@dataclass
class PaymentScenario:
    """Operations of one merchant on its USD account."""

    application: Application
    network: FaultyNetwork
    merchant_id: UUID
    account_id: UUID

    def pay(
        self,
        amount: int,
        source: str = "tok_visa",
        capture: CaptureMethod = CaptureMethod.AUTOMATIC,
    ) -> Payment:
        """Create a payment, and return it when everything is settled."""
        new_payment = NewPayment(self.merchant_id, Money(amount, "USD"), source, capture=capture)
        return self.settle(self.application.payments.record(new_payment))

    def settle(self, payment: Payment) -> Payment:
        """Settle until no work is due. The payment after that."""
        for _ in range(MAX_SETTLE_CALLS):
            if not self.application.settlement.settle():
                break
        else:
            pytest.fail(f"not settled after {MAX_SETTLE_CALLS} calls")
        return self.application.payments.get(self.merchant_id, payment.id)

    def capture(self, payment: Payment, amount: int | None = None) -> Payment:
        return self.application.payments.capture(
            CaptureRequest(self.merchant_id, payment.id, amount)
        )

    def cancel(self, payment: Payment) -> Payment:
        return self.application.payments.cancel(CancelRequest(self.merchant_id, payment.id))

    def create_refund(self, payment: Payment, amount: int | None = None) -> Refund:
        return self.application.refunds.create(NewRefund(self.merchant_id, payment.id, amount))

    def refund_and_settle(
        self, payment: Payment, amount: int | None = None
    ) -> tuple[Status, str | None]:
        """The status and failure reason of a refund when everything is settled."""
        refund = self.create_refund(payment, amount)
        self.settle(payment)
        settled_refund = self.application.refunds.get(self.merchant_id, refund.id)
        return settled_refund.status, settled_refund.failure_reason

    def list_event_types(self, payment: Payment) -> list[EventType]:
        timeline = self.application.payments.get_timeline(self.merchant_id, payment.id)
        return [event.event.type for event in timeline.events]

    @property
    def account(self) -> Account:
        return self.application.accounts.get(self.merchant_id, self.account_id)

    def assert_ledger_is_clean(self) -> None:
        report = self.application.ledger.verify()
        assert report.is_clean, report.findings
