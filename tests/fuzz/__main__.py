"""`make schemathesis`: thousands of generated requests, then the ledger is verified."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.roles import OWNER_ROLE, create_roles
from atomic_adapters.postgres.migrations import Migrator
from fuzz.run import run
from processes import System, environment
from scratch_folders import scratch_folder

DEFAULT_ARGUMENTS = ("--max-examples", "200")
MIN_REQUESTS = 5_000
"""A run with the default arguments fails if it sends fewer."""


def main(arguments: list[str]) -> int:
    with scratch_folder("atomic-") as scratch:
        postgres = EmbeddedPostgres.start(scratch / "postgres", durable=False)
        valkey = EmbeddedValkey.start(scratch / "valkey")
        try:
            create_roles(postgres)
            url = postgres.create_database("fuzz", owner=OWNER_ROLE)
            Migrator(postgres.url("fuzz", OWNER_ROLE)).up()
            system = System(environment(url, valkey.url), scratch / "system.log")
            return _fuzz(system, arguments, scratch)
        finally:
            valkey.stop()
            postgres.stop()


def _fuzz(system: System, arguments: list[str], scratch: Path) -> int:
    try:
        system.start("api", "worker", "sweeper")
        seeded = system.seed()
        result = run(system, seeded["apiKey"], *(arguments or DEFAULT_ARGUMENTS), scratch=scratch)
        is_clean = system.is_ledger_clean()
    finally:
        system.stop()
    has_enough = bool(arguments) or result.requests >= MIN_REQUESTS
    print_line(result.output)
    print_line(f"{result.requests} responses: {result.statuses}")
    print_line("The ledger is consistent." if is_clean else "The ledger is INCONSISTENT.")
    if not has_enough:
        print_line(f"Fewer than {MIN_REQUESTS} requests.")
    return 0 if result.passed and is_clean and has_enough else 1


def print_line(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
