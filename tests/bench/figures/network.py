"""Settling through a card network that takes 200 ms per request, and whether payments of the
sandbox are slower while that network hangs."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import requests

from bench.figures.latency import WARM_UP, measure_payments
from bench.measurement import BenchError, Measurement, Target, alternate, percentile
from bench.merchants import (
    Merchant,
    create_job_queue,
    create_merchants,
    insert_open_payments,
    settle_all,
)
from bench.options import Sizes
from bench.process_stats import measure_memory_mb
from bench.servers import BenchCluster, SystemUnderTest
from bench.slow_stripe import SlowStripe, run_slow_stripe
from processes import PAUSE, Client

NETWORK_SECONDS: Final = 0.2
"""Of one request: what a network far away takes."""

CONCURRENCY: Final = 64

HANGING_PER_SECOND: Final = 20
"""Payments that the hanging network gets meanwhile: one every 50 ms."""

MAX_SLOWDOWN: Final = 1.5
"""Of the 99th percentile. It varies by as much between two runs that hang nowhere."""

RATE: Final = Target(250, "payments/s")


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    with run_slow_stripe() as stripe:
        return [
            _measure_rate(cluster, sizes, stripe),
            *_measure_neighbours(cluster, sizes, stripe),
        ]


def _measure_rate(cluster: BenchCluster, sizes: Sizes, stripe: SlowStripe) -> Measurement:
    system = _create_system(cluster, "network", stripe)
    merchants = create_merchants(system, 10)
    job_queue = create_job_queue(system)
    stripe.answer_after(NETWORK_SECONDS)
    system.start_workers("worker")
    with system.connect() as connection:

        def settle() -> float:
            insert_open_payments(connection, merchants, sizes.network, "stripe")
            return sizes.network / settle_all(connection, job_queue)

        rates, references = alternate(
            sizes.repeats, settle, lambda: _request(stripe, sizes.network)
        )
    return Measurement(
        figure="network",
        case=f"{NETWORK_SECONDS * 1e3:.0f} ms per request, {CONCURRENCY} at once, one worker",
        unit="payments/s",
        values=rates,
        references=references,
        target=RATE,
        remark=f"reference: POST by requests, {CONCURRENCY} threads",
        extra={"memory_mb": measure_memory_mb(cluster, system)},
    )


def _measure_neighbours(
    cluster: BenchCluster, sizes: Sizes, stripe: SlowStripe
) -> list[Measurement]:
    system = _create_system(cluster, "neighbours", stripe)
    merchant, remote = create_merchants(system, 2)
    with system.connect() as connection:
        connection.execute("UPDATE merchants SET network = 'stripe' WHERE id = %s", [remote.id])
    system.api.start("api")
    system.start_workers("worker", "sweeper")
    stripe.answer_after(0)
    measure_payments(system, merchant, WARM_UP)

    def measure_beside(*, hangs: bool) -> list[float]:
        if hangs:
            stripe.hang()
        try:
            with _pay_at_a_constant_rate(system, remote):
                return measure_payments(system, merchant, sizes.latency_samples)
        finally:
            stripe.answer_after(0)

    hanging, answering = alternate(
        sizes.repeats, lambda: measure_beside(hangs=True), lambda: measure_beside(hangs=False)
    )
    # Nothing of what hung may stay open.
    with system.connect() as connection:
        settle_all(connection, create_job_queue(system))
    return [
        Measurement(
            figure="network",
            case=f"sandbox, POST to SUCCESS, while another network hangs, p{percent}",
            unit="ms",
            values=[percentile(samples, percent) for samples in hanging],
            references=[percentile(samples, percent) for samples in answering],
            target=Target(MAX_SLOWDOWN, at_least=False),
            remark="reference: while it answers at once",
        )
        for percent in (50, 99)
    ]


@contextmanager
def _pay_at_a_constant_rate(system: SystemUnderTest, merchant: Merchant) -> Iterator[None]:
    end, errors = threading.Event(), list[str]()
    client = Client(system.api.base_url, merchant.api_key)

    def pay() -> None:
        started, count = time.monotonic(), 0
        while not end.wait(max(0.0, started + count / HANGING_PER_SECOND - time.monotonic())):
            reply = client.pay(5_000, "pm_card_visa")
            count += 1
            if reply.status != 202:
                errors.append(f"a payment was answered {reply.status}")

    thread = threading.Thread(target=pay)
    thread.start()
    try:
        # Until the network's lane is busy with them.
        PAUSE.wait(1)
        yield
    finally:
        end.set()
        thread.join()
    if errors:
        raise BenchError(errors[0])


def _request(stripe: SlowStripe, count: int) -> float:
    def post(number: int) -> None:
        with requests.Session() as session:
            for _ in range(number):
                session.post(f"{stripe.url}/v1/payment_intents", b"", timeout=60).raise_for_status()

    started = time.monotonic()
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        list(threads.map(post, [count // CONCURRENCY] * CONCURRENCY))
    return count // CONCURRENCY * CONCURRENCY / (time.monotonic() - started)


def _create_system(cluster: BenchCluster, name: str, stripe: SlowStripe) -> SystemUnderTest:
    return cluster.create_system(
        name,
        STRIPE_SECRET_KEY="sk_test_bench",
        STRIPE_API_BASE=stripe.url,
        STRIPE_CONCURRENCY=str(CONCURRENCY),
    )
