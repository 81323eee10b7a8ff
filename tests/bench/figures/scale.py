"""What a second worker brings, and what the number of merchants costs."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from atomic_adapters.redis.rq_job_queue import RqJobQueue
from bench.measurement import Line, alternate
from bench.merchants import Shop, add_waiting, bell_of, open_shops, settle_all
from bench.options import Sizes
from bench.process_stats import cpu_seconds
from bench.servers import Ground, Subject

MERCHANTS: Final = 100
ONE: Final = ("worker",)
TWO: Final = ("worker", "worker 2")

ACTIVITY: Final = """
SELECT coalesce(wait_event_type || ' ' || wait_event, 'computing')
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'atomic' AND state <> 'idle'
"""

MOST_SHOWN: Final = 4

LOOKED_AT: Final = 2
"""Times the usual payments are settled while it is watched, to see enough."""

IN_WORDS: Final = {
    "computing": "PostgreSQL computed",
    "Client ClientRead": "PostgreSQL waited for the worker's Python",
    "Lock transactionid": "waited for the World account",
    "Lock tuple": "queued for it behind another",
    "IO WalSync": "waited for the disk to sync the log",
    "LWLock WALWrite": "waited for another's write of the log",
}


@dataclass(frozen=True, slots=True)
class Case:
    subject: Subject
    bell: RqJobQueue
    connection: psycopg.Connection
    count: int
    shops: Sequence[Shop]
    workers: tuple[str, ...] = ONE

    @property
    def name(self) -> str:
        workers = f"{len(self.workers)} worker{'s' if len(self.workers) > 1 else ''}"
        return f"{workers}, {len(self.shops):,} merchant{'s' if len(self.shops) > 1 else ''}"

    def lay_out(self) -> None:
        """Just these workers running, and payments waiting."""
        running = self.subject.settlers.running
        for name in [name for name in running if name not in self.workers]:
            self.subject.settlers.stop(name)
            del running[name]
        self.subject.start_settlers(*(name for name in self.workers if name not in running))
        add_waiting(self.connection, self.shops, self.count)

    def settle(self) -> float:
        """Payments per second."""
        self.lay_out()
        return self.count / settle_all(self.connection, self.bell)


@dataclass(frozen=True, slots=True)
class Seen:
    spent: Mapping[str, float]
    """Seconds on a core."""
    doing: Counter[str]
    """Of the settlers' sessions, while they were not idle."""
    seconds: float
    payments: int
    log: int
    """Bytes of PostgreSQL's write-ahead log."""

    @property
    def log_bytes(self) -> float:
        """Per payment."""
        return self.log / self.payments

    @property
    def cpu_us(self) -> float:
        """Per payment."""
        return sum(self.spent.values()) / self.payments * 1e6

    @property
    def locked(self) -> float:
        """The share of lock waits in what the sessions did."""
        waits = sum(count for name, count in self.doing.items() if name.startswith("Lock "))
        return waits / (self.doing.total() or 1)

    def words(self) -> str:
        busy = ", ".join(f"{who} {spent / self.seconds:.2f}" for who, spent in self.spent.items())
        total = self.doing.total() or 1
        did = "; ".join(
            f"{count / total:.0%} {IN_WORDS.get(name, name)}"
            for name, count in self.doing.most_common(MOST_SHOWN)
        )
        return f"{busy} of {os.cpu_count()} cores; sessions: {did or 'not seen'}."


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("scale")
    shops = open_shops(subject, sizes.many_merchants)
    bell = bell_of(subject)
    with subject.connect() as connection:

        def case(merchants: int, workers: tuple[str, ...] = ONE) -> Case:
            chosen = shops[:merchants]
            return Case(subject, bell, connection, sizes.settled, chosen, workers)

        base = case(MERCHANTS)
        others = [case(1), case(sizes.many_merchants), case(MERCHANTS, TWO)]
        rates = alternate(sizes.repeats, base.settle, *(other.settle for other in others))
        seen = {each.name: _observed(ground, each) for each in (base, *others)}
    return [
        Line(
            figure="scale",
            case=each.name,
            unit="payments/s",
            values=values,
            references=() if each is base else rates[0],
            remark="" if each is base else f"reference: {base.name}",
            note=_reason(each, base, seen),
        )
        for each, values in zip((base, *others), rates, strict=True)
    ]


def _observed(ground: Ground, case: Case) -> Seen:
    """One more settling, which does not count: looking has its price."""
    looked_at = replace(case, count=LOOKED_AT * case.count)
    looked_at.lay_out()
    doing: Counter[str] = Counter()

    def look() -> None:
        doing.update(name for (name,) in case.connection.execute(ACTIVITY))

    log = _log_bytes(case.connection)
    before = cpu_seconds(ground, case.subject)
    seconds = settle_all(case.connection, case.bell, look)
    after = cpu_seconds(ground, case.subject)
    spent = {name: after[name] - before[name] for name in after}
    log = _log_bytes(case.connection) - log
    return Seen(spent, doing, seconds, looked_at.count, log)


def _log_bytes(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    assert row
    return int(row[0])


def _reason(case: Case, base: Case, seen: Mapping[str, Seen]) -> str:
    """What was seen of a case and, beside it, of the one it is compared with."""
    here, there = seen[case.name], seen[base.name]
    told = f"scale, {case.name}: {here.words()}"
    if case is base:
        return told
    if case.workers != base.workers:
        return (
            f"{told} Batches are posted one after the other, for all need the World account:"
            f" waiting for it is {here.locked:.0%} of the sessions' busy time, with one worker"
            f" {there.locked:.0%}."
        )
    return (
        f"{told} Per payment {here.cpu_us:.0f} µs of CPU and {here.log_bytes:,.0f} bytes of log,"
        f" with {len(base.shops)} merchants {there.cpu_us:.0f} and {there.log_bytes:,.0f}."
    )
