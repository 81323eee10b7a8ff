"""How many payments the API accepts per second, beside a bare Flask view with one INSERT."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Final

from bench import reference_app
from bench.measurement import BenchError, Line, Target, alternate
from bench.merchants import CURRENCY, Shop, count_payments, open_shops
from bench.options import Sizes
from bench.servers import Ground, Subject
from bench.wrk import Load, Request, drive

PAYING: Final = 8
"""Merchants whose keys take turns."""

CONNECTIONS: Final = (8, 32, 64)
FULL_LOAD: Final = 32


def orders(shops: Sequence[Shop]) -> list[Request]:
    body = json.dumps({"amount": 5000, "currency": CURRENCY, "source": "tok_visa"})
    return [Request("POST", "/api/v1/payments", shop.key, body, keyed=True) for shop in shops]


def accept(subject: Subject, shops: Sequence[Shop], connections: int, seconds: int) -> Load:
    """Have payments accepted. Raises BenchError unless every one of them is in the database."""
    with subject.connect() as connection:
        before = count_payments(connection)
        load = drive(subject.api.base_url, orders(shops), connections, seconds)
        check_kept(load.requests, count_payments(connection) - before)
    return load


def check_kept(answered: int, kept: int) -> None:
    # More is right: what was under way when wrk left was still accepted.
    if kept < answered:
        raise BenchError(f"{answered} payments were answered 202, {kept} are in the database")


def insert_bare(subject: Subject, shops: Sequence[Shop], connections: int, seconds: int) -> Load:
    return drive(subject.bare.base_url, orders(shops), connections, seconds)


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("accept")
    shops = open_shops(subject, PAYING)
    with subject.connect() as connection:
        reference_app.make_table(connection)
    subject.api.start("api")
    subject.bare.start("api")
    lines: list[Line] = []
    for connections in CONNECTIONS:
        loads, references = alternate(
            sizes.repeats,
            partial(accept, subject, shops, connections, sizes.load_seconds),
            partial(insert_bare, subject, shops, connections, sizes.load_seconds),
            # Warm at eight connections is warm at more.
            warm_up=not lines,
        )
        lines.append(line_of("accept", f"{connections} connections", loads, references))
    return lines


def line_of(figure: str, case: str, loads: Sequence[Load], references: Sequence[Load]) -> Line:
    """API against bare view."""
    return Line(
        figure=figure,
        case=case,
        unit="req/s",
        values=[load.rate for load in loads],
        references=[load.rate for load in references],
        target=Target(0.9),
        remark=f"{latencies(loads)}; bare view: {latencies(references)}",
        extra=latency_lists(loads, references),
    )


def latencies(loads: Sequence[Load]) -> str:
    middle = sorted(loads, key=lambda load: load.p99_ms)[len(loads) // 2]
    return f"p50 {middle.p50_ms:.1f} / p99 {middle.p99_ms:.1f} ms"


def latency_lists(loads: Sequence[Load], references: Sequence[Load]) -> dict[str, object]:
    return {
        "p50Ms": [load.p50_ms for load in loads],
        "p99Ms": [load.p99_ms for load in loads],
        "referenceP50Ms": [load.p50_ms for load in references],
        "referenceP99Ms": [load.p99_ms for load in references],
    }
