"""Webhooks of a real system to a real receiver: each event of the stream arrives, whatever dies."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.request import urlopen

import psutil
import psycopg
import pytest
from atomic_payments import Atomic
from atomic_payments.errors import PaymentNotCapturable
from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.webhooks.secret_cipher import generate_key
from processes import Client, System, environment, find_free_port, wait_until
from replaceable_valkey import ReplaceableValkey
from webhook_receivers import OK, Receiver, answer

GUARD_SECONDS = 60
"""How long a condition is awaited before the test fails; no promise about speed."""

ENDPOINTS = "/webhook-endpoints"

DELIVERED = 'atomic_webhook_deliveries_total{outcome="delivered"}'

REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def system(
    postgres: EmbeddedPostgres, migrated: str, replaceable_valkey: ReplaceableValkey, scratch: Path
) -> Iterator[System]:
    url = postgres.create_database(f"webhooks_{secrets.token_hex(4)}", template=migrated)
    environ = environment(
        url,
        replaceable_valkey.create_database(),
        WEB_WORKERS="1",
        WEBHOOK_ENCRYPTION_KEYS=generate_key(),
        WEBHOOK_ALLOW_PRIVATE="127.0.0.0/8",
        WORKER_METRICS_PORT=str(find_free_port()),
        SWEEPER_METRICS_PORT=str(find_free_port()),
    )
    system = System(environ, scratch / "webhooks.log")
    try:
        system.start("api", "worker", "sweeper")
        yield system
    finally:
        system.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answer(OK)).run() as receiver:
        yield receiver


def add_endpoint(client: Client, url: str, **body: object) -> tuple[str, str]:
    """Its id and its secret."""
    created = client.request("POST", ENDPOINTS, {"url": url, **body})
    assert created.status == 201, created.raw
    return created.data["endpoint"]["id"], created.data["secret"]


def list_event_ids(client: Client, after: int) -> list[str]:
    """Of the stream, oldest first."""
    ids: list[str] = []
    while True:
        page = client.request("GET", f"/events?after={after}&limit=100").data["items"]
        if not page:
            return ids
        ids += [event["id"] for event in page]
        after = page[-1]["sequence"]


def get_position(client: Client) -> int:
    items = client.request("GET", "/events?limit=1").data["items"]
    return items[0]["sequence"] if items else 0


def list_received_ids(receiver: Receiver) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.requests]


def verify(secret: str, body: bytes, headers: Mapping[str, str]) -> None:
    """By two libraries that we did not write. Each raises its own error."""
    # Imported here, because every test process reads this file, and svix takes a second.
    from standardwebhooks import Webhook as StandardWebhook
    from svix.webhooks import Webhook as SvixWebhook

    StandardWebhook(secret).verify(body, dict(headers))
    SvixWebhook(secret).verify(body, dict(headers))


def read_metrics(system: System, port_name: str) -> dict[str, float]:
    with urlopen(f"http://127.0.0.1:{system.environ[port_name]}/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_every_event_arrives_signed(client: Client, receiver: Receiver, system: System) -> None:
    before = get_position(client)
    id, secret = add_endpoint(client, receiver.url)
    payments = [client.pay().data["id"] for _ in range(5)]
    wait_until(
        lambda: all(map(client.is_settled, payments)), GUARD_SECONDS, "the payments are settled"
    )
    client.request("POST", f"/payments/{payments[0]}/refunds", {})
    wait_until(
        lambda: len(set(list_received_ids(receiver))) >= 7, GUARD_SECONDS, "all events arrive"
    )
    assert set(list_received_ids(receiver)) == set(list_event_ids(client, before))
    for request in receiver.requests:
        verify(secret, request.body, request.headers)
        with pytest.raises(Exception, match="No matching signature"):
            verify(secret, request.body + b" ", request.headers)
        assert json.loads(request.body)["id"] == request.headers["webhook-id"]
    metrics = read_metrics(system, "WORKER_METRICS_PORT")
    assert metrics["atomic_events_total"] > 0
    client.request("DELETE", f"{ENDPOINTS}/{id}")


def test_ordered_events_arrive_in_order_also_after_failures(client: Client) -> None:
    responses = answer(REFUSAL, OK, OK, REFUSAL, OK, OK)
    with Receiver(responses).run() as receiver:
        before = get_position(client)
        id, _ = add_endpoint(client, receiver.url, ordered=True)
        for _ in range(4):
            client.pay()

        def has_all() -> bool:
            _retry_pending(client, id)
            page = client.request("GET", f"{ENDPOINTS}/{id}/deliveries?status=succeeded")
            return len(page.data["items"]) == 4

        wait_until(has_all, GUARD_SECONDS, "all events are delivered")
        received = list_received_ids(receiver)
        assert list(dict.fromkeys(received)) == list_event_ids(client, before)
        assert len(received) > 4, "nothing failed"
        client.request("DELETE", f"{ENDPOINTS}/{id}")


def _retry_pending(client: Client, endpoint_id: str) -> None:
    """Instead of waiting for the first retry."""
    page = client.request("GET", f"{ENDPOINTS}/{endpoint_id}/deliveries?status=pending")
    for delivery in page.data["items"]:
        client.request("POST", f"/deliveries/{delivery['id']}/retry")


def find_companion(system: System) -> psutil.Process:
    """The process of the worker that delivers webhooks."""
    worker = psutil.Process(system.running["worker"].pid)
    found: list[psutil.Process] = []

    def is_found() -> bool:
        found[:] = [child for child in worker.children() if "webhooks" in child.cmdline()]
        return bool(found)

    wait_until(is_found, GUARD_SECONDS, "the webhook worker runs")
    return found[0]


def kill(process: psutil.Process) -> None:
    """Kill it, and wait for its end: until then Redis may hand it a wake-up."""
    process.kill()
    process.wait(GUARD_SECONDS)


def test_worker_killed_between_sending_and_recording_sends_again(
    client: Client, receiver: Receiver, system: System
) -> None:
    before = get_position(client)
    id, secret = add_endpoint(client, receiver.url)
    with psycopg.connect(system.superuser_url) as blocker:
        # Deliveries are recorded in this table: the workers send, and wait here.
        blocker.execute("LOCK TABLE webhook_deliveries IN SHARE ROW EXCLUSIVE MODE")
        client.pay()
        wait_until(lambda: receiver.requests, GUARD_SECONDS, "the event is sent")
        kill(find_companion(system))
        system.kill("sweeper")
    first = len(receiver.requests)
    system.start("sweeper")
    wait_until(lambda: len(receiver.requests) > first, GUARD_SECONDS, "it is sent again")
    with psycopg.connect(system.superuser_url) as connection:
        leases = connection.execute("SELECT claim FROM webhook_endpoints WHERE id = %s", [id])
        assert leases.fetchone() != (1,), "the killed worker's claim is replaced"
    assert set(list_received_ids(receiver)) == set(list_event_ids(client, before))
    for request in receiver.requests:
        verify(secret, request.body, request.headers)
    client.request("DELETE", f"{ENDPOINTS}/{id}")


def test_without_wake_ups_the_sweeper_delivers(
    client: Client, receiver: Receiver, system: System
) -> None:
    id, _ = add_endpoint(client, receiver.url)
    system.stop("worker")
    with Redis.from_url(system.environ["REDIS_URL"]) as redis:
        redis.flushdb()
    payment = client.pay().data["id"]
    wait_until(lambda: receiver.requests, GUARD_SECONDS, "the sweeper delivers")
    # Else its last event could be due for the endpoint of the next test.
    wait_until(lambda: client.is_settled(payment), GUARD_SECONDS, "the payment is settled")
    wait_until(
        lambda: read_metrics(system, "SWEEPER_METRICS_PORT")[DELIVERED] > 0,
        GUARD_SECONDS,
        "the sweeper counts its deliveries",
    )
    system.start("worker")
    client.request("DELETE", f"{ENDPOINTS}/{id}")


def test_dead_webhook_worker_is_started_again(
    client: Client, receiver: Receiver, system: System
) -> None:
    system.stop("sweeper")
    id, _ = add_endpoint(client, receiver.url)
    kill(find_companion(system))
    client.pay()
    wait_until(lambda: receiver.requests, GUARD_SECONDS, "the next one delivers")
    system.start("sweeper")
    client.request("DELETE", f"{ENDPOINTS}/{id}")


SHOP = Path(__file__).parents[2] / "clients" / "python" / "examples" / "shop.py"


def test_shop_of_the_python_client_lives_a_whole_day(
    system: System, account: dict[str, str]
) -> None:
    """The example of the documentation, and what it leaves out."""
    package = str(SHOP.parents[1])
    environ = {"BASE_URL": system.base_url, "API_KEY": account["apiKey"], "PYTHONPATH": package}
    ran = subprocess.run(
        [sys.executable, str(SHOP), "20"], env=environ, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    orders, *rest = ran.stdout.splitlines()
    assert orders.startswith("20 orders in ")
    assert orders.endswith("{'card_declined': 2, 'SUCCESS': 18}")
    assert rest == [
        "hold: AUTHORIZED, then SUCCESS with 3000",
        "refund: SUCCESS of 1000",
        "refused: refund_exceeds_remaining, remaining 2000",
        "webhook: refund.succeeded of this refund, verified",
    ]
    with Atomic(account["apiKey"], system.base_url) as atomic:
        use_what_the_shop_leaves_out(atomic)


def use_what_the_shop_leaves_out(atomic: Atomic) -> None:
    hold = atomic.payments.create_and_wait(
        amount=700, currency="USD", source="tok_visa", capture="manual"
    )
    canceled = atomic.payments.cancel(hold["id"], timeout=GUARD_SECONDS)
    assert canceled["status"] == "CANCELED"
    assert atomic.payments.get(hold["id"]) == canceled
    assert next(atomic.payments.list(status="CANCELED"))["id"] == hold["id"]
    types = [event["type"] for event in atomic.events.list(paymentId=hold["id"], order="asc")]
    assert (types[0], types[-1]) == ("payment.authorized", "payment.canceled")
    with pytest.raises(PaymentNotCapturable):
        atomic.payments.capture(hold["id"])
    assert [refund["amount"] for refund in atomic.refunds.list(amountMin=1_000, limit=1)][:1] == [
        1_000
    ]
