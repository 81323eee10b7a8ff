"""The rate of accepted payments while they are settled at the same time."""

from typing import Final

from bench.figures.accept import (
    FULL_LOAD,
    PAYING_MERCHANTS,
    build_payment_requests,
    format_latencies,
    list_latencies,
    load_payments,
)
from bench.measurement import MIN_SLACK, BacklogGrowth, Measurement, Target, alternate
from bench.merchants import count_open_payments, create_job_queue, create_merchants, settle_all
from bench.options import Sizes
from bench.servers import BenchCluster
from bench.wrk import Load, drive

SAMPLE_SECONDS: Final = 0.5


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("sustained")
    merchants = create_merchants(system, PAYING_MERCHANTS)
    job_queue = create_job_queue(system)
    backlogs: list[list[int]] = []
    system.api.start("api")
    with system.connect() as connection:

        def load_with_settlement() -> Load:
            system.start_workers("worker", "sweeper")
            # Also their warm-up.
            settle_all(connection, job_queue)
            samples: list[int] = []
            load = drive(
                system.api.base_url,
                build_payment_requests(merchants),
                FULL_LOAD,
                sizes.sustained_seconds,
                meanwhile=lambda: samples.append(count_open_payments(connection)),
                every=SAMPLE_SECONDS,
            )
            backlogs.append(samples)
            settle_all(connection, job_queue)
            system.workers.stop()
            return load

        def load_accept_only() -> Load:
            return load_payments(system, merchants, FULL_LOAD, sizes.load_seconds)

        load_accept_only()
        # Accept only comes first: its open payments are settled before the next measurement.
        references, loads = alternate(
            sizes.repeats, load_accept_only, load_with_settlement, warm_up=False
        )
    growths = [BacklogGrowth.from_samples(samples) for samples in backlogs]
    return [
        Measurement(
            figure="sustained",
            case=f"{FULL_LOAD} connections, worker and sweeper running",
            unit="req/s",
            values=[load.rate for load in loads],
            references=[load.rate for load in references],
            target=Target(0.65),
            remark=f"{format_latencies(loads)};"
            f" reference: accept alone, {format_latencies(references)}",
            extra=list_latencies(loads, references),
        ),
        Measurement(
            figure="sustained",
            case="growth of the backlog",
            unit="payments",
            values=[each.growth for each in growths],
            target=Target(MIN_SLACK, "payments", at_least=False),
            # In every repeat, not only in the median one.
            is_target_met=not any(each.has_grown for each in growths),
            remark=f"at most {max(map(max, backlogs)):,} were open at the same time",
            note="backlog: median of the last third of the samples minus that of the first third,"
            f" in every repeat; up to {MIN_SLACK:,}, a worker's batch, or a tenth of the first"
            " third do not count.",
            extra={"backlogs": backlogs},
        ),
    ]
