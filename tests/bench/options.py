"""The command line options, and the sizes of the measurements."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    repeats: int
    load_seconds: int
    """Of one run of wrk or pgbench. Whole seconds: wrk accepts no fractions."""
    sustained_seconds: int
    settled: int
    """Payments that are settled per repeat."""
    readable: int
    """Payments in the database that is read."""
    latency_samples: int
    """Per repeat."""
    grown: int
    """Settled payments in the large database."""
    grown_keys: int
    """Unexpired Idempotency-Keys in the large database: those of a busy day."""
    memory: tuple[int, int]
    """Measure memory after the first and after the second number of payments."""
    many_merchants: int
    restart_connections: int
    """Connections that are answered while the API restarts again and again."""
    fairness_seconds: int
    """How long another client is measured during each attack."""
    dashboard_payments: int
    """Payments of the merchant whose dashboard is read."""
    webhooks: int
    """Webhooks that one worker delivers per repeat."""
    webhook_seconds: int
    """How long events are delivered to several endpoints, per repeat."""
    network: int
    """Payments that are settled through a slow network, per repeat."""


FULL: Final = Sizes(
    repeats=3,
    load_seconds=4,
    sustained_seconds=15,
    settled=20_000,
    readable=20_000,
    latency_samples=200,
    grown=2_000_000,
    grown_keys=200_000,
    memory=(20_000, 200_000),
    many_merchants=10_000,
    restart_connections=10_000,
    fairness_seconds=5,
    dashboard_payments=150_000,
    webhooks=5_000,
    webhook_seconds=20,
    network=2_560,
)

QUICK: Final = Sizes(
    repeats=2,
    load_seconds=1,
    sustained_seconds=3,
    settled=4_000,
    readable=4_000,
    latency_samples=40,
    grown=100_000,
    grown_keys=10_000,
    memory=(5_000, 10_000),
    many_merchants=1_000,
    restart_connections=1_000,
    fairness_seconds=2,
    dashboard_payments=20_000,
    webhooks=1_000,
    webhook_seconds=5,
    network=640,
)


@dataclass(frozen=True, slots=True)
class Options:
    only: tuple[str, ...]
    quick: bool
    strict: bool
    json: Path | None
    sizes: Sizes
    pgledger: Path | None = None


def parse_options(arguments: Sequence[str], figures: Collection[str]) -> Options:
    """Exits with status 2 and a usage message if the arguments are invalid."""
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measure Atomic; each figure beside a reference from the same run.",
    )
    parser.add_argument(
        "--only",
        metavar="FIGURES",
        default=",".join(figures),
        help=f"separated by commas, of: {', '.join(figures)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: takes less than two minutes"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with status 1 if a target is missed"
    )
    parser.add_argument("--repeats", type=int, help="how often to repeat each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    parser.add_argument(
        "--pgledger",
        type=Path,
        metavar="FILE",
        help="the SQL of pgledger and of what it needs, for the figure `ledger`",
    )
    parsed = parser.parse_args(arguments)
    only = tuple(dict.fromkeys(name.strip() for name in parsed.only.split(",")))
    if unknown := set(only) - set(figures):
        parser.error(f"unknown figures: {', '.join(sorted(unknown))}")
    sizes = QUICK if parsed.quick else FULL
    if parsed.repeats is not None:
        if parsed.repeats < 1:
            parser.error("--repeats must be 1 or more")
        sizes = replace(sizes, repeats=parsed.repeats)
    return Options(only, parsed.quick, parsed.strict, parsed.json, sizes, parsed.pgledger)
