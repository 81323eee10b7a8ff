"""Settlement through Stripe under faults, on PostgreSQL: each fault, in each step, of payments that
Stripe approves and declines. Our status is never ahead of what Stripe holds, and ends as it.

Each combination is a payment of its own. They are settled together, so that the requests which
exceed their time-out are waited for at once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from urllib.parse import parse_qs, urlsplit

import pytest

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_core.application import Application
from stripe_matrix import ENDS, ROUTES, Combination, Scenario, StripeObjects
from stripe_rules import SECRET_KEY, Fault, RecordingProxy, Request
from support import NOW, Store, add_merchant, build_application

GUARD_SECONDS = 20
"""The time-out of calls that are answered, or cut, at once."""

SHORT_SECONDS = 1
"""The time-out of calls where the fault is to exceed it. On a slower machine, requests are
repeated more often."""

CONCURRENCY = 48
"""More than the payments of which a request can exceed its time-out at once."""

MAX_ROUNDS = 60

SLOW_FAULTS = (Fault.REPLY_DELAYED, Fault.SLOW_BODY)
QUICK_FAULTS = tuple(fault for fault in Fault if fault not in SLOW_FAULTS)

ONCE, BEYOND_THE_REPEATS = 1, 4
"""How many requests of the step fail: the repetition decides, or an inquiry."""


@dataclass
class FailFirst:
    """The fault of each payment, for the first requests of its step."""

    combinations: Mapping[str, Combination]
    """By the id of the payment, and by that of its PaymentIntent."""
    failed: Counter[Combination] = field(default_factory=Counter)

    def find(self, request: Request) -> Combination | None:
        """The combination whose step this is a request of."""
        if request.route not in ROUTES.values():
            return None
        params = parse_qs(request.body.decode())
        [id] = params.get("metadata[atomic_payment]") or [urlsplit(request.path).path.split("/")[3]]
        combination = self.combinations[id]
        return combination if request.route == ROUTES[combination.step] else None

    def __call__(self, request: Request) -> Fault | None:
        combination = self.find(request)
        if combination is None or self.failed[combination] >= combination.failures:
            return None
        self.failed[combination] += 1
        return combination.fault


@pytest.mark.parametrize(
    ("faults", "seconds"),
    [(QUICK_FAULTS, GUARD_SECONDS), (SLOW_FAULTS, SHORT_SECONDS)],
    ids=["quick", "slow"],
)
def test_payments_end_as_stripe_has_them(
    postgres_store: Store, proxy: RecordingProxy, faults: Sequence[Fault], seconds: int
) -> None:
    settings = StripeSettings(SECRET_KEY, proxy.url, CONCURRENCY)
    network = StripeCardNetwork(settings, timedelta(seconds=seconds), request_duration=timedelta(0))
    with closing(network):
        application = build_application(postgres_store.begin, card_network=network, lease=NOW)
        scenarios = [
            Scenario(application, proxy, Combination(*values), add_merchant(postgres_store.begin))
            for values in product(faults, ROUTES, (True, False), (ONCE, BEYOND_THE_REPEATS))
        ]
        begin_steps(application, scenarios)
        proxy.plan = plan = FailFirst(index_by_id(scenarios))
        settle(application, proxy, scenarios)
        proxy.released.set()
    objects = StripeObjects(proxy)
    for scenario in scenarios:
        scenario.refresh()
        scenario.compare(objects)
    assert {scenario.combination: scenario.describe_end(objects) for scenario in scenarios} == {
        scenario.combination: ENDS[scenario.combination[1:3]] for scenario in scenarios
    }
    assert set(plan.failed) == {scenario.combination for scenario in scenarios}
    assert application.ledger.verify().is_clean


def begin_steps(application: Application, scenarios: Sequence[Scenario]) -> None:
    """Settle what comes before the steps, without faults."""
    later_steps = [scenario for scenario in scenarios if not scenario.is_first_step]
    for scenario in later_steps:
        scenario.record_payment()
    for _ in range(MAX_ROUNDS):
        application.settlement.settle()
        for scenario in later_steps:
            scenario.refresh()
        waiting = [scenario for scenario in later_steps if not scenario.is_ready]
        if not waiting:
            break
        for scenario in waiting:
            scenario.make_due()
    for scenario in scenarios:
        scenario.begin_step()
        scenario.refresh()


def index_by_id(scenarios: Sequence[Scenario]) -> Mapping[str, Combination]:
    names = [(scenario.payment, scenario.combination) for scenario in scenarios]
    by_payment = {str(payment.id): combination for payment, combination in names}
    by_intent = {payment.network_reference or "": combination for payment, combination in names}
    return {**by_payment, **by_intent}


def settle(application: Application, proxy: RecordingProxy, scenarios: Sequence[Scenario]) -> None:
    """One attempt of each open payment after another, compared after each."""
    is_open = scenarios
    for _ in range(MAX_ROUNDS):
        application.settlement.settle()
        objects = StripeObjects(proxy, [scenario.payment_id for scenario in is_open])
        for scenario in is_open:
            scenario.refresh()
            scenario.compare(objects)
        is_open = [scenario for scenario in is_open if not scenario.has_ended]
        if not is_open:
            return
        for scenario in is_open:
            scenario.make_due()
    pytest.fail(f"open after {MAX_ROUNDS} attempts: {[each.combination for each in is_open]}")
