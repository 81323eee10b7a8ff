"""A web app that receives Stripe's events, and Stripe as its client."""

import json
import time
from uuid import UUID

import stripe
from werkzeug.test import TestResponse

from atomic_adapters.networks.stripe.events import StripeEventVerifier
from atomic_core.use_cases.network_events import ReceiveNetworkEvent
from web.web_client import NO_LIMITS, WebApp

NETWORK_EVENTS = "/api/v1/networks/stripe/events"
SECRET = "whsec_" + "a1" * 16
STRIPE = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": SECRET}


def configure_stripe(web: WebApp, **variables: str) -> WebApp:
    receive = ReceiveNetworkEvent(
        web.application.payments.record.begin,
        {"stripe": StripeEventVerifier(SECRET)},
        web.application.job_queue,
    )
    configured = web.with_settings(**{**NO_LIMITS, **STRIPE, **variables})
    return configured.with_use_cases({"network_events.receive": receive})


def build_event(
    payment_id: UUID,
    refund_id: UUID | None = None,
    id: str = "evt_1",
    type: str = "payment_intent.succeeded",
) -> bytes:
    metadata = {"atomic_payment": str(payment_id)}
    if refund_id:
        metadata["atomic_refund"] = str(refund_id)
    content = {"id": "pi_1", "metadata": metadata}
    return json.dumps({"id": id, "type": type, "data": {"object": content}}).encode()


def sign(body: bytes, secret: str = SECRET, age: int = 0) -> str:
    timestamp = int(time.time()) - age
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp)


def post_event(web: WebApp, body: bytes, signature: str | None = None) -> TestResponse:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": sign(body) if signature is None else signature,
    }
    return web.client.post(NETWORK_EVENTS, data=body, headers=headers)
