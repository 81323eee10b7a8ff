"""The Stripe adapter against localstripe: each step, and what Stripe says of it."""

import pytest

from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_core.domain.card_networks import NetworkResponse, NetworkState, Verdict
from atomic_core.domain.payments import Step
from stripe_claims import build_claim, build_refund, get_intent, next_step
from stripe_rules import (
    DECLINED_SOURCE,
    RecordingProxy,
    compute_held,
    compute_net,
)


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


def create_card_to_authenticate(proxy: RecordingProxy) -> str:
    card = {"number": "4000002500003155", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    params = {f"card[{name}]": value for name, value in card.items()}
    return proxy.ask("POST", "/v1/payment_methods", type="card", **params)["id"]


@pytest.mark.parametrize("step", [Step.CHARGE, Step.AUTHORIZE])
@pytest.mark.parametrize("has_confirmed", [True, False])
def test_customer_is_awaited_until_stripe_decides(
    redirecting_network: StripeCardNetwork, proxy: RecordingProxy, step: Step, has_confirmed: bool
) -> None:
    network = redirecting_network
    claim = build_claim(step, source=create_card_to_authenticate(proxy))
    [waiting] = network.authorize([claim])
    intent = get_intent(proxy, claim.payment_id)
    assert (waiting.verdict, waiting.reference) == (Verdict.REQUIRES_ACTION, intent["id"])
    assert waiting.next_action
    assert waiting.next_action.url.startswith("https://hooks.stripe.example/")
    # Also under a repeated key, whose first answer Stripe returns.
    assert network.authorize([claim]) == [waiting]
    awaited = claim._replace(
        network_reference=waiting.reference, network_state=NetworkState.REQUIRES_ACTION
    )
    assert network.inquire([awaited]) == [waiting]
    proxy.ask(
        "POST",
        f"/v1/payment_intents/{intent['id']}/_authenticate",
        client_secret=intent["client_secret"],
        success=str(has_confirmed).lower(),
    )
    [decided] = network.inquire([awaited])
    if has_confirmed:
        assert decided == NetworkResponse(Verdict.APPROVED, None, intent["id"])
    else:
        assert (decided.verdict, decided.reason) == (Verdict.DECLINED, "authentication_required")
    # A cancellation that comes too late returns the money.
    [abandoned] = network.reverse([next_step(claim, Step.ABANDON, waiting)])
    assert abandoned.verdict is Verdict.APPROVED
    intent = get_intent(proxy, claim.payment_id)
    assert (compute_net(intent), compute_held(intent)) == (0, 0)


def test_abandoned_payment_intent_is_canceled(
    redirecting_network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(source=create_card_to_authenticate(proxy))
    [waiting] = redirecting_network.authorize([claim])
    abandonment = next_step(claim, Step.ABANDON, waiting)
    # As after a request that was lost: it has to be sent again.
    [inquiry] = redirecting_network.inquire([abandonment])
    assert inquiry.verdict is Verdict.NOT_FOUND
    [abandoned] = redirecting_network.reverse([abandonment])
    assert abandoned.verdict is Verdict.APPROVED
    assert get_intent(proxy, claim.payment_id)["status"] == "canceled"
    [inquiry] = redirecting_network.inquire([abandonment])
    assert inquiry.verdict is Verdict.APPROVED


def test_confirmed_payment_is_abandoned_once_it_is_refunded(
    redirecting_network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    """Its customer has confirmed while it was not known whether it is canceled."""
    claim = build_claim(source=create_card_to_authenticate(proxy))
    [waiting] = redirecting_network.authorize([claim])
    intent = get_intent(proxy, claim.payment_id)
    proxy.ask(
        "POST",
        f"/v1/payment_intents/{intent['id']}/_authenticate",
        client_secret=intent["client_secret"],
        success="true",
    )
    abandonment = next_step(claim, Step.ABANDON, waiting)
    [inquiry] = redirecting_network.inquire([abandonment])
    assert inquiry.verdict is Verdict.NOT_FOUND
    redirecting_network.reverse([abandonment])
    [inquiry] = redirecting_network.inquire([abandonment])
    assert inquiry.verdict is Verdict.APPROVED
    assert compute_net(get_intent(proxy, claim.payment_id)) == 0


def test_payment_that_waits_for_its_customer_is_given_up(
    network: StripeCardNetwork, proxy: RecordingProxy
) -> None:
    claim = build_claim(source=create_card_to_authenticate(proxy))
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
