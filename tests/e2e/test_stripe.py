"""A real system with Stripe as its card network, which localstripe stands in for."""

import json
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from processes import Client, System, environment, wait_until
from replaceable_valkey import ReplaceableValkey
from stripe_rules import (
    DECLINED_SOURCE,
    SECRET_KEY,
    Fault,
    RecordingProxy,
    compute_held,
    compute_net,
    no_fault,
)
from stripe_server import register_webhook, run_localstripe, run_proxy

WEBHOOK_SECRET = "whsec_" + "a1" * 16
GUARD_SECONDS = 60
"""How long a condition is awaited before the test fails; no promise about speed."""


@pytest.fixture(scope="module")
def stripe() -> Iterator[RecordingProxy]:
    with run_localstripe() as port, run_proxy(port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _answer_everything(stripe: RecordingProxy) -> Iterator[None]:
    yield
    stripe.plan = no_fault
    stripe.released.set()
    stripe.released = threading.Event()


@pytest.fixture(scope="module")
def system(
    postgres: EmbeddedPostgres,
    migrated: str,
    replaceable_valkey: ReplaceableValkey,
    scratch: Path,
    stripe: RecordingProxy,
) -> Iterator[System]:
    url = postgres.create_database(f"stripe_{secrets.token_hex(4)}", template=migrated)
    environ = environment(
        url,
        replaceable_valkey.create_database(),
        WEB_WORKERS="1",
        CARD_NETWORK="stripe",
        STRIPE_SECRET_KEY=SECRET_KEY,
        STRIPE_API_BASE=stripe.url,
        STRIPE_TIMEOUT_SECONDS="3",
        STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
        LOG_LEVEL="debug",
    )
    system = System(environ, scratch / "stripe.log")
    try:
        system.start("api", "worker", "sweeper")
        yield system
    finally:
        stripe.released.set()
        system.stop()


def get_intent(stripe: RecordingProxy, payment_id: str) -> Any:
    [intent] = [
        intent
        for intent in stripe.list_all("payment_intents")
        if intent["metadata"].get("atomic_payment") == payment_id
    ]
    return intent


def wait_for_status(client: Client, payment_id: str, status: str) -> Any:
    wait_until(lambda: client.status(payment_id) == status, GUARD_SECONDS, f"{status}")
    return client.payment(payment_id)


def pay(client: Client, source: str = "pm_card_visa", **body: object) -> str:
    order = {"amount": 5_000, "currency": "USD", "source": source, **body}
    accepted = client.request("POST", "/payments", order)
    assert accepted.status == 202, accepted.raw
    return accepted.data["id"]


@pytest.mark.parametrize("source", ["pm_card_visa", "tok_visa"])
def test_payment_is_charged_and_refunded_at_stripe(
    client: Client, stripe: RecordingProxy, source: str
) -> None:
    id = pay(client, source)
    payment = wait_for_status(client, id, "SUCCESS")
    intent = get_intent(stripe, id)
    assert payment["networkReference"] == intent["id"]
    assert compute_net(intent) == 5_000
    refund = client.request("POST", f"/payments/{id}/refunds", {"amount": 2_000}).data
    path = f"/refunds/{refund['id']}"
    wait_until(
        lambda: client.request("GET", path).data["status"] == "SUCCESS", GUARD_SECONDS, "refunded"
    )
    assert client.request("GET", path).data["networkReference"].startswith("re_")
    assert compute_net(get_intent(stripe, id)) == 3_000


def test_hold_is_captured_in_part_and_another_is_canceled(
    client: Client, stripe: RecordingProxy
) -> None:
    taken, released = (pay(client, capture="manual") for _ in range(2))
    for id in (taken, released):
        wait_for_status(client, id, "AUTHORIZED")
        assert compute_held(get_intent(stripe, id)) == 5_000
    client.request("POST", f"/payments/{taken}/capture", {"amount": 3_000})
    client.request("POST", f"/payments/{released}/cancel", {})
    wait_for_status(client, taken, "SUCCESS")
    wait_for_status(client, released, "CANCELED")
    assert compute_net(get_intent(stripe, taken)) == 3_000
    assert get_intent(stripe, released)["status"] == "canceled"


def test_declined_card_fails(client: Client) -> None:
    payment = wait_for_status(client, pay(client, DECLINED_SOURCE), "FAILED")
    assert payment["failureReason"] == "card_declined"


def test_silent_stripe_leaves_payments_in_doubt_until_it_answers(
    client: Client, stripe: RecordingProxy
) -> None:
    stripe.plan = lambda _: Fault.REPLY_DELAYED
    id = pay(client)
    wait_until(lambda: client.payment(id)["inDoubt"], GUARD_SECONDS, "in doubt")
    stripe.plan = no_fault
    stripe.released.set()
    payment = wait_for_status(client, id, "SUCCESS")
    assert not payment["inDoubt"]
    assert compute_net(get_intent(stripe, id)) == 5_000


def test_killed_worker_charges_nobody_twice(
    client: Client, stripe: RecordingProxy, system: System
) -> None:
    stripe.plan = lambda _: Fault.REPLY_DELAYED
    id = pay(client)
    key = f"{id}:charge:0"
    wait_until(
        lambda: key in [request.key for request in stripe.requests], GUARD_SECONDS, "it is sent"
    )
    for name in ("worker", "sweeper"):
        system.kill(name)
    stripe.plan = no_fault
    stripe.released.set()
    system.start("worker", "sweeper")
    wait_for_status(client, id, "SUCCESS")
    assert compute_net(get_intent(stripe, id)) == 5_000
    assert system.is_ledger_clean()


def test_events_are_received_and_acted_on(
    client: Client, stripe: RecordingProxy, system: System
) -> None:
    path = "/networks/stripe/events"
    forged = client.request("POST", path, {"id": "evt_1"}, Stripe_Signature="t=1,v1=00")
    assert (forged.status, forged.code) == (400, "event_signature_invalid")
    register_webhook(stripe.stripe_port, f"{system.base_url}/api/v1{path}", WEBHOOK_SECRET)
    id = pay(client)
    wait_until(
        lambda: '"network events acted on"' in system.read_log(), GUARD_SECONDS, "it is acted on"
    )
    wait_for_status(client, id, "SUCCESS")
    assert compute_net(get_intent(stripe, id)) == 5_000


def test_what_was_refunded_at_stripe_is_found_by_reconciling(
    client: Client, stripe: RecordingProxy, system: System
) -> None:
    id = pay(client)
    wait_for_status(client, id, "SUCCESS")
    reference = get_intent(stripe, id)["id"]
    assert reconcile(system) == (0, [])
    stripe.ask("POST", "/v1/refunds", payment_intent=reference, amount=1)
    assert reconcile(system) == (1, [("amount_differs", 4_999, 5_000, reference)])


def reconcile(system: System) -> tuple[int, list[tuple[object, ...]]]:
    """The exit status and the differences of the last day."""
    # Stripe counts whole seconds: the present one has to be over.
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    wait_until(lambda: datetime.now(UTC) > end, GUARD_SECONDS, "the second is over")
    begin = end - timedelta(days=1)
    period = ("--from", begin.isoformat(), "--to", end.isoformat())
    result = system.atomic("reconcile", "stripe", *period, "--json")
    assert result.stdout, result.stderr
    names = ("kind", "there", "here", "reference")
    return result.returncode, [
        tuple(difference[name] for name in names)
        for difference in json.loads(result.stdout)["differences"]
    ]


def test_log_has_neither_the_key_nor_what_was_sent(system: System) -> None:
    log = system.read_log()
    assert "batch settled" in log
    for secret in (SECRET_KEY, WEBHOOK_SECRET, "tok_visa", "pm_card_visa"):
        assert secret not in log
