"""Time from a POST until a GET shows SUCCESS, on a system without other load."""

import http.client
import json
import random
import secrets
import time
from typing import Final
from urllib.parse import urlsplit

from bench.measurement import BenchError, Measurement, Target, percentile
from bench.merchants import CURRENCY, Merchant, create_merchants
from bench.options import Sizes
from bench.servers import BenchCluster, SystemUnderTest

PAUSE_SECONDS: Final = (0.005, 0.025)
"""Between two payments: work for the previous one ends, and a random pause cannot synchronize with
the workers' polling."""

WARM_UP: Final = 10
"""Payments that are not measured."""

TIMEOUT_SECONDS: Final = 10


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("latency")
    merchant = create_merchants(system, 1)[0]
    system.api.start("api")
    system.start_workers("worker", "sweeper")
    measure_payments(system, merchant, WARM_UP)
    repeats = [
        measure_payments(system, merchant, sizes.latency_samples) for _ in range(sizes.repeats)
    ]
    case = f"POST to SUCCESS, {sizes.latency_samples} payments, "
    return [
        Measurement(
            figure="latency",
            case=case + f"p{percent}",
            unit="ms",
            values=[percentile(samples, percent) for samples in repeats],
            target=Target(bound, "ms", at_least=False),
            remark="one client, one connection, polling without a pause",
        )
        for percent, bound in ((50, 15), (99, 60))
    ]


def measure_payments(system: SystemUnderTest, merchant: Merchant, count: int) -> list[float]:
    """Return the milliseconds of each payment."""
    host = urlsplit(system.api.base_url).netloc
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_SECONDS)
    try:
        return [_measure_payment(connection, merchant) for _ in range(count)]
    finally:
        connection.close()


def _measure_payment(connection: http.client.HTTPConnection, merchant: Merchant) -> float:
    # Part of the measurement, not a wait for a condition.
    time.sleep(random.uniform(*PAUSE_SECONDS))
    get_headers = {"Authorization": f"Bearer {merchant.api_key}"}
    body = json.dumps({"amount": 5000, "currency": CURRENCY, "source": "tok_visa"})
    post_headers = {
        **get_headers,
        "Content-Type": "application/json",
        "Idempotency-Key": secrets.token_hex(8),
    }
    started = time.perf_counter()
    payment = _request(connection, "POST", "/api/v1/payments", post_headers, body, 202)
    path = f"/api/v1/payments/{payment['id']}"
    while payment["status"] != "SUCCESS":
        if time.perf_counter() - started > TIMEOUT_SECONDS:
            raise BenchError(f"after {TIMEOUT_SECONDS} s the payment is {payment['status']}")
        payment = _request(connection, "GET", path, get_headers, None, 200)["payment"]
    return (time.perf_counter() - started) * 1e3


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None,
    expected: int,
) -> dict:
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    raw = reply.read()
    if reply.status != expected:
        raise BenchError(f"{method} was answered {reply.status}")
    return json.loads(raw)["data"]
