"""Memory of all processes after many payments, beside their memory after few."""

import statistics
from collections.abc import Mapping
from typing import Final

import psycopg

from atomic_adapters.redis.rq_job_queue import RqJobQueue
from bench.figures.accept import FULL_LOAD, PAYING_MERCHANTS, build_payment_requests
from bench.measurement import Measurement, Target
from bench.merchants import Merchant, count_payments, create_job_queue, create_merchants, settle_all
from bench.options import Sizes
from bench.process_stats import measure_memory_mb
from bench.servers import BenchCluster, SystemUnderTest
from bench.wrk import drive

SAMPLES: Final = 3
SLICE_SECONDS: Final = 1
"""Of load at a time, so that measuring starts soon after the given number of payments."""


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("memory")
    merchants = create_merchants(system, PAYING_MERCHANTS)
    system.api.start("api")
    system.start_workers("worker", "sweeper")
    early_count, late_count = sizes.memory
    with system.connect() as connection:
        job_queue = create_job_queue(system)
        early = _measure_after(early_count, cluster, system, merchants, connection, job_queue)
        late = _measure_after(late_count, cluster, system, merchants, connection, job_queue)
    servers = f"PostgreSQL {late['postgresql']:.0f} MB, Valkey {late['valkey']:.0f} MB"
    case = f"all processes of Atomic, after {late_count:,}"
    extra = {"after": dict(late), "before": dict(early)}
    return [
        Measurement(
            figure="memory",
            case=case,
            unit="MB",
            values=[late["atomic"]],
            target=Target(350, "MB", at_least=False),
            remark=f"PSS; 3 gunicorn processes, worker, sweeper; besides: {servers}",
            extra=extra,
        ),
        Measurement(
            figure="memory",
            case=case,
            unit="MB",
            values=[late["atomic"]],
            references=[early["atomic"]],
            target=Target(1.05, at_least=False),
            remark=f"reference: after {early_count:,}",
        ),
    ]


def _measure_after(
    payment_count: int,
    cluster: BenchCluster,
    system: SystemUnderTest,
    merchants: list[Merchant],
    connection: psycopg.Connection,
    job_queue: RqJobQueue,
) -> Mapping[str, float]:
    """Create and settle so many payments, then return the medians of some samples."""
    while count_payments(connection) < payment_count:
        drive(system.api.base_url, build_payment_requests(merchants), FULL_LOAD, SLICE_SECONDS)
    settle_all(connection, job_queue)
    samples = [measure_memory_mb(cluster, system) for _ in range(SAMPLES)]
    return {kind: statistics.median(sample[kind] for sample in samples) for kind in samples[0]}
