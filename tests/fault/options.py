"""The command line options."""

import argparse
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float
    rounds: int | None
    """How often to inject each fault, whatever time that takes; None for as often as fits."""
    seed: int
    only: tuple[str, ...]
    patience: float
    ignores_time_bounds: bool
    calm: float
    """Multiplies the pauses of the load."""
    picture: Path | None
    json: Path | None


def parse_options(arguments: Sequence[str], faults: Collection[str]) -> Options:
    """Exits with status 2 and a usage message if the arguments are invalid."""
    parser = argparse.ArgumentParser(
        prog="faults",
        description="Inject faults into Atomic under load, and check its ledger against a model.",
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="how long to inject faults (default: 60)"
    )
    parser.add_argument(
        "--rounds", type=int, help="inject each fault so many times, instead of --seconds"
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="of all random choices: the same seed gives the same faults and requests, in order",
    )
    parser.add_argument(
        "--only",
        metavar="FAULTS",
        default=",".join(faults),
        help=f"separated by commas, of: {', '.join(faults)}",
    )
    parser.add_argument(
        "--patience", type=float, default=1, help="multiplies every time bound, for a busy machine"
    )
    parser.add_argument(
        "--ignore-time-bounds",
        action="store_true",
        help="report missed time bounds, but do not fail because of them",
    )
    parser.add_argument(
        "--calm", type=float, default=1, help="multiplies the pauses of the load (default: 1)"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw a chart: .png or .svg")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    parsed = parser.parse_args(arguments)
    only = tuple(dict.fromkeys(name.strip() for name in parsed.only.split(",")))
    if unknown := set(only) - set(faults):
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}")
    return Options(
        seconds=parsed.seconds,
        rounds=parsed.rounds,
        seed=random.randrange(1_000_000) if parsed.seed is None else parsed.seed,
        only=only,
        patience=parsed.patience,
        ignores_time_bounds=parsed.ignore_time_bounds,
        calm=parsed.calm,
        picture=parsed.picture,
        json=parsed.json,
    )
