"""What can be asked for on the command line."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    only: tuple[str, ...]
    jobs: int
    checks: tuple[str, ...]
    """Of these kinds; empty for all, and those first that most likely notice."""
    all_checks: bool


def parse(arguments: Sequence[str], names: Collection[str], checks: Collection[str]) -> Options:
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
    parser.add_argument(
        "--checks", metavar="KINDS", default="", help=f"by commas, of: {', '.join(checks)}"
    )
    parser.add_argument("--jobs", type=int, default=1, help="mutants at the same time")
    parser.add_argument(
        "--all-checks",
        action="store_true",
        help="do not stop at the first test that fails: say which kinds of tests notice",
    )
    asked = parser.parse_args(arguments)
    only = _listed(asked.only)
    if unknown := set(only) - set(names):
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    kinds = _listed(asked.checks)
    if unknown := set(kinds) - set(checks):
        parser.error(f"no such kind of checks: {', '.join(sorted(unknown))}")
    if asked.jobs < 1:
        parser.error("--jobs must be 1 or more")
    return Options(only, asked.jobs, kinds, asked.all_checks)


def _listed(words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
