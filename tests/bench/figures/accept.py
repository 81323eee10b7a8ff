"""Payments that the API accepts per second, beside a Flask view with one INSERT."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Final

from bench import reference_app
from bench.measurement import BenchError, Measurement, Target, alternate
from bench.merchants import CURRENCY, Merchant, count_payments, create_merchants
from bench.options import Sizes
from bench.servers import BenchCluster, SystemUnderTest
from bench.wrk import Load, Request, drive

PAYING_MERCHANTS: Final = 8
"""Merchants that pay in turn."""

CONNECTIONS: Final = (8, 32, 64)
FULL_LOAD: Final = 32


def build_payment_requests(merchants: Sequence[Merchant]) -> list[Request]:
    body = json.dumps({"amount": 5000, "currency": CURRENCY, "source": "tok_visa"})
    return [
        Request("POST", "/api/v1/payments", merchant.api_key, body, has_key=True)
        for merchant in merchants
    ]


def load_payments(
    system: SystemUnderTest, merchants: Sequence[Merchant], connections: int, seconds: int
) -> Load:
    """Send payments. Raises BenchError unless every accepted one is in the database."""
    with system.connect() as connection:
        before = count_payments(connection)
        load = drive(system.api.base_url, build_payment_requests(merchants), connections, seconds)
        check_recorded(load.requests, count_payments(connection) - before)
    return load


def check_recorded(accepted: int, recorded: int) -> None:
    # More may be recorded: wrk does not wait for its last responses.
    if recorded < accepted:
        raise BenchError(f"{accepted} payments were accepted, {recorded} are in the database")


def load_reference(
    system: SystemUnderTest, merchants: Sequence[Merchant], connections: int, seconds: int
) -> Load:
    return drive(
        system.reference_api.base_url, build_payment_requests(merchants), connections, seconds
    )


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("accept")
    merchants = create_merchants(system, PAYING_MERCHANTS)
    with system.connect() as connection:
        reference_app.create_table(connection)
    system.api.start("api")
    system.reference_api.start("api")
    measurements: list[Measurement] = []
    for connections in CONNECTIONS:
        loads, references = alternate(
            sizes.repeats,
            partial(load_payments, system, merchants, connections, sizes.load_seconds),
            partial(load_reference, system, merchants, connections, sizes.load_seconds),
            # The first number of connections warms up for the others.
            warm_up=not measurements,
        )
        measurements.append(
            build_measurement("accept", f"{connections} connections", loads, references)
        )
    return measurements


def build_measurement(
    figure: str, case: str, loads: Sequence[Load], references: Sequence[Load]
) -> Measurement:
    """Compare the API with the reference API."""
    return Measurement(
        figure=figure,
        case=case,
        unit="req/s",
        values=[load.rate for load in loads],
        references=[load.rate for load in references],
        target=Target(0.9),
        remark=f"{format_latencies(loads)}; reference: {format_latencies(references)}",
        extra=list_latencies(loads, references),
    )


def format_latencies(loads: Sequence[Load]) -> str:
    median = sorted(loads, key=lambda load: load.p99_ms)[len(loads) // 2]
    return f"p50 {median.p50_ms:.1f} / p99 {median.p99_ms:.1f} ms"


def list_latencies(loads: Sequence[Load], references: Sequence[Load]) -> dict[str, object]:
    return {
        "p50Ms": [load.p50_ms for load in loads],
        "p99Ms": [load.p99_ms for load in loads],
        "referenceP50Ms": [load.p50_ms for load in references],
        "referenceP99Ms": [load.p99_ms for load in references],
    }
