"""The events that a Stripe sends which is not ours: localstripe signs and sends them."""

import json
from collections.abc import Callable, Iterator

import pytest

from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_adapters.networks.stripe.events import StripeEventVerifier
from atomic_core.domain.card_networks import Verdict
from atomic_core.domain.errors import EventSignatureInvalid
from processes import wait_until
from stripe_claims import build_claim, next_step
from stripe_server import register_webhook, run_localstripe
from webhook_receivers import OK, Received, Receiver, answer

SECRET = "whsec_localstripe"


@pytest.fixture
def stripe_port(receive: Callable[..., Receiver]) -> Iterator[int]:
    """Of a localstripe of its own, which ends before its receiver: it sends events for as long as
    it lives, and another test's server may get the receiver's port."""
    with run_localstripe() as port:
        yield port


def list_succeeded(receiver: Receiver) -> list[Received]:
    """Of payments."""
    return [
        request
        for request in receiver.requests
        if json.loads(request.body)["type"] == "payment_intent.succeeded"
    ]


def test_event_of_a_payment_is_verified_and_names_it(
    stripe_port: int, network: StripeCardNetwork, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(OK))
    register_webhook(stripe_port, f"{receiver.url}/events", SECRET)
    claim = build_claim()
    [response] = network.authorize([claim])
    assert next_step(claim, claim.step, response).network_reference
    assert response.verdict is Verdict.APPROVED
    wait_until(lambda: bool(list_succeeded(receiver)), 60, "Stripe has sent an event")
    received = list_succeeded(receiver)[0]
    signature = received.headers["stripe-signature"]
    event = StripeEventVerifier(SECRET).verify(received.body, signature)
    assert event
    assert (event.network, event.type) == ("stripe", "payment_intent.succeeded")
    assert (event.payment_id, event.refund_id) == (claim.payment_id, None)
    assert event.id == json.loads(received.body)["id"]
    with pytest.raises(EventSignatureInvalid):
        StripeEventVerifier("whsec_other").verify(received.body, signature)
    with pytest.raises(EventSignatureInvalid):
        StripeEventVerifier(SECRET).verify(received.body + b" ", signature)
