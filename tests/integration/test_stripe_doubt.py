"""What the Stripe adapter makes of silence, faults, refusals of the account, and inquiries."""

from contextlib import closing
from datetime import timedelta

import pytest

from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_core.domain.card_networks import NetworkResponse, NetworkState, Verdict
from atomic_core.domain.payments import Step
from processes import find_free_port
from stripe_claims import build_claim, build_network, build_refund, next_step
from stripe_rules import (
    DECLINED_SOURCE,
    SECRET_KEY,
    Fault,
    RecordingProxy,
)

HOUR = timedelta(hours=1)

NOT_SENT = NetworkResponse(Verdict.NOT_SENT, is_answered=False)
NO_ANSWER = NetworkResponse(Verdict.UNKNOWN, is_answered=False)
"""Of either, ten open the circuit breaker."""


def test_inquiry_finds_each_step_by_metadata_or_reference(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    charge, hold = build_claim(), build_claim(Step.AUTHORIZE)
    declined = build_claim(source=DECLINED_SOURCE)
    charged, held, _ = network.authorize([charge, hold, declined])
    assert [response.verdict for response in network.inquire([charge, hold, declined])] == [
        Verdict.APPROVED,
        Verdict.APPROVED,
        Verdict.DECLINED,
    ]
    capture = next_step(hold, Step.CAPTURE, held)._replace(capture_amount=3_000)
    refund = build_refund(charge, charged, 1_000)
    assert network.inquire([capture]) == [NetworkResponse(Verdict.NOT_FOUND)]
    for claim, call in ((capture, network.capture), (refund, network.refund)):
        [response] = call([claim])
        assert network.inquire([claim]) == [response]


@pytest.mark.parametrize("step", [Step.CHARGE, Step.REFUND])
def test_missing_record_is_certain_only_after_a_while(
    network: StripeCardNetwork, step: Step
) -> None:
    claim = build_claim()
    if step is Step.REFUND:
        [paid] = network.authorize([claim])
        claim = build_refund(claim, paid, 100)
    verdicts = [
        network.inquire([claim._replace(sent_for=sent_for)])[0].verdict
        for sent_for in (None, timedelta(seconds=100), 3 * HOUR)
    ]
    assert verdicts == [Verdict.UNKNOWN, Verdict.UNKNOWN, Verdict.NOT_FOUND]


def test_new_generation_has_a_new_key(network: StripeCardNetwork, proxy: RecordingProxy) -> None:
    claim = build_claim()
    network.authorize([claim])
    network.authorize([claim._replace(key_generation=1)])
    assert [request.key for request in proxy.requests] == [
        f"{claim.payment_id}:charge:0",
        f"{claim.payment_id}:charge:1",
    ]


def test_two_charges_of_one_payment_are_for_an_operator(network: StripeCardNetwork) -> None:
    claim = build_claim()
    network.authorize([claim])
    network.authorize([claim._replace(key_generation=1)])
    assert network.inquire([claim]) == [NetworkResponse(Verdict.UNKNOWN)]


def test_wrong_key_and_closed_port_send_nothing(
    proxy: RecordingProxy,
) -> None:
    for url, key in (
        (proxy.url, "sk_test_wrong"),
        (f"http://127.0.0.1:{find_free_port()}", SECRET_KEY),
    ):
        with closing(build_network(url, key)) as network:
            assert network.authorize([build_claim()]) == [NOT_SENT]


SENT_FAULTS = [fault for fault in Fault if fault is not Fault.RATE_LIMITED]


@pytest.mark.parametrize("fault", SENT_FAULTS)
def test_request_without_an_answer_is_in_doubt(proxy: RecordingProxy, fault: Fault) -> None:
    lost, answered = build_claim(), build_claim()
    proxy.plan = lambda request: fault if str(lost.payment_id) in (request.key or "") else None
    with closing(build_network(proxy.url, seconds=3)) as network:
        responses = network.authorize([lost, answered])
        proxy.released.set()
    assert [response.verdict for response in responses] == [Verdict.UNKNOWN, Verdict.APPROVED]


def test_rate_limit_is_not_sent(network: StripeCardNetwork, proxy: RecordingProxy) -> None:
    proxy.plan = lambda _: Fault.RATE_LIMITED
    assert network.authorize([build_claim()]) == [NOT_SENT]


def test_key_with_other_parameters_is_in_doubt(network: StripeCardNetwork) -> None:
    claim = build_claim()
    network.authorize([claim])
    assert network.authorize([claim._replace(amount=1)]) == [NetworkResponse(Verdict.UNKNOWN)]


def test_claims_beyond_the_time_of_a_call_are_not_sent(
    proxy: RecordingProxy,
) -> None:
    proxy.plan = lambda _: Fault.REPLY_DELAYED
    with closing(build_network(proxy.url, seconds=2, concurrency=2)) as network:
        responses = network.authorize([build_claim() for _ in range(5)])
        proxy.released.set()
    assert [response.verdict for response in responses] == [
        *[Verdict.UNKNOWN] * 2,
        *[Verdict.NOT_SENT] * 3,
    ]
    assert len(proxy.requests) == 2


def test_state_in_doubt_does_not_change_the_request(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim()
    doubtful = claim._replace(attempt=2, faults=1, network_state=NetworkState.UNKNOWN)
    first, second = network.authorize([claim]), network.authorize([doubtful])
    assert first == second
    assert len(proxy.list_routes()) == 2


def test_failed_look_up_is_in_doubt_although_nothing_was_sent(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(Step.AUTHORIZE)
    [held] = network.authorize([claim])
    capture = next_step(claim, Step.CAPTURE, held)._replace(capture_amount=5_000)
    network.capture([capture])
    proxy.forget_keys()
    proxy.plan = lambda request: Fault.RATE_LIMITED if request.method == "GET" else None
    assert network.capture([capture]) == [NO_ANSWER]
    assert network.inquire([capture]) == [NO_ANSWER]


def test_payment_intent_that_nobody_confirmed_is_as_good_as_none(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim()
    params = {"amount": 5_000, "currency": "usd", "payment_method": "pm_card_visa"}
    metadata = {"metadata[atomic_payment]": str(claim.payment_id)}
    proxy.ask("POST", "/v1/payment_intents", **params, **metadata)
    assert network.inquire([claim]) == [NetworkResponse(Verdict.UNKNOWN)]
    late = claim._replace(sent_for=3 * HOUR, key_generation=1)
    assert network.inquire([late]) == [NetworkResponse(Verdict.NOT_FOUND)]
    [charged] = network.authorize([late])
    assert network.inquire([late]) == [charged]
