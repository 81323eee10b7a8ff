"""The matrix of faults with Stripe's events: each fault, in each step, of payments that Stripe
approves and declines, with an event that arrives before the request, while its answer is under way,
and instead of the answer. An event changes no end."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from itertools import count, product

import pytest
import stripe

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_adapters.networks.stripe.events import StripeEventVerifier
from atomic_core.application import Application
from atomic_core.domain.payments import Step
from integration.test_stripe_faults import (
    CONCURRENCY,
    GUARD_SECONDS,
    ONCE,
    QUICK_FAULTS,
    SHORT_SECONDS,
    SLOW_FAULTS,
    FailFirst,
    begin_steps,
    index_by_id,
)
from stripe_matrix import ENDS, ROUTES, Combination, Scenario, StripeObjects
from stripe_rules import SECRET_KEY, Fault, RecordingProxy, Request
from support import HOUR, NOW, Store, add_merchant, build_application

SECRET = "whsec_" + "0d" * 16

UNPROCESSED = (Fault.RATE_LIMITED, Fault.RESET_BEFORE)

MAX_ROUNDS = 12


class Arrival(StrEnum):
    BEFORE = "before the request"
    DURING = "while the answer is under way"
    INSTEAD = "instead of the answer"


TYPES: Mapping[tuple[Step, bool], str] = {
    (Step.CHARGE, True): "payment_intent.succeeded",
    (Step.AUTHORIZE, True): "payment_intent.amount_capturable_updated",
    (Step.CAPTURE, True): "payment_intent.succeeded",
    (Step.VOID, True): "payment_intent.canceled",
    (Step.REFUND, True): "refund.updated",
    (Step.CHARGE, False): "payment_intent.payment_failed",
    (Step.AUTHORIZE, False): "payment_intent.payment_failed",
    (Step.CAPTURE, False): "payment_intent.canceled",
    (Step.VOID, False): "payment_intent.succeeded",
    (Step.REFUND, False): "refund.failed",
}


@dataclass
class EventSender:
    """Stripe's events about scenarios: signed, received and acted on at once."""

    application: Application
    scenarios: Mapping[Combination, Scenario] = field(default_factory=dict)
    sent: Counter[Combination] = field(default_factory=Counter)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def send(self, combination: Combination) -> None:
        scenario = self.scenarios[combination]
        metadata = {"atomic_payment": str(scenario.payment_id)}
        if scenario.refund_id:
            metadata["atomic_refund"] = str(scenario.refund_id)
        body = json.dumps(
            {
                "id": f"evt_{next(self._numbers)}",
                "object": "event",
                "type": TYPES[combination.step, combination.is_approved],
                "data": {"object": {"id": "pi_1", "metadata": metadata}},
            }
        )
        signature = stripe.WebhookSignature.generate_signature_header(
            body, SECRET, int(time.time())
        )
        self.application.network_events.receive("stripe", body.encode(), signature)
        self.application.network_events.act()
        self.sent[combination] += 1


@dataclass
class PlanWithEvents(FailFirst):
    """The fault of each payment, and the events that arrive with its requests."""

    arrival: Arrival = Arrival.BEFORE
    send: Callable[[Combination], None] = lambda combination: None

    def __call__(self, request: Request) -> Fault | None:
        combination = self.find(request)
        if combination and self.arrival is Arrival.BEFORE:
            self.send(combination)
        fault = super().__call__(request)
        if combination and self.arrival is Arrival.DURING and fault in UNPROCESSED:
            self.send(combination)
        return fault

    def on_processed(self, request: Request) -> None:
        combination = self.find(request)
        if combination and self.arrival is Arrival.DURING:
            self.send(combination)


@pytest.fixture(autouse=True)
def no_repetition_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left open is due again by an event only, or because a test makes it due."""
    monkeypatch.setattr("atomic_core.domain.settlement.compute_back_off", lambda faults: HOUR)
    monkeypatch.setattr("atomic_core.use_cases.network_events.POSTPONEMENT", NOW)


@pytest.mark.parametrize("arrival", Arrival)
@pytest.mark.parametrize(
    ("faults", "seconds"),
    [(QUICK_FAULTS, GUARD_SECONDS), (SLOW_FAULTS, SHORT_SECONDS)],
    ids=["quick", "slow"],
)
def test_payments_end_as_stripe_has_them_whenever_events_arrive(
    postgres_store: Store,
    proxy: RecordingProxy,
    faults: Sequence[Fault],
    seconds: int,
    arrival: Arrival,
) -> None:
    settings = StripeSettings(SECRET_KEY, proxy.url, CONCURRENCY)
    network = StripeCardNetwork(settings, timedelta(seconds=seconds), request_duration=timedelta(0))
    with closing(network):
        application = build_application(
            postgres_store.begin,
            card_networks={"stripe": network},
            default_network="stripe",
            network_event_verifiers={"stripe": StripeEventVerifier(SECRET)},
            lease=NOW,
        )
        scenarios = [
            Scenario(application, proxy, Combination(*values), add_merchant(postgres_store.begin))
            for values in product(faults, ROUTES, (True, False), (ONCE,))
        ]
        begin_steps(application, scenarios)
        sender = EventSender(
            application, {scenario.combination: scenario for scenario in scenarios}
        )
        plan = PlanWithEvents(index_by_id(scenarios), arrival=arrival, send=sender.send)
        proxy.plan, proxy.on_processed = plan, plan.on_processed
        settle(application, proxy, scenarios, sender, arrival)
        proxy.released.set()
    objects = StripeObjects(proxy)
    for scenario in scenarios:
        scenario.refresh()
        scenario.compare(objects)
    assert {scenario.combination: scenario.describe_end(objects) for scenario in scenarios} == {
        scenario.combination: ENDS[scenario.combination[1:3]] for scenario in scenarios
    }
    every = {scenario.combination for scenario in scenarios}
    assert set(plan.failed) == every
    assert set(sender.sent) == every
    assert application.ledger.verify().is_clean


def has_event_of_its_own(combination: Combination) -> bool:
    """Whether Stripe sends one after the request. What it has not processed, and a refund that it
    refuses, change nothing there: an event that arrives is about something earlier."""
    is_refused_refund = combination.step is Step.REFUND and not combination.is_approved
    return combination.fault not in UNPROCESSED and not is_refused_refund


def settle(
    application: Application,
    proxy: RecordingProxy,
    scenarios: Sequence[Scenario],
    sender: EventSender,
    arrival: Arrival,
) -> None:
    """One attempt of each open payment after another, compared after each."""
    is_open = scenarios
    for number in range(MAX_ROUNDS):
        application.settlement.settle()
        objects = StripeObjects(proxy, [scenario.payment_id for scenario in is_open])
        for scenario in is_open:
            scenario.refresh()
            scenario.compare(objects)
        is_open = [scenario for scenario in is_open if not scenario.has_ended]
        if not is_open:
            return
        for scenario in is_open:
            has_event = arrival is Arrival.INSTEAD and has_event_of_its_own(scenario.combination)
            if has_event or (arrival is Arrival.INSTEAD and number == 0):
                sender.send(scenario.combination)
            if not has_event:
                scenario.make_due()
    pytest.fail(f"open after {MAX_ROUNDS} attempts: {[each.combination for each in is_open]}")
