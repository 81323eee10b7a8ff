"""Open payments that one worker settles per second."""

from bench.measurement import Measurement, Target, alternate
from bench.merchants import create_job_queue, create_merchants, insert_open_payments, settle_all
from bench.options import Sizes
from bench.pgbench import PgBench
from bench.servers import BenchCluster

MERCHANTS = 100


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("settle")
    merchants = create_merchants(system, MERCHANTS)
    reference = PgBench.create(cluster, system)
    job_queue = create_job_queue(system)
    # Without the sweeper, which would settle payments too.
    system.start_workers("worker")
    with system.connect() as connection:

        def settle() -> float:
            insert_open_payments(connection, merchants, sizes.settled)
            return sizes.settled / settle_all(connection, job_queue)

        rates, references = alternate(
            sizes.repeats, settle, lambda: reference.run(sizes.load_seconds)
        )
    return [
        Measurement(
            figure="settle",
            case=f"{sizes.settled:,} open, {MERCHANTS} merchants",
            unit="payments/s",
            values=rates,
            references=references,
            target=Target(8),
            remark="reference: pgbench, 7 statements, 8 clients",
            note="settle and scale: workers only; a sweeper would settle payments too.",
        )
    ]
