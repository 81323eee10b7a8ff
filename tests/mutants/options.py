"""The command line options."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    only: tuple[str, ...]
    jobs: int
    checks: tuple[str, ...]
    """The kinds of checks to run; empty for the likely tests and then all kinds."""
    all_checks: bool


def parse_options(
    arguments: Sequence[str], names: Collection[str], checks: Collection[str]
) -> Options:
    """Exits with status 2 and a usage message if the arguments are invalid."""
    parser = argparse.ArgumentParser(
        prog="mutants", description="Change the code in one way at a time; the tests must fail."
    )
    parser.add_argument(
        "--only",
        metavar="MUTANTS",
        default=",".join(names),
        help=f"separated by commas, of: {', '.join(names)}",
    )
    parser.add_argument(
        "--checks",
        metavar="KINDS",
        default="",
        help=f"separated by commas, of: {', '.join(checks)}",
    )
    parser.add_argument("--jobs", type=int, default=1, help="how many mutants to run concurrently")
    parser.add_argument(
        "--all-checks",
        action="store_true",
        help="run all kinds of checks, also after one has failed",
    )
    parsed = parser.parse_args(arguments)
    only = _split_list(parsed.only)
    if unknown := set(only) - set(names):
        parser.error(f"unknown mutants: {', '.join(sorted(unknown))}")
    kinds = _split_list(parsed.checks)
    if unknown := set(kinds) - set(checks):
        parser.error(f"unknown kinds of checks: {', '.join(sorted(unknown))}")
    if parsed.jobs < 1:
        parser.error("--jobs must be 1 or more")
    return Options(only, parsed.jobs, kinds, parsed.all_checks)


def _split_list(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
