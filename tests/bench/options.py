"""What can be asked for on the command line, and how large everything then is."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    repeats: int
    load_seconds: int
    """Of one stretch of load, and of one run of pgbench. Whole: wrk knows no others."""
    sustained_seconds: int
    settled: int
    """Payments per settling."""
    readable: int
    """Payments to read from."""
    latency_samples: int
    """Per repeat."""
    grown: int
    """Settled payments in the large database."""
    grown_keys: int
    """Unexpired Idempotency-Keys in it: what a busy day leaves."""
    memory: tuple[int, int]
    """Look at the memory after so many payments, and after so many."""
    many_merchants: int


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
)


@dataclass(frozen=True, slots=True)
class Options:
    only: tuple[str, ...]
    quick: bool
    strict: bool
    json: Path | None
    sizes: Sizes


def parse(arguments: Sequence[str], figures: Collection[str]) -> Options:
    """Leaves with status 2 and a usage message if the arguments make no sense."""
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measure Atomic; each figure beside a reference from the same run.",
    )
    parser.add_argument(
        "--only",
        metavar="FIGURES",
        default=",".join(figures),
        help=f"by commas, of: {', '.join(figures)}",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, within two minutes")
    parser.add_argument("--strict", action="store_true", help="a missed target is status 1")
    parser.add_argument("--repeats", type=int, help="of every measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it as JSON")
    asked = parser.parse_args(arguments)
    only = tuple(dict.fromkeys(name.strip() for name in asked.only.split(",")))
    if unknown := set(only) - set(figures):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    sizes = QUICK if asked.quick else FULL
    if asked.repeats is not None:
        if asked.repeats < 1:
            parser.error("--repeats must be 1 or more")
        sizes = replace(sizes, repeats=asked.repeats)
    return Options(only, asked.quick, asked.strict, asked.json, sizes)
