"""Disputes against a network that may do anything, in any order: when its events have arrived and
it answers, each recorded dispute is as the network has it, and the account has what is left."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from atomic_adapters.memory import MemoryStore
from atomic_adapters.system import SystemClock
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.disputes import DisputeStatus, Evidence
from atomic_core.domain.errors import Conflict
from atomic_core.domain.lists import RefundFilter
from atomic_core.domain.payments import Payment, Status
from atomic_core.use_cases.disputes import EvidenceRequest
from dispute_scenarios import ControlledDisputes, DisputeScenario
from payment_scenarios import FaultyNetwork
from support import DEPTH, NOW, add_merchant, build_application, open_account

NEXT = {
    DisputeStatus.NEEDS_RESPONSE: (
        DisputeStatus.UNDER_REVIEW,
        DisputeStatus.WON,
        DisputeStatus.LOST,
    ),
    DisputeStatus.UNDER_REVIEW: (DisputeStatus.WON, DisputeStatus.LOST),
    DisputeStatus.WON: (),
    DisputeStatus.LOST: (),
}

REFUNDS = RefundFilter()


class DisputeMachine(RuleBasedStateMachine):
    payments = Bundle("payments")
    references = Bundle("references")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name in ("POSTPONEMENT", "MAX_BACK_OFF"):
            self.patch.setattr(f"atomic_core.use_cases.dispute_processing.{name}", NOW)
        self.patch.setattr("atomic_core.domain.card_networks.BACK_OFF_BASE", timedelta(0))
        begin = MemoryStore(SystemClock()).begin
        merchant_id, self.network = add_merchant(begin), FaultyNetwork()
        account_id = open_account(begin, merchant_id)
        disputes = ControlledDisputes()
        application = build_application(
            begin,
            card_network=self.network,
            lease=NOW,
            dispute_networks={DEFAULT_NETWORK: disputes},
        )
        self.shop = DisputeScenario(application, self.network, merchant_id, account_id, disputes)
        self.captured = 0
        self.undelivered: list[str] = []

    def teardown(self) -> None:
        self.shop.disputes.silence = False
        for reference in self.undelivered:
            self.shop.receive(reference)
        for _ in range(3):
            self.shop.application.settlement.settle()
            assert self.shop.process() == []
        recorded = {each.network_reference: each for each in self.shop.list_disputes()}
        assert recorded.keys() == self.shop.disputes.disputes.keys()
        for reference, there in self.shop.disputes.disputes.items():
            here = recorded[reference]
            assert (here.status, here.money.amount) == (there.status, there.amount)
        self.check_books()
        self.patch.undo()

    @rule(target=payments, amount=st.integers(1, 1_000))
    def pay(self, amount: int) -> Payment:
        self.captured += amount
        return self.shop.pay(amount)

    @rule(payment=payments, share=st.integers(1, 4), is_settled=st.booleans())
    def refund(self, payment: Payment, share: int, is_settled: bool) -> None:
        try:
            self.shop.create_refund(payment, max(1, payment.money.amount // share))
        except Conflict:
            return
        if is_settled:
            self.shop.application.settlement.settle()

    @rule(target=references, payment=payments, share=st.integers(1, 3))
    def open(self, payment: Payment, share: int) -> object:
        """The network disputes a part of what it has not paid out."""
        refunds = self.shop.application.refunds.list_by_payment(
            self.shop.merchant_id, RefundFilter(payment_id=payment.id), None, 100
        ).items
        paid_out = sum(each.money.amount for each in refunds if each.status is Status.SUCCESS)
        paid_out += sum(
            each.amount
            for each in self.shop.disputes.disputes.values()
            if each.payment_id == payment.id
        )
        left = payment.money.amount - paid_out
        if left < 1:
            return multiple()
        reference = f"dp_{len(self.shop.disputes.disputes)}"
        self.shop.add_dispute(payment, max(1, left // share), reference)
        self.undelivered.append(reference)
        return reference

    @rule(reference=references, number=st.integers(0, 2))
    def decide(self, reference: str, number: int) -> None:
        following = NEXT[self.shop.disputes.disputes[reference].status]
        if following:
            self.shop.disputes.change(reference, status=following[number % len(following)])
            self.undelivered.append(reference)

    @rule(number=st.integers(0, 20), again=st.booleans())
    def deliver(self, number: int, again: bool) -> None:
        """An event, in any order, perhaps not for the last time."""
        if self.undelivered:
            index = number % len(self.undelivered)
            self.shop.receive(self.undelivered[index])
            if not again:
                del self.undelivered[index]

    @rule(silence=st.booleans())
    def process(self, silence: bool) -> None:
        self.shop.disputes.silence = silence
        problems = self.shop.process()
        assert all("TimeoutError" in problem for problem in problems)

    @rule(number=st.integers(0, 5))
    def answer(self, number: int) -> None:
        found = self.shop.list_disputes()
        if not found:
            return
        dispute = found[number % len(found)]
        request = EvidenceRequest(self.shop.merchant_id, dispute.id, Evidence("It was delivered."))
        try:
            self.shop.application.disputes.submit_evidence(request)
        except Conflict:
            assert not dispute.is_answerable

    @invariant()
    def check_books(self) -> None:
        refunded = sum(
            each.money.amount
            for each in self.shop.application.refunds.list(
                self.shop.merchant_id, REFUNDS, None, 100
            ).items
            if each.status is Status.SUCCESS
        )
        disputed = sum(
            each.fee + (0 if each.status is DisputeStatus.WON else each.money.amount)
            for each in self.shop.list_disputes()
        )
        assert self.shop.account.balance == self.captured - refunded - disputed
        self.shop.assert_ledger_is_clean()


TestDisputes = DisputeMachine.TestCase
TestDisputes.settings = settings(
    max_examples=20 * DEPTH,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
