"""The effect of a second worker and of the number of merchants."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from atomic_adapters.redis.rq_job_queue import RqJobQueue
from bench.measurement import Measurement, alternate
from bench.merchants import (
    Merchant,
    create_job_queue,
    create_merchants,
    insert_open_payments,
    settle_all,
)
from bench.options import Sizes
from bench.process_stats import measure_cpu_seconds
from bench.servers import BenchCluster, SystemUnderTest

MERCHANTS: Final = 100
ONE_WORKER: Final = ("worker",)
TWO_WORKERS: Final = ("worker", "worker 2")

SELECT_ACTIVITY: Final = """
SELECT coalesce(wait_event_type || ' ' || wait_event, 'computing')
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'atomic' AND state <> 'idle'
"""

MAX_LISTED_ACTIVITIES: Final = 4

OBSERVED_FACTOR: Final = 2
"""How many times more payments the observed settlement has, for enough samples."""

ACTIVITY_DESCRIPTIONS: Final = {
    "computing": "PostgreSQL computed",
    "Client ClientRead": "PostgreSQL waited for the worker's Python",
    "Lock transactionid": "waited for the World account",
    "Lock tuple": "queued for the World account",
    "IO WalSync": "waited for the disk to sync the WAL",
    "LWLock WALWrite": "waited for another session's WAL write",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    system: SystemUnderTest
    job_queue: RqJobQueue
    connection: psycopg.Connection
    payment_count: int
    merchants: Sequence[Merchant]
    workers: tuple[str, ...] = ONE_WORKER

    @property
    def name(self) -> str:
        workers = f"{len(self.workers)} worker{'s' if len(self.workers) > 1 else ''}"
        return (
            f"{workers}, {len(self.merchants):,} merchant{'s' if len(self.merchants) > 1 else ''}"
        )

    def prepare(self) -> None:
        """Run exactly these workers and insert open payments."""
        running = self.system.workers.running
        for name in [name for name in running if name not in self.workers]:
            self.system.workers.stop(name)
            del running[name]
        self.system.start_workers(*(name for name in self.workers if name not in running))
        insert_open_payments(self.connection, self.merchants, self.payment_count)

    def settle(self) -> float:
        """Return payments per second."""
        self.prepare()
        return self.payment_count / settle_all(self.connection, self.job_queue)


@dataclass(frozen=True, slots=True)
class Observation:
    cpu_seconds: Mapping[str, float]
    """By kind of process."""
    activities: Counter[str]
    """Samples of what the workers' sessions did while not idle."""
    seconds: float
    payment_count: int
    total_wal_bytes: int

    @property
    def wal_bytes_per_payment(self) -> float:
        return self.total_wal_bytes / self.payment_count

    @property
    def cpu_us_per_payment(self) -> float:
        return sum(self.cpu_seconds.values()) / self.payment_count * 1e6

    @property
    def lock_wait_share(self) -> float:
        """The share of lock waits in the activities."""
        waits = sum(count for name, count in self.activities.items() if name.startswith("Lock "))
        return waits / (self.activities.total() or 1)

    def describe(self) -> str:
        cores = ", ".join(
            f"{kind} {seconds / self.seconds:.2f}" for kind, seconds in self.cpu_seconds.items()
        )
        total = self.activities.total() or 1
        activities = "; ".join(
            f"{count / total:.0%} {ACTIVITY_DESCRIPTIONS.get(name, name)}"
            for name, count in self.activities.most_common(MAX_LISTED_ACTIVITIES)
        )
        return f"{cores} of {os.cpu_count()} cores; sessions: {activities or 'not sampled'}."


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("scale")
    merchants = create_merchants(system, sizes.many_merchants)
    job_queue = create_job_queue(system)
    with system.connect() as connection:

        def build_scenario(count: int, workers: tuple[str, ...] = ONE_WORKER) -> Scenario:
            return Scenario(
                system, job_queue, connection, sizes.settled, merchants[:count], workers
            )

        base = build_scenario(MERCHANTS)
        others = [
            build_scenario(1),
            build_scenario(sizes.many_merchants),
            build_scenario(MERCHANTS, TWO_WORKERS),
        ]
        rates = alternate(sizes.repeats, base.settle, *(other.settle for other in others))
        observations = {each.name: _observe(cluster, each) for each in (base, *others)}
    return [
        Measurement(
            figure="scale",
            case=each.name,
            unit="payments/s",
            values=values,
            references=() if each is base else rates[0],
            remark="" if each is base else f"reference: {base.name}",
            note=_explain(each, base, observations),
        )
        for each, values in zip((base, *others), rates, strict=True)
    ]


def _observe(cluster: BenchCluster, scenario: Scenario) -> Observation:
    """Settle once more under observation. This is not measured, since sampling takes time."""
    observed = replace(scenario, payment_count=OBSERVED_FACTOR * scenario.payment_count)
    observed.prepare()
    activities: Counter[str] = Counter()

    def sample() -> None:
        activities.update(name for (name,) in scenario.connection.execute(SELECT_ACTIVITY))

    wal_before = _get_wal_bytes(scenario.connection)
    before = measure_cpu_seconds(cluster, scenario.system)
    seconds = settle_all(scenario.connection, scenario.job_queue, sample)
    after = measure_cpu_seconds(cluster, scenario.system)
    cpu_seconds = {name: after[name] - before[name] for name in after}
    wal_bytes = _get_wal_bytes(scenario.connection) - wal_before
    return Observation(cpu_seconds, activities, seconds, observed.payment_count, wal_bytes)


def _get_wal_bytes(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    assert row
    return int(row[0])


def _explain(scenario: Scenario, base: Scenario, observations: Mapping[str, Observation]) -> str:
    """Compare the observation of a scenario with that of the base."""
    observed, base_observed = observations[scenario.name], observations[base.name]
    text = f"scale, {scenario.name}: {observed.describe()}"
    if scenario is base:
        return text
    if scenario.workers != base.workers:
        return (
            f"{text} Batches are posted one after another, since all lock the World account:"
            f" sessions wait for it {observed.lock_wait_share:.0%} of their busy time, with one"
            f" worker {base_observed.lock_wait_share:.0%}."
        )
    return (
        f"{text} Per payment {observed.cpu_us_per_payment:.0f} µs of CPU and"
        f" {observed.wal_bytes_per_payment:,.0f} bytes of WAL, with {len(base.merchants)} merchants"
        f" {base_observed.cpu_us_per_payment:.0f} and {base_observed.wal_bytes_per_payment:,.0f}."
    )
