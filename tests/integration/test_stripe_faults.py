"""Settlement through Stripe under faults, on PostgreSQL: each fault, in each step, of payments that
Stripe approves and declines. Our status is never ahead of what Stripe holds, and ends as it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_core.application import Application
from atomic_core.domain.card_networks import NetworkState
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from stripe_rules import (
    DECLINED_SOURCE,
    SECRET_KEY,
    Fault,
    RecordingProxy,
    Request,
    compute_held,
    compute_net,
)
from support import NOW, Store, add_merchant, build_application

AMOUNT = 5_000
CAPTURED = 3_000
REFUNDED = 2_000

GUARD_SECONDS = 20
"""The time-out of a call that is answered, or cut, at once."""

SHORT_SECONDS = 1
"""The time-out of a call where the fault is to exceed it. On a slower machine, requests are
repeated more often."""

MAX_ROUNDS = 60

ROUTES = {
    Step.CHARGE: "POST /v1/payment_intents",
    Step.AUTHORIZE: "POST /v1/payment_intents",
    Step.CAPTURE: "POST /v1/payment_intents/{id}/capture",
    Step.VOID: "POST /v1/payment_intents/{id}/cancel",
    Step.REFUND: "POST /v1/refunds",
}

FIRST_STEPS = (Step.CHARGE, Step.AUTHORIZE)


@dataclass
class Scenario:
    """One payment. `settle` compares it with what Stripe holds after every attempt."""

    application: Application
    proxy: RecordingProxy
    merchant_id: UUID
    payment_id: UUID
    refund_id: UUID | None = None
    refunded_elsewhere: int = 0

    @property
    def payment(self) -> Payment:
        return self.application.payments.get(self.merchant_id, self.payment_id)

    @property
    def refund(self) -> Refund:
        assert self.refund_id
        return self.application.refunds.get(self.merchant_id, self.refund_id)

    @property
    def item(self) -> Payment | Refund:
        return self.refund if self.refund_id else self.payment

    def find(self, kind: str) -> Sequence[Any]:
        """The payment's objects of a kind at Stripe."""
        id = str(self.payment_id)
        found = self.proxy.list_all(kind)
        return [one for one in found if one["metadata"].get("atomic_payment") == id]

    def settle(self) -> None:
        """One attempt, whatever the back-off."""
        if self.item.status is Status.PROCESSING:
            self.application.admin.retry_payment(self.item.id)
        self.application.settlement.settle()
        self.compare()

    def settle_until(self, has_ended: Callable[[Payment | Refund], bool]) -> None:
        for _ in range(MAX_ROUNDS):
            self.settle()
            if has_ended(self.item):
                return
        pytest.fail(f"open after {MAX_ROUNDS} attempts: {self.proxy.list_routes()}")

    def compare(self) -> None:
        intents, refunds = self.find("payment_intents"), self.find("refunds")
        net, held = sum(map(compute_net, intents)), sum(map(compute_held, intents))
        with_money = [one for one in intents if compute_net(one) or compute_held(one)]
        assert len(with_money) <= 1, "charged twice"
        assert len(refunds) <= 1, "refunded twice"
        payment = self.payment
        match payment.status:
            case Status.FAILED | Status.CANCELED:
                assert (net, held) == (0, 0), "ended while Stripe has money"
            case Status.SUCCESS:
                given_back = sum(one["amount"] for one in refunds) + self.refunded_elsewhere
                assert (net + given_back, held) == (payment.amount_captured, 0)
                assert payment.network_reference == with_money[0]["id"] if with_money else True
        if self.refund_id and self.refund.status.is_settled:
            is_made = [one["metadata"]["atomic_refund"] for one in refunds] == [str(self.refund_id)]
            assert is_made is (self.refund.status is Status.SUCCESS)

    def get_balance(self) -> int:
        account = self.application.accounts.get(self.merchant_id, self.payment.account_id)
        return account.balance


@pytest.fixture
def application(
    postgres_store: Store, proxy: RecordingProxy, fault: Fault
) -> Iterator[Application]:
    settings = StripeSettings(SECRET_KEY, proxy.url, concurrency=4)
    is_slow = fault in (Fault.REPLY_DELAYED, Fault.SLOW_BODY)
    seconds = SHORT_SECONDS if is_slow else GUARD_SECONDS
    network = StripeCardNetwork(settings, timedelta(seconds=seconds), request_duration=timedelta(0))
    with closing(network):
        yield build_application(postgres_store.begin, card_network=network, lease=NOW)
        proxy.released.set()


@pytest.fixture
def merchant_id(postgres_store: Store) -> UUID:
    return add_merchant(postgres_store.begin)


def begin_step(
    application: Application,
    proxy: RecordingProxy,
    merchant_id: UUID,
    step: Step,
    *,
    is_approved: bool,
) -> Scenario:
    """A payment before the step, of which the step is due and Stripe will approve or decline it."""
    is_declined_card = step in FIRST_STEPS and not is_approved
    is_manual = step in (Step.AUTHORIZE, Step.CAPTURE, Step.VOID)
    new_payment = NewPayment(
        merchant_id,
        Money(AMOUNT, "USD"),
        DECLINED_SOURCE if is_declined_card else "pm_card_visa",
        capture=CaptureMethod.MANUAL if is_manual else CaptureMethod.AUTOMATIC,
    )
    payment = application.payments.record(new_payment)
    scenario = Scenario(application, proxy, merchant_id, payment.id)
    if step in FIRST_STEPS:
        return scenario
    ready = Status.AUTHORIZED if is_manual else Status.SUCCESS
    scenario.settle_until(lambda item: item.status is ready)
    if not is_approved:
        decline_beforehand(scenario, step)
    match step:
        case Step.CAPTURE:
            application.payments.capture(CaptureRequest(merchant_id, payment.id, CAPTURED))
        case Step.VOID:
            application.payments.cancel(CancelRequest(merchant_id, payment.id))
        case Step.REFUND:
            refund = application.refunds.create(NewRefund(merchant_id, payment.id, REFUNDED))
            scenario.refund_id = refund.id
    return scenario


def decline_beforehand(scenario: Scenario, step: Step) -> None:
    """Do at Stripe, behind our back, what makes the step impossible."""
    reference = scenario.payment.network_reference
    match step:
        case Step.CAPTURE:
            scenario.proxy.ask("POST", f"/v1/payment_intents/{reference}/cancel")
        case Step.VOID:
            scenario.proxy.ask("POST", f"/v1/payment_intents/{reference}/capture")
        case Step.REFUND:
            scenario.proxy.ask("POST", "/v1/refunds", payment_intent=reference)
            scenario.refunded_elsewhere = AMOUNT


@dataclass
class FailFirst:
    """The fault for the step's first requests."""

    fault: Fault
    step: Step
    count: int
    failed: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Fault | None:
        if request.route != ROUTES[self.step] or len(self.failed) >= self.count:
            return None
        self.failed.append(request)
        return self.fault


ENDS = {
    (Step.CHARGE, True): (Status.SUCCESS, AMOUNT, AMOUNT),
    (Step.AUTHORIZE, True): (Status.AUTHORIZED, 0, 0),
    (Step.CAPTURE, True): (Status.SUCCESS, CAPTURED, CAPTURED),
    (Step.VOID, True): (Status.CANCELED, 0, 0),
    (Step.REFUND, True): (Status.SUCCESS, AMOUNT - REFUNDED, AMOUNT - REFUNDED),
    (Step.CHARGE, False): (Status.FAILED, 0, 0),
    (Step.AUTHORIZE, False): (Status.FAILED, 0, 0),
    (Step.CAPTURE, False): (Status.FAILED, 0, 0),
    # Stripe has the money, so it is not CANCELED: an operator has to see it.
    (Step.VOID, False): (Status.PROCESSING, 0, AMOUNT),
    (Step.REFUND, False): (Status.FAILED, AMOUNT, 0),
}
"""The status of the payment or refund, the balance of the merchant, and what Stripe has taken."""

ONCE, BEYOND_THE_REPEATS = 1, 4
"""How many requests of the step fail: the repetition decides, or an inquiry."""


@pytest.mark.parametrize("count", [ONCE, BEYOND_THE_REPEATS], ids=["once", "repeatedly"])
@pytest.mark.parametrize("is_approved", [True, False], ids=["approved", "declined"])
@pytest.mark.parametrize("step", ROUTES)
@pytest.mark.parametrize("fault", Fault)
def test_payment_ends_as_stripe_has_it(
    application: Application,
    proxy: RecordingProxy,
    merchant_id: UUID,
    fault: Fault,
    step: Step,
    is_approved: bool,
    count: int,
) -> None:
    scenario = begin_step(application, proxy, merchant_id, step, is_approved=is_approved)
    proxy.plan = plan = FailFirst(fault, step, count)
    expected, balance, net = ENDS[step, is_approved]
    is_refused = (step, is_approved) == (Step.VOID, False)

    def has_ended(item: Payment | Refund) -> bool:
        if is_refused:
            return item.network_state is NetworkState.REFUSED
        return item.status.is_settled or item.status is Status.AUTHORIZED

    scenario.settle_until(has_ended)
    assert plan.failed
    assert scenario.item.status is expected
    assert scenario.get_balance() == balance
    assert sum(map(compute_net, scenario.find("payment_intents"))) == net
    assert application.ledger.verify().is_clean
