"""Signatures of webhooks, verified by independent libraries."""

import json
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest

from atomic_adapters.webhooks.signature import generate_secret
from webhook_receivers import OK, Received, Receiver, answer
from webhook_senders import SECRET, build_request, build_sender


@pytest.fixture(params=["standardwebhooks", "svix.webhooks"])
def library(request: pytest.FixtureRequest) -> Any:
    """Imported by the process that runs these tests: svix takes a second to import."""
    return import_module(request.param)


@pytest.fixture
def verifier(library: Any) -> Any:
    return library.Webhook


def receive_one(receiver: Receiver, **values: Any) -> Received:
    result = build_sender().send(build_request(receiver.url, **values))
    assert (result.status_code, result.error, result.response) == (200, None, "ok")
    return receiver.requests[-1]


def test_independent_libraries_verify_a_webhook(
    receive: Callable[..., Receiver], verifier: Any
) -> None:
    received = receive_one(receive(answer(OK)))
    assert received.line == "POST /hook HTTP/1.1"
    assert received.headers["content-type"] == "application/json"
    verifier(SECRET).verify(received.body.decode(), received.headers)
    event = json.loads(received.body)
    assert event["id"] == received.headers["webhook-id"]
    assert event["data"] == {"name": "Bücher ✓"}


def test_tampered_webhooks_are_refused(
    receive: Callable[..., Receiver], library: Any, verifier: Any
) -> None:
    headers, body = receive_one(receive(answer(OK)))[1:]
    text = body.decode()
    for tampered_body, tampered_headers in (
        (text.replace("succeeded", "failed"), headers),
        (text + "\n", headers),
        (json.dumps(json.loads(text)), headers),
        (text, headers | {"webhook-id": str(uuid4())}),
        (text, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
        (text, headers | {"webhook-signature": headers["webhook-signature"].swapcase()}),
    ):
        with pytest.raises(library.WebhookVerificationError):
            verifier(SECRET).verify(tampered_body, tampered_headers)


@pytest.mark.parametrize("offset", [-3_600, 3_600])
def test_old_and_future_timestamps_are_refused(
    receive: Callable[..., Receiver], library: Any, verifier: Any, offset: int
) -> None:
    received = receive_one(receive(answer(OK)), timestamp=int(time.time()) + offset)
    with pytest.raises(library.WebhookVerificationError, match=r"(?i)timestamp"):
        verifier(SECRET).verify(received.body.decode(), received.headers)


def test_rotated_secrets_both_verify_and_no_other(
    receive: Callable[..., Receiver], library: Any, verifier: Any
) -> None:
    new, old = generate_secret(), generate_secret()
    received = receive_one(receive(answer(OK)), secrets=(new, old))
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        verifier(secret).verify(received.body.decode(), received.headers)
    with pytest.raises(library.WebhookVerificationError):
        verifier(SECRET).verify(received.body.decode(), received.headers)
    first, _ = received.headers["webhook-signature"].split(" ")
    # The newest secret signs first.
    verifier(new).verify(received.body.decode(), received.headers | {"webhook-signature": first})
