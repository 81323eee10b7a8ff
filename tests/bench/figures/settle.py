"""How many waiting payments one worker settles per second."""

from bench.measurement import Line, Target, alternate
from bench.merchants import add_waiting, bell_of, open_shops, settle_all
from bench.options import Sizes
from bench.pgbench import PgBench
from bench.servers import Ground

MERCHANTS = 100


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("settle")
    shops = open_shops(subject, MERCHANTS)
    reference = PgBench.on(ground, subject)
    bell = bell_of(subject)
    # The worker alone: the sweeper would join in.
    subject.start_settlers("worker")
    with subject.connect() as connection:

        def settled() -> float:
            add_waiting(connection, shops, sizes.settled)
            return sizes.settled / settle_all(connection, bell)

        rates, references = alternate(
            sizes.repeats, settled, lambda: reference.run(sizes.load_seconds)
        )
    return [
        Line(
            figure="settle",
            case=f"{sizes.settled:,} waiting, {MERCHANTS} merchants",
            unit="payments/s",
            values=rates,
            references=references,
            target=Target(8),
            remark="reference: pgbench, 7 statements, 8 clients",
            note="settle and scale: workers only, without the sweeper, which would help.",
        )
    ]
