"""POST /networks/stripe/events: only what Stripe has signed within five minutes is stored, once."""

import json
from typing import cast
from uuid import UUID

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_core.domain.network_events import NetworkEvent
from atomic_core.ports.job_queue import Job
from atomic_web.views.network_events import MAX_EVENT_BYTES
from web.network_event_client import (
    NETWORK_EVENTS,
    SECRET,
    STRIPE,
    build_event,
    configure_stripe,
    post_event,
    sign,
)
from web.web_client import WebApp, error_code

PAYMENT, REFUND = UUID(int=1), UUID(int=2)


@pytest.fixture
def stripe_web(web: WebApp) -> WebApp:
    return configure_stripe(web)


def list_stored(web: WebApp) -> list[NetworkEvent]:
    begin = web.application.payments.record.begin
    store = cast(MemoryStore, getattr(begin, "__self__"))  # noqa: B009
    return [row.event for row in store.tables.network_events.rows.values()]


def is_worker_woken(web: WebApp) -> bool:
    return Job.SETTLE in getattr(web.application.job_queue, "notified_jobs")  # noqa: B009


def test_signed_event_is_stored_and_wakes_a_worker(stripe_web: WebApp) -> None:
    response = post_event(stripe_web, build_event(PAYMENT))
    assert response.status_code == 200
    assert response.get_json()["data"] == {"received": True}
    assert list_stored(stripe_web) == [
        NetworkEvent("stripe", "evt_1", "payment_intent.succeeded", PAYMENT)
    ]
    assert is_worker_woken(stripe_web)


def test_event_of_a_refund_names_it(stripe_web: WebApp) -> None:
    post_event(stripe_web, build_event(PAYMENT, REFUND, type="refund.updated"))
    [event] = list_stored(stripe_web)
    assert (event.payment_id, event.refund_id) == (PAYMENT, REFUND)


def test_event_of_a_dispute_names_it(stripe_web: WebApp) -> None:
    content = {"object": {"id": "dp_1", "payment_intent": "pi_1"}}
    event = {"id": "evt_1", "type": "charge.dispute.funds_withdrawn", "data": content}
    for _ in range(2):
        assert post_event(stripe_web, json.dumps(event).encode()).status_code == 200
    [stored] = list_stored(stripe_web)
    assert (stored.dispute_reference, stored.payment_id) == ("dp_1", None)


def test_repeated_event_is_stored_once_and_answered_alike(stripe_web: WebApp) -> None:
    body = build_event(PAYMENT)
    responses = [post_event(stripe_web, body) for _ in range(3)]
    assert [response.status_code for response in responses] == [200] * 3
    assert len(list_stored(stripe_web)) == 1


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=1,v1=00",
        "t=,v1=",
        "v1=00",
        "t=1",
        f"t={'9' * 5_000},v1=00",
        "t=1,v1=é",
        "nonsense",
        f"t=1764259200,v1={'0' * 64}",
    ],
)
def test_forged_event_is_refused(stripe_web: WebApp, signature: str) -> None:
    response = post_event(stripe_web, build_event(PAYMENT), signature)
    assert response.status_code == 400
    assert error_code(response) == "event_signature_invalid"
    assert list_stored(stripe_web) == []
    assert not is_worker_woken(stripe_web)


def test_signature_of_another_body_or_secret_is_refused(stripe_web: WebApp) -> None:
    body, other = build_event(PAYMENT), build_event(REFUND)
    for signature in (sign(other), sign(body, "whsec_other")):
        assert error_code(post_event(stripe_web, body, signature)) == "event_signature_invalid"
    assert list_stored(stripe_web) == []


def test_event_that_was_signed_long_ago_is_refused(stripe_web: WebApp) -> None:
    body = build_event(PAYMENT)
    refused = post_event(stripe_web, body, sign(body, age=400))
    assert error_code(refused) == "event_signature_invalid"
    assert list_stored(stripe_web) == []
    assert post_event(stripe_web, body, sign(body, age=200)).status_code == 200


def test_event_of_unknown_type_or_object_is_accepted_and_dropped(stripe_web: WebApp) -> None:
    bodies = [
        build_event(PAYMENT, type="customer.created"),
        build_event(PAYMENT, type="refund.updated"),
        build_event(PAYMENT, type="payment_intent.succeeded\n"),
        json.dumps({"id": "evt_2", "type": "payment_intent.succeeded"}).encode(),
        json.dumps(
            {
                "id": "evt_3",
                "type": "payment_intent.succeeded",
                "data": {"object": {"metadata": {"atomic_payment": "no id"}}},
            }
        ).encode(),
        json.dumps({"id": "evt_4", "type": "payment_intent.succeeded", "data": []}).encode(),
    ]
    for body in bodies:
        assert post_event(stripe_web, body).status_code == 200, body
    assert list_stored(stripe_web) == []
    assert not is_worker_woken(stripe_web)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"5",
        b"{}",
        b'{"id": "evt_1"}',
        b'{"id": 5, "type": "refund.updated"}',
        b'{"id": "a b", "type": "refund.updated"}',
        b'{"id": "\\u0000", "type": "refund.updated"}',
        b'{"id": "' + b"a" * 256 + b'", "type": "refund.updated"}',
        b"[" * 100_000,
        b"{",
    ],
)
def test_signed_body_that_is_no_event_is_refused(stripe_web: WebApp, body: bytes) -> None:
    response = post_event(stripe_web, body)
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    assert list_stored(stripe_web) == []


def test_body_that_is_too_large_or_no_json_is_refused_unread(stripe_web: WebApp) -> None:
    too_large = build_event(PAYMENT) + b" " * MAX_EVENT_BYTES
    assert post_event(stripe_web, too_large).status_code == 413
    body = build_event(PAYMENT)
    headers = {"Content-Type": "text/plain", "Stripe-Signature": sign(body)}
    response = stripe_web.client.post(NETWORK_EVENTS, data=body, headers=headers)
    assert response.status_code == 415
    assert error_code(post_event(stripe_web, b"\xff", "t=1,v1=00")) == "event_signature_invalid"
    assert list_stored(stripe_web) == []


@pytest.mark.parametrize("missing", STRIPE)
def test_route_does_not_exist_unless_both_secrets_are_set(web: WebApp, missing: str) -> None:
    configured = configure_stripe(web, **{missing: ""})
    assert error_code(post_event(configured, build_event(PAYMENT))) == "not_found"
    assert error_code(post_event(web, build_event(PAYMENT))) == "not_found"


def test_application_without_the_network_answers_not_found(web: WebApp) -> None:
    configured = web.with_settings(**STRIPE)
    assert error_code(post_event(configured, build_event(PAYMENT))) == "not_found"


def test_events_have_a_rate_limit_of_their_own(web: WebApp) -> None:
    limited = configure_stripe(web, RATE_LIMIT_GLOBAL="1/900", RATE_LIMIT_NETWORK_EVENTS="2/60")
    statuses = [
        post_event(limited, build_event(PAYMENT, id=f"evt_{number}")).status_code
        for number in range(3)
    ]
    assert statuses == [200, 200, 429]
    assert len(list_stored(limited)) == 2
    assert limited.client.get("/nowhere").status_code == 404


def test_secret_is_in_no_response(stripe_web: WebApp) -> None:
    response = post_event(stripe_web, b"{}", "t=1,v1=00")
    assert SECRET.encode() not in response.data
