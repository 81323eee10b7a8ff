"""Whether years of payments in the database slow down settling, accepting and reading."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import psycopg

from atomic_adapters.redis.rq_job_queue import RqJobQueue
from bench.figures.accept import FULL_LOAD, PAYING_MERCHANTS, load_payments
from bench.figures.read import build_read_requests
from bench.large_ledger import insert_settled_payments
from bench.measurement import Measurement, Target, alternate
from bench.merchants import (
    Merchant,
    create_job_queue,
    create_merchants,
    insert_open_payments,
    settle_all,
)
from bench.options import Sizes
from bench.servers import BenchCluster, SystemUnderTest
from bench.wrk import Request, drive

MERCHANTS: Final = 1_000
"""In both databases, so that they differ only in settled payments."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two databases and its system."""

    system: SystemUnderTest
    merchants: Sequence[Merchant]
    connection: psycopg.Connection
    job_queue: RqJobQueue
    sizes: Sizes

    def settle(self) -> float:
        insert_open_payments(self.connection, self.merchants, self.sizes.settled)
        return self.sizes.settled / settle_all(self.connection, self.job_queue)

    def accept(self) -> float:
        load = load_payments(
            self.system, self.merchants[:PAYING_MERCHANTS], FULL_LOAD, self.sizes.load_seconds
        )
        return load.rate

    def read(self, read_requests: Sequence[Request]) -> float:
        load = drive(self.system.api.base_url, read_requests, FULL_LOAD, self.sizes.load_seconds)
        return load.rate


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    large, small = (_create_side(cluster, f"growth_{name}", sizes) for name in ("large", "small"))
    with large.connection, small.connection:
        started = time.monotonic()
        insert_settled_payments(large.connection, large.merchants, sizes.grown, sizes.grown_keys)
        fill_seconds = time.monotonic() - started
        for side in (large, small):
            side.system.start_workers("worker")
        settled = _compare("settle", "payments/s", sizes, large.settle, small.settle)
        for side in (large, small):
            side.system.workers.stop()
            side.system.api.start("api")
        read_functions = [
            partial(side.read, build_read_requests(side.connection, side.merchants))
            for side in (large, small)
        ]
        read = _compare("read", "req/s", sizes, read_functions[0], read_functions[1])
        # The reads have warmed up both systems.
        accepted = _compare("accept", "req/s", sizes, large.accept, small.accept, warm_up=False)
    note = (
        f"growth: {sizes.grown:,} settled payments of {MERCHANTS:,} merchants and"
        f" {sizes.grown_keys:,} Idempotency-Keys, inserted in {fill_seconds:.0f} s. The reference"
        " started empty and contains only the payments of this measurement."
    )
    return [settled, accepted, replace(read, note=note)]


def _create_side(cluster: BenchCluster, name: str, sizes: Sizes) -> Side:
    system = cluster.create_system(name)
    merchants = create_merchants(system, MERCHANTS)
    return Side(system, merchants, system.connect(), create_job_queue(system), sizes)


def _compare(
    operation: str,
    unit: str,
    sizes: Sizes,
    large: Callable[[], float],
    small: Callable[[], float],
    warm_up: bool = True,
) -> Measurement:
    values, references = alternate(sizes.repeats, large, small, warm_up=warm_up)
    return Measurement(
        figure="growth",
        case=f"{operation}, {sizes.grown:,} settled",
        unit=unit,
        values=values,
        references=references,
        target=Target(0.9),
        remark="reference: an empty database",
    )
