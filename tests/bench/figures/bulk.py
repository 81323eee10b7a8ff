"""Payments per second through POST /payments/batch, beside single POSTs."""

import json
from collections.abc import Sequence
from typing import Final

from bench.figures.accept import FULL_LOAD, PAYING, accept, check_kept, latencies, latency_lists
from bench.measurement import BenchError, Line, NotThere, Target, alternate
from bench.merchants import CURRENCY, Shop, count_payments, open_shops
from bench.options import Sizes
from bench.servers import Ground, Subject
from bench.wrk import KEY, Load, Request, drive
from processes import Client

PATH: Final = "/payments/batch"
BATCH: Final = 1_000
CONNECTIONS: Final = 8
"""Each API process listens for itself, and the kernel deals connections out by their addresses:
two of them meet in one process half of the time, and the other then has nothing to do."""

UNKNOWN: Final = (404, 405)
"""405: the path is there as a payment's, which can only be read."""


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("bulk")
    shops = open_shops(subject, PAYING)
    subject.api.start("api")
    _check_is_there(subject, shops[0])

    def in_batches() -> Load:
        return _accept_batches(subject, shops, sizes.load_seconds)

    def singly() -> Load:
        return accept(subject, shops, FULL_LOAD, sizes.load_seconds)

    loads, references = alternate(sizes.repeats, in_batches, singly)
    return [
        Line(
            figure="bulk",
            case=f"batches of {BATCH:,}, {CONNECTIONS} connections",
            unit="payments/s",
            values=[load.rate * BATCH for load in loads],
            references=[load.rate for load in references],
            target=Target(12),
            remark=f"{latencies(loads)}; reference: accept alone, {FULL_LOAD} connections",
            extra=latency_lists(loads, references),
        )
    ]


def _check_is_there(subject: Subject, shop: Shop) -> None:
    """Raises NotThere, naming the status."""
    reply = Client(subject.api.base_url, shop.key).ask("POST", PATH, _batch(1, "probe"))
    if reply.status in UNKNOWN:
        raise NotThere(str(reply.status))
    if reply.status != 202:
        raise BenchError(f"a batch of one was answered {reply.status}, {reply.code}")


def _accept_batches(subject: Subject, shops: Sequence[Shop], seconds: int) -> Load:
    body = json.dumps(_batch(BATCH))
    requests = [Request("POST", f"/api/v1{PATH}", shop.key, body) for shop in shops]
    with subject.connect() as connection:
        before = count_payments(connection)
        load = drive(subject.api.base_url, requests, CONNECTIONS, seconds)
        check_kept(load.requests * BATCH, count_payments(connection) - before)
    return load


def _batch(count: int, key: str = KEY) -> dict[str, object]:
    """Each payment with a key of its own, as each single POST has one."""
    order = {
        "amount": 5000,
        "currency": CURRENCY,
        "source": "tok_visa",
        "description": "Order",
        "idempotencyKey": key,
    }
    return {"payments": [order] * count}
