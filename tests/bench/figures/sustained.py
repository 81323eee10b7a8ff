"""What is left of the accept rate while the payments are settled at the same time."""

from typing import Final

from bench.figures.accept import FULL_LOAD, PAYING, accept, latencies, latency_lists, orders
from bench.measurement import LEAST_SLACK, Backlog, Line, Target, alternate
from bench.merchants import backlog, bell_of, open_shops, settle_all
from bench.options import Sizes
from bench.servers import Ground
from bench.wrk import Load, drive

SAMPLE_SECONDS: Final = 0.5


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("sustained")
    shops = open_shops(subject, PAYING)
    bell = bell_of(subject)
    backlogs: list[list[int]] = []
    subject.api.start("api")
    with subject.connect() as connection:

        def sustained() -> Load:
            subject.start_settlers("worker", "sweeper")
            # This is their warm-up too.
            settle_all(connection, bell)
            samples: list[int] = []
            load = drive(
                subject.api.base_url,
                orders(shops),
                FULL_LOAD,
                sizes.sustained_seconds,
                meanwhile=lambda: samples.append(backlog(connection)),
                every=SAMPLE_SECONDS,
            )
            backlogs.append(samples)
            settle_all(connection, bell)
            subject.settlers.stop()
            return load

        def alone() -> Load:
            return accept(subject, shops, FULL_LOAD, sizes.load_seconds)

        alone()
        # Alone first: what it leaves waiting is settled before what comes next.
        references, loads = alternate(sizes.repeats, alone, sustained, warm_up=False)
    found = [Backlog.of(samples) for samples in backlogs]
    return [
        Line(
            figure="sustained",
            case=f"{FULL_LOAD} connections, worker and sweeper at work",
            unit="req/s",
            values=[load.rate for load in loads],
            references=[load.rate for load in references],
            target=Target(0.65),
            remark=f"{latencies(loads)}; reference: accept alone, {latencies(references)}",
            extra=latency_lists(loads, references),
        ),
        Line(
            figure="sustained",
            case="growth of the backlog",
            unit="payments",
            values=[each.growth for each in found],
            target=Target(LEAST_SLACK, "payments", at_least=False),
            # In every repeat, not in most.
            judged=not any(each.grew for each in found),
            remark=f"at most {max(map(max, backlogs)):,} were open at once",
            note="backlog: median of the last third of the samples less that of the first third,"
            f" in every repeat; up to {LEAST_SLACK:,}, a worker's batch, or a tenth of the first"
            " third is no growth.",
            extra={"backlogs": backlogs},
        ),
    ]
