"""What all processes take after many payments, beside what they took after few."""

import statistics
from collections.abc import Mapping
from typing import Final

import psycopg

from atomic_adapters.redis.rq_job_queue import RqJobQueue
from bench.figures.accept import FULL_LOAD, PAYING, orders
from bench.measurement import Line, Target
from bench.merchants import Shop, bell_of, count_payments, open_shops, settle_all
from bench.options import Sizes
from bench.process_stats import memory_mb
from bench.servers import Ground, Subject
from bench.wrk import drive

LOOKS: Final = 3
SLICE_SECONDS: Final = 1
"""Of load at a time, so that the marks are met closely."""


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("memory")
    shops = open_shops(subject, PAYING)
    subject.api.start("api")
    subject.start_settlers("worker", "sweeper")
    early_mark, late_mark = sizes.memory
    with subject.connect() as connection:
        bell = bell_of(subject)
        early = _after(early_mark, ground, subject, shops, connection, bell)
        late = _after(late_mark, ground, subject, shops, connection, bell)
    beside = f"PostgreSQL {late['postgresql']:.0f} MB, Valkey {late['valkey']:.0f} MB"
    case = f"all processes of Atomic, after {late_mark:,}"
    extra = {"after": dict(late), "before": dict(early)}
    return [
        Line(
            figure="memory",
            case=case,
            unit="MB",
            values=[late["atomic"]],
            target=Target(350, "MB", at_least=False),
            remark=f"PSS; gunicorn's three, worker, sweeper; beside them {beside}",
            extra=extra,
        ),
        Line(
            figure="memory",
            case=case,
            unit="MB",
            values=[late["atomic"]],
            references=[early["atomic"]],
            target=Target(1.05, at_least=False),
            remark=f"reference: after {early_mark:,}",
        ),
    ]


def _after(
    mark: int,
    ground: Ground,
    subject: Subject,
    shops: list[Shop],
    connection: psycopg.Connection,
    bell: RqJobQueue,
) -> Mapping[str, float]:
    """Take payments until there are so many, settle them, and look: medians of a few looks."""
    while count_payments(connection) < mark:
        drive(subject.api.base_url, orders(shops), FULL_LOAD, SLICE_SECONDS)
    settle_all(connection, bell)
    looks = [memory_mb(ground, subject) for _ in range(LOOKS)]
    return {kind: statistics.median(look[kind] for look in looks) for kind in looks[0]}
