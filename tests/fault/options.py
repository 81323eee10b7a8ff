"""What can be asked for on the command line."""

import argparse
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float
    seed: int
    only: tuple[str, ...]
    patience: float
    picture: Path | None
    json: Path | None


def parse(arguments: Sequence[str], faults: Collection[str]) -> Options:
    """Leaves with status 2 and a usage message if the arguments make no sense."""
    parser = argparse.ArgumentParser(
        prog="faults",
        description="Break Atomic on purpose, under load, and hold its books against a model.",
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="how long to go on breaking (default: 60)"
    )
    parser.add_argument(
        "--seed", type=int, help="of all dice: the same faults in the same order, the same orders"
    )
    parser.add_argument(
        "--only",
        metavar="FAULTS",
        default=",".join(faults),
        help=f"by commas, of: {', '.join(faults)}",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=1,
        help="multiplies every bound on time, for a machine that has other things to do",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it: .png or .svg")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it as JSON")
    asked = parser.parse_args(arguments)
    only = tuple(dict.fromkeys(name.strip() for name in asked.only.split(",")))
    if unknown := set(only) - set(faults):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    return Options(asked.seconds, seed, only, asked.patience, asked.picture, asked.json)
