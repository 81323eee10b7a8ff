"""Whether settling, accepting and reading get slower with years of payments in place."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import psycopg

from atomic_adapters.redis.rq_job_queue import RqJobQueue
from bench.backlog import fill
from bench.figures.accept import FULL_LOAD, PAYING, accept
from bench.figures.read import questions
from bench.measurement import Line, Target, alternate
from bench.merchants import Shop, add_waiting, bell_of, open_shops, settle_all
from bench.options import Sizes
from bench.servers import Ground, Subject
from bench.wrk import Request, drive

MERCHANTS: Final = 1_000
"""In both databases, so that they differ in what is settled only."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two databases, with an Atomic at work on it."""

    subject: Subject
    shops: Sequence[Shop]
    connection: psycopg.Connection
    bell: RqJobQueue
    sizes: Sizes

    def settle(self) -> float:
        add_waiting(self.connection, self.shops, self.sizes.settled)
        return self.sizes.settled / settle_all(self.connection, self.bell)

    def accept(self) -> float:
        load = accept(self.subject, self.shops[:PAYING], FULL_LOAD, self.sizes.load_seconds)
        return load.rate

    def read(self, asked: Sequence[Request]) -> float:
        load = drive(self.subject.api.base_url, asked, FULL_LOAD, self.sizes.load_seconds)
        return load.rate


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    large, small = (_side(ground, f"growth_{name}", sizes) for name in ("large", "small"))
    with large.connection, small.connection:
        begun = time.monotonic()
        fill(large.connection, large.shops, sizes.grown, sizes.grown_keys)
        filled = time.monotonic() - begun
        for side in (large, small):
            side.subject.start_settlers("worker")
        settled = _line("settle", "payments/s", sizes, large.settle, small.settle)
        for side in (large, small):
            side.subject.settlers.stop()
            side.subject.api.start("api")
        reads = [
            partial(side.read, questions(side.connection, side.shops)) for side in (large, small)
        ]
        read = _line("read", "req/s", sizes, reads[0], reads[1])
        # Reading has warmed both up.
        accepted = _line("accept", "req/s", sizes, large.accept, small.accept, warm_up=False)
    note = (
        f"growth: {sizes.grown:,} settled payments of {MERCHANTS:,} merchants and"
        f" {sizes.grown_keys:,} Idempotency-Keys, laid out in {filled:.0f} s. The reference began"
        " empty and holds only what was measured on it."
    )
    return [settled, accepted, replace(read, note=note)]


def _side(ground: Ground, name: str, sizes: Sizes) -> Side:
    subject = ground.subject(name)
    shops = open_shops(subject, MERCHANTS)
    return Side(subject, shops, subject.connect(), bell_of(subject), sizes)


def _line(
    what: str,
    unit: str,
    sizes: Sizes,
    large: Callable[[], float],
    small: Callable[[], float],
    warm_up: bool = True,
) -> Line:
    values, references = alternate(sizes.repeats, large, small, warm_up=warm_up)
    return Line(
        figure="growth",
        case=f"{what}, {sizes.grown:,} settled",
        unit=unit,
        values=values,
        references=references,
        target=Target(0.9),
        remark="reference: the same, empty",
    )
