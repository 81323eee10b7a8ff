"""What can be asked for on the command line."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    only: tuple[str, ...]
    jobs: int
    all_checks: bool


def parse(arguments: Sequence[str], names: Collection[str]) -> Options:
    """Leaves with status 2 and a usage message if the arguments make no sense."""
    parser = argparse.ArgumentParser(
        prog="mutants", description="Break the code on purpose; the tests must notice."
    )
    parser.add_argument(
        "--only",
        metavar="MUTANTS",
        default=",".join(names),
        help=f"by commas, of: {', '.join(names)}",
    )
    parser.add_argument("--jobs", type=int, default=1, help="mutants at the same time")
    parser.add_argument(
        "--all-checks",
        action="store_true",
        help="do not stop at the first test that fails: say which kinds of tests notice",
    )
    asked = parser.parse_args(arguments)
    only = tuple(dict.fromkeys(name.strip() for name in asked.only.split(",")))
    if unknown := set(only) - set(names):
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    if asked.jobs < 1:
        parser.error("--jobs must be 1 or more")
    return Options(only, asked.jobs, asked.all_checks)
