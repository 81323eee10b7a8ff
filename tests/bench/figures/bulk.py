"""Payments per second through POST /payments/batch, beside single POSTs."""

import json
from collections.abc import Sequence
from typing import Final

from bench.figures.accept import (
    FULL_LOAD,
    PAYING_MERCHANTS,
    check_recorded,
    format_latencies,
    list_latencies,
    load_payments,
)
from bench.measurement import BenchError, FeatureMissing, Measurement, Target, alternate
from bench.merchants import CURRENCY, Merchant, count_payments, create_merchants
from bench.options import Sizes
from bench.servers import BenchCluster, SystemUnderTest
from bench.wrk import KEY, Load, Request, drive
from processes import Client

PATH: Final = "/payments/batch"
BATCH: Final = 1_000
CONNECTIONS: Final = 8
"""The kernel distributes connections over the API processes by their addresses. With only two, both
are often in the same process, and the other process is idle."""

NOT_FOUND_STATUSES: Final = (404, 405)
"""405: the path matches /payments/{id}, which allows only GET."""


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("bulk")
    merchants = create_merchants(system, PAYING_MERCHANTS)
    system.api.start("api")
    _check_endpoint_exists(system, merchants[0])

    def load_batches() -> Load:
        return _accept_batches(system, merchants, sizes.load_seconds)

    def load_single_payments() -> Load:
        return load_payments(system, merchants, FULL_LOAD, sizes.load_seconds)

    loads, references = alternate(sizes.repeats, load_batches, load_single_payments)
    return [
        Measurement(
            figure="bulk",
            case=f"batches of {BATCH:,}, {CONNECTIONS} connections",
            unit="payments/s",
            values=[load.rate * BATCH for load in loads],
            references=[load.rate for load in references],
            target=Target(12),
            remark=f"{format_latencies(loads)}; reference: accept alone, {FULL_LOAD} connections",
            extra=list_latencies(loads, references),
        )
    ]


def _check_endpoint_exists(system: SystemUnderTest, merchant: Merchant) -> None:
    """Raises FeatureMissing with the status."""
    reply = Client(system.api.base_url, merchant.api_key).request(
        "POST", PATH, _build_batch(1, "probe")
    )
    if reply.status in NOT_FOUND_STATUSES:
        raise FeatureMissing(str(reply.status))
    if reply.status != 202:
        raise BenchError(f"a batch of one was answered {reply.status}, {reply.code}")


def _accept_batches(system: SystemUnderTest, merchants: Sequence[Merchant], seconds: int) -> Load:
    body = json.dumps(_build_batch(BATCH))
    requests = [Request("POST", f"/api/v1{PATH}", merchant.api_key, body) for merchant in merchants]
    with system.connect() as connection:
        before = count_payments(connection)
        load = drive(system.api.base_url, requests, CONNECTIONS, seconds)
        check_recorded(load.requests * BATCH, count_payments(connection) - before)
    return load


def _build_batch(count: int, key: str = KEY) -> dict[str, object]:
    """Give each payment its own key, as each single POST has one."""
    item = {
        "amount": 5000,
        "currency": CURRENCY,
        "source": "tok_visa",
        "description": "Order",
        "idempotencyKey": key,
    }
    return {"payments": [item] * count}
