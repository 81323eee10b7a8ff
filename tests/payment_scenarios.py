"""A shop whose payments live beyond a plain charge, and a card network that dies when told to."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.accounts import Account
from atomic_core.domain.events import PaymentEventType
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest

MANY_TIMES = 20


class Power(SandboxCardNetwork):
    """Goes away when it is asked for the first time, before or after it did what was asked."""

    def __init__(self) -> None:
        self.fails: str | None = None
        self.asked: list[tuple[str, UUID]] = []

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._ask("capture", claims, super().capture(claims))

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._ask("void", claims, super().void(claims))

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._ask("refund", claims, super().refund(claims))

    def _ask(
        self, call: str, claims: Sequence[Claim], answers: Sequence[NetworkResponse]
    ) -> Sequence[NetworkResponse]:
        self.asked += [(call, claim.id) for claim in claims]
        if self.fails == call:
            self.fails = None
            raise KeyboardInterrupt
        return answers


@dataclass
class Shop:
    application: Application
    network: Power
    merchant_id: UUID
    account_id: UUID

    def pay(
        self, amount: int, source: str = "tok_visa", capture: CaptureMethod = CaptureMethod.AUTOMATIC
    ) -> Payment:
        """A payment as it stands once all is settled."""
        order = NewPayment(self.merchant_id, Money(amount, "USD"), source, capture=capture)
        return self.settled(self.application.payments.record(order))

    def settled(self, payment: Payment) -> Payment:
        for _ in range(MANY_TIMES):
            if not self.application.settlement.settle():
                break
        else:
            pytest.fail("something is never settled")
        return self.application.payments.get(self.merchant_id, payment.id)

    def capture(self, payment: Payment, amount: int | None = None) -> Payment:
        return self.application.payments.capture(CaptureRequest(self.merchant_id, payment.id, amount))

    def cancel(self, payment: Payment) -> Payment:
        return self.application.payments.cancel(CancelRequest(self.merchant_id, payment.id))

    def ask_back(self, payment: Payment, amount: int | None = None) -> Refund:
        return self.application.refunds.create(NewRefund(self.merchant_id, payment.id, amount))

    def give_back(self, payment: Payment, amount: int | None = None) -> tuple[Status, str | None]:
        """What became of a refund."""
        refund = self.ask_back(payment, amount)
        self.settled(payment)
        now = self.application.refunds.get(self.merchant_id, refund.id)
        return now.status, now.failure_reason

    def told(self, payment: Payment) -> list[PaymentEventType]:
        timeline = self.application.payments.get_timeline(self.merchant_id, payment.id)
        return [told.event.type for told in timeline.events]

    @property
    def account(self) -> Account:
        return self.application.accounts.get(self.merchant_id, self.account_id)

    def check_books(self) -> None:
        report = self.application.ledger.verify()
        assert report.is_clean, report.findings
