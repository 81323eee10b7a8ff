"""The Stripe adapter against localstripe: each step, and what Stripe says of it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_core.domain.card_networks import NetworkResponse, NetworkState, Verdict
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim
from processes import find_free_port
from stripe_server import (
    DECLINED_SOURCE,
    SECRET_KEY,
    Fault,
    RecordingProxy,
    compute_held,
    compute_net,
)
from support import IDS

HOUR = timedelta(hours=1)


def build_network(
    url: str, key: str = SECRET_KEY, seconds: float = 20, concurrency: int = 8
) -> StripeCardNetwork:
    settings = StripeSettings(key, url, concurrency)
    return StripeCardNetwork(settings, timedelta(seconds=seconds))


@pytest.fixture
def network(proxy: RecordingProxy) -> Iterator[StripeCardNetwork]:
    with closing(build_network(proxy.url)) as network:
        yield network


def build_claim(
    step: Step = Step.CHARGE, amount: int = 5_000, source: str = "pm_card_visa"
) -> Claim:
    id = IDS.new_id()
    return Claim(id, 1, 0, IDS.new_id(), IDS.new_id(), amount, "USD", source, step)


def next_step(claim: Claim, step: Step, response: NetworkResponse) -> Claim:
    assert response.verdict is Verdict.APPROVED
    assert response.reference
    return claim._replace(step=step, network_reference=response.reference)


def build_refund(claim: Claim, response: NetworkResponse, amount: int) -> Claim:
    refund = next_step(claim, Step.REFUND, response)
    return refund._replace(amount=amount, refund_id=IDS.new_id())


def get_intent(proxy: RecordingProxy, payment_id: UUID) -> dict:
    [intent] = [
        intent
        for intent in proxy.list_all("payment_intents")
        if intent["metadata"].get("atomic_payment") == str(payment_id)
    ]
    return intent


@pytest.mark.parametrize("source", ["pm_card_visa", "tok_visa"])
def test_charge_takes_the_amount(
    network: StripeCardNetwork, proxy: RecordingProxy, source: str
) -> None:
    claim = build_claim(source=source)
    [response] = network.authorize([claim])
    intent = get_intent(proxy, claim.payment_id)
    assert response == NetworkResponse(Verdict.APPROVED, None, intent["id"])
    assert (intent["status"], compute_net(intent)) == ("succeeded", 5_000)
    assert intent["metadata"]["atomic_merchant"] == str(claim.merchant_id)
    [request] = proxy.requests
    assert request.key == f"{claim.payment_id}:charge:0"


def test_declined_charge_has_a_reason(network: StripeCardNetwork, proxy: RecordingProxy) -> None:
    claim = build_claim(source=DECLINED_SOURCE)
    [response] = network.authorize([claim])
    assert (response.verdict, response.reason) == (Verdict.DECLINED, "card_declined")
    assert compute_net(get_intent(proxy, claim.payment_id)) == 0


def test_unheard_of_payment_method_is_declined(network: StripeCardNetwork) -> None:
    [response] = network.authorize([build_claim(source="pm_nowhere")])
    assert response.verdict is Verdict.DECLINED


def test_authorization_is_captured_in_part(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(Step.AUTHORIZE)
    [held] = network.authorize([claim])
    assert compute_held(get_intent(proxy, claim.payment_id)) == 5_000
    capture = next_step(claim, Step.CAPTURE, held)._replace(capture_amount=3_000)
    [captured] = network.capture([capture])
    assert captured == NetworkResponse(Verdict.APPROVED, None, held.reference)
    assert compute_net(get_intent(proxy, claim.payment_id)) == 3_000


def test_void_releases_the_hold_and_can_be_repeated(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(Step.AUTHORIZE)
    [held] = network.authorize([claim])
    void = next_step(claim, Step.VOID, held)
    [first] = network.void([void])
    proxy.forget_keys()
    [second] = network.void([void])
    assert first.verdict is second.verdict is Verdict.APPROVED
    assert get_intent(proxy, claim.payment_id)["status"] == "canceled"


def test_refunds_return_the_amount_once_per_key(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim()
    [paid] = network.authorize([claim])
    refund = build_refund(claim, paid, 2_000)
    [first] = network.refund([refund])
    [second] = network.refund([refund])
    assert first == second
    assert first.verdict is Verdict.APPROVED
    assert first.reference
    assert first.reference.startswith("re_")
    assert compute_net(get_intent(proxy, claim.payment_id)) == 3_000


def test_repeated_refund_under_a_forgotten_key_is_found(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim()
    [paid] = network.authorize([claim])
    refund = build_refund(claim, paid, 5_000)
    [first] = network.refund([refund])
    proxy.forget_keys()
    [second] = network.refund([refund])
    assert second == first


def test_refund_of_more_than_is_left_is_declined(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim()
    [paid] = network.authorize([claim])
    proxy.ask("POST", "/v1/refunds", payment_intent=paid.reference)
    [response] = network.refund([build_refund(claim, paid, 100)])
    assert (response.verdict, response.reason) == (Verdict.DECLINED, "already_refunded")


def test_capture_of_a_canceled_authorization_is_declined(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(Step.AUTHORIZE)
    [held] = network.authorize([claim])
    proxy.ask("POST", f"/v1/payment_intents/{held.reference}/cancel")
    capture = next_step(claim, Step.CAPTURE, held)._replace(capture_amount=5_000)
    [response] = network.capture([capture])
    assert (response.verdict, response.reason) == (Verdict.DECLINED, "hold_expired")


def test_void_of_a_captured_authorization_is_declined(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(Step.AUTHORIZE)
    [held] = network.authorize([claim])
    proxy.ask("POST", f"/v1/payment_intents/{held.reference}/capture")
    [response] = network.void([next_step(claim, Step.VOID, held)])
    assert response.verdict is Verdict.DECLINED


@pytest.mark.parametrize("step", [Step.CHARGE, Step.AUTHORIZE])
@pytest.mark.parametrize("has_reference", [True, False])
def test_reversal_leaves_nothing(
    network: StripeCardNetwork, proxy: RecordingProxy, step: Step, has_reference: bool
) -> None:
    claim = build_claim(step)
    [approved] = network.authorize([claim])
    reversal = next_step(claim, Step.REVERSE, approved)
    if not has_reference:
        reversal = reversal._replace(network_reference=None)
    for _ in range(2):
        [response] = network.reverse([reversal])
        assert response.verdict is Verdict.APPROVED
        proxy.forget_keys()
    intent = get_intent(proxy, claim.payment_id)
    assert (compute_net(intent), compute_held(intent)) == (0, 0)


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
            assert network.authorize([build_claim()]) == [NetworkResponse(Verdict.NOT_SENT)]


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
    assert network.authorize([build_claim()]) == [NetworkResponse(Verdict.NOT_SENT)]


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


def test_payment_that_waits_for_its_customer_is_given_up(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    card = {"number": "4000002500003155", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    params = {f"card[{name}]": value for name, value in card.items()}
    method = proxy.ask("POST", "/v1/payment_methods", type="card", **params)
    claim = build_claim(source=method["id"])
    for _ in range(2):
        [response] = network.authorize([claim])
        assert (response.verdict, response.reason) == (
            Verdict.DECLINED,
            "authentication_required",
        )
    assert get_intent(proxy, claim.payment_id)["status"] == "canceled"


def test_amount_that_stripe_cannot_charge_is_not_sent(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(amount=1_234)._replace(currency="KWD")
    [response] = network.authorize([claim])
    assert (response.verdict, response.reason) == (Verdict.DECLINED, "amount_not_supported")
    [response] = network.authorize([claim._replace(currency="CLF")])
    assert (response.verdict, response.reason) == (Verdict.DECLINED, "currency_not_supported")
    assert proxy.requests == []


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
    assert network.capture([capture]) == [NetworkResponse(Verdict.UNKNOWN)]
    assert network.inquire([capture]) == [NetworkResponse(Verdict.UNKNOWN)]


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
