"""How many webhooks one worker delivers per second, and how soon they arrive while one of ten
receivers hangs."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import requests

from atomic_adapters.system import Sha256Hasher
from atomic_adapters.webhooks.secret_cipher import generate_key
from atomic_core.ports.job_queue import Job
from bench.measurement import BenchError, Measurement, Target, alternate, percentile
from bench.merchants import (
    Merchant,
    create_job_queue,
    create_merchants,
    insert_open_payments,
    settle_all,
)
from bench.options import Sizes
from bench.servers import BenchCluster, SystemUnderTest
from bench.webhook_receiver import WebhookReceiver, run_receiver
from processes import PAUSE, Client, wait_until

HEALTHY: Final = 9
"""Endpoints whose receivers answer. One more hangs."""

EVENTS_PER_SECOND: Final = 100

BATCH_PAYMENTS: Final = 20
"""Payments per request, five times a second."""

REQUEST_THREADS: Final = 10
"""Of the reference: as many as one endpoint has deliveries in flight."""

REFERENCE_BODY: Final = b'{"occurredAt":"2026-01-01T00:00:00.000000Z","data":"' + b"x" * 600 + b'"}'
"""As long as the event of a payment."""

DELIVERY_SECONDS: Final = 300
"""Only stops a run that hangs."""

LATENCY: Final = Target(2_000, "ms", at_least=False)


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    with run_receiver() as receiver:
        return [
            _measure_rate(cluster, sizes, receiver),
            _measure_latency(cluster, sizes, receiver),
        ]


def _measure_rate(cluster: BenchCluster, sizes: Sizes, receiver: WebhookReceiver) -> Measurement:
    system = _create_system(cluster, "webhooks")
    merchants = create_merchants(system, 1)
    system.api.start("api")
    system.start_workers("settling worker")
    _add_endpoints(system, merchants[0], [receiver.get_url("1")])
    job_queue = create_job_queue(system)

    def deliver() -> float:
        """Deliveries per second, from the first to the last."""
        receiver.reset()
        with system.connect() as connection:
            insert_open_payments(connection, merchants, sizes.webhooks)
            settle_all(connection, job_queue)
        system.start_workers("webhook worker")

        def has_received_all() -> bool:
            job_queue.notify(Job.DELIVER)
            return receiver.count() >= sizes.webhooks

        wait_until(has_received_all, DELIVERY_SECONDS, "all webhooks were received")
        system.workers.stop("webhook worker")
        received = receiver.read()
        return sizes.webhooks / (received["last"] - received["first"])

    def request() -> float:
        return _request(receiver, sizes.webhooks)

    rates, references = alternate(sizes.repeats, deliver, request)
    return Measurement(
        figure="webhooks",
        case=f"{sizes.webhooks:,} events, one endpoint, one worker",
        unit="deliveries/s",
        values=rates,
        references=references,
        remark=f"reference: POST by requests, {REQUEST_THREADS} threads, unsigned, not recorded",
    )


def _measure_latency(cluster: BenchCluster, sizes: Sizes, receiver: WebhookReceiver) -> Measurement:
    system = _create_system(cluster, "webhook_latency")
    merchant = create_merchants(system, 1)[0]
    system.api.start("api")
    system.start_workers("worker", "sweeper")
    paths = ["hang", *(str(number) for number in range(1, HEALTHY + 1))]
    _add_endpoints(system, merchant, [receiver.get_url(path) for path in paths])
    # A pause of the endpoint that hangs, and everything that happens once, comes before.
    _pay(system, merchant, receiver, sizes.load_seconds)
    repeats = [
        _pay(system, merchant, receiver, sizes.webhook_seconds) for _ in range(sizes.repeats)
    ]
    rate = EVENTS_PER_SECOND
    return Measurement(
        figure="webhooks",
        case=f"commit to receipt, {rate} events/s, {HEALTHY} endpoints while one hangs, p99",
        unit="ms",
        values=[percentile(samples, 99) for samples in repeats],
        target=LATENCY,
        remark=f"{rate * HEALTHY} deliveries/s; all processes and the receiver on this machine",
        extra={
            "p50": [percentile(samples, 50) for samples in repeats],
            "max": [max(samples) for samples in repeats],
        },
    )


def _pay(
    system: SystemUnderTest, merchant: Merchant, receiver: WebhookReceiver, seconds: int
) -> list[float]:
    """Create payments at a constant rate; return the milliseconds from the event of each until
    each receipt."""
    receiver.reset()
    client = Client(system.api.base_url, merchant.api_key)
    payment = {"amount": 100, "currency": "USD", "source": "tok_visa"}
    count = 0
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        reply = client.request("POST", "/payments/batch", {"payments": [payment] * BATCH_PAYMENTS})
        if reply.status >= 300:
            raise BenchError(f"the batch was answered {reply.status}")
        count += BATCH_PAYMENTS
        PAUSE.wait(max(0.0, started + count / EVENTS_PER_SECOND - time.monotonic()))
    wait_until(
        lambda: receiver.count() >= count * HEALTHY,
        DELIVERY_SECONDS,
        "all webhooks were received",
    )
    return [value * 1e3 for value in receiver.read()["seconds"]]


def _request(receiver: WebhookReceiver, count: int) -> float:
    def post(number: int) -> None:
        with requests.Session() as session:
            for _ in range(number):
                reply = session.post(
                    receiver.get_url("reference"),
                    REFERENCE_BODY,
                    headers={"Content-Type": "application/json"},
                    timeout=DELIVERY_SECONDS,
                )
                reply.raise_for_status()

    started = time.monotonic()
    with ThreadPoolExecutor(REQUEST_THREADS) as threads:
        list(threads.map(post, [count // REQUEST_THREADS] * REQUEST_THREADS))
    return count // REQUEST_THREADS * REQUEST_THREADS / (time.monotonic() - started)


def _create_system(cluster: BenchCluster, name: str) -> SystemUnderTest:
    return cluster.create_system(
        name, WEBHOOK_ENCRYPTION_KEYS=generate_key(), WEBHOOK_ALLOW_PRIVATE="127.0.0.0/8"
    )


def _add_endpoints(system: SystemUnderTest, merchant: Merchant, urls: list[str]) -> None:
    key = "sk_test_" + secrets.token_hex(24)
    with system.connect() as connection:
        connection.execute(
            "INSERT INTO api_keys (id, merchant_id, name, prefix, hash, scopes)"
            " VALUES (uuidv7(), %s, 'webhooks', 'sk_test_', %s, '{webhooks:write}')",
            (merchant.id, Sha256Hasher().hash(key)),
        )
    client = Client(system.api.base_url, key)
    for url in urls:
        reply = client.request("POST", "/webhook-endpoints", {"url": url})
        if reply.status != 201:
            raise BenchError(f"the endpoint was answered {reply.status}")
