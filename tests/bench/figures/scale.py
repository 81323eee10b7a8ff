"""What a second worker brings, and what the number of merchants costs."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from atomic_adapters.rq_job_queue import RqJobQueue
from bench.measured import Line, alternate
from bench.options import Sizes
from bench.processes_seen import cpu_seconds
from bench.servers import Ground, Subject
from bench.shops import Shop, add_waiting, bell_of, open_shops, settle_all

MERCHANTS: Final = 100
ONE: Final = ("worker",)
TWO: Final = ("worker", "worker 2")

ACTIVITY: Final = """
SELECT coalesce(wait_event_type || ' ' || wait_event, 'computing')
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'atomic' AND state <> 'idle'
"""

MOST_SHOWN: Final = 4

IN_WORDS: Final = {
    "computing": "PostgreSQL computed",
    "Client ClientRead": "PostgreSQL waited for the worker's Python",
    "Lock transactionid": "waited until another batch let go of the World account",
    "Lock tuple": "queued behind one that waits for it",
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
            note=f"scale, {each.name}: {seen[each.name]}",
        )
        for each, values in zip((base, *others), rates, strict=True)
    ]


def _observed(ground: Ground, case: Case) -> str:
    """What was seen in one more settling, which does not count: looking has its price."""
    case.lay_out()
    doing: Counter[str] = Counter()

    def look() -> None:
        doing.update(name for (name,) in case.connection.execute(ACTIVITY))

    before = cpu_seconds(ground, case.subject)
    seconds = settle_all(case.connection, case.bell, look)
    spent = cpu_seconds(ground, case.subject)
    cores = {name: (spent[name] - before[name]) / seconds for name in spent}
    total = doing.total() or 1
    most = "; ".join(
        f"{100 * count / total:.0f} % {IN_WORDS.get(name, name)}"
        for name, count in doing.most_common(MOST_SHOWN)
    )
    busy = ", ".join(f"{name} {share:.2f}" for name, share in cores.items())
    return f"{busy} of {os.cpu_count()} cores; its sessions, when busy: {most or 'not seen'}."
