"""How long a payment takes on a system at rest: from the POST to the GET that says SUCCESS."""

import http.client
import json
import random
import secrets
import time
from typing import Final
from urllib.parse import urlsplit

from bench.measurement import BenchError, Line, Target, percentile
from bench.merchants import CURRENCY, Shop, open_shops
from bench.options import Sizes
from bench.servers import Ground, Subject

PAUSE_SECONDS: Final = (0.005, 0.025)
"""Between two payments, at random: at rest means that nothing of the one before is still going
on, and that no rhythm is met."""

WARM_UP: Final = 10
"""Payments that do not count."""

PATIENCE_SECONDS: Final = 10


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("latency")
    shop = open_shops(subject, 1)[0]
    subject.api.start("api")
    subject.start_settlers("worker", "sweeper")
    _sample(subject, shop, WARM_UP)
    repeats = [_sample(subject, shop, sizes.latency_samples) for _ in range(sizes.repeats)]
    case = f"POST to SUCCESS, {sizes.latency_samples} payments, "
    return [
        Line(
            figure="latency",
            case=case + f"p{percent}",
            unit="ms",
            values=[percentile(samples, percent) for samples in repeats],
            target=Target(bound, "ms", at_least=False),
            remark="one client, one connection, asking without a pause",
        )
        for percent, bound in ((50, 15), (99, 60))
    ]


def _sample(subject: Subject, shop: Shop, count: int) -> list[float]:
    """Milliseconds per payment."""
    host = urlsplit(subject.api.base_url).netloc
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_SECONDS)
    try:
        return [_one(connection, shop) for _ in range(count)]
    finally:
        connection.close()


def _one(connection: http.client.HTTPConnection, shop: Shop) -> float:
    # Not a wait for anything: the pause belongs to what is measured.
    time.sleep(random.uniform(*PAUSE_SECONDS))
    head = {"Authorization": f"Bearer {shop.key}"}
    order = json.dumps({"amount": 5000, "currency": CURRENCY, "source": "tok_visa"})
    posting = {**head, "Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(8)}
    begun = time.perf_counter()
    payment = _ask(connection, "POST", "/api/v1/payments", posting, order, 202)
    path = f"/api/v1/payments/{payment['id']}"
    while payment["status"] != "SUCCESS":
        if time.perf_counter() - begun > PATIENCE_SECONDS:
            raise BenchError(f"after {PATIENCE_SECONDS} s the payment is {payment['status']}")
        payment = _ask(connection, "GET", path, head, None, 200)["payment"]
    return (time.perf_counter() - begun) * 1e3


def _ask(
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
