"""`make schemathesis`: thousands of requests, and the books at the end."""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.postgres.migrations import Migrator
from fuzz.run import run
from processes import System, environment

USUAL = ("--max-examples", "200")
LEAST = 5_000
"""Fewer requests than this, in the usual run, are no evidence."""


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="atomic-") as folder:
        scratch = Path(folder)
        postgres = EmbeddedPostgres.start(scratch / "postgres", durable=False)
        valkey = EmbeddedValkey.start(scratch / "valkey")
        try:
            url = postgres.create_database("fuzz")
            Migrator(url).up()
            system = System(environment(url, valkey.url), scratch / "system.log")
            return _fuzz(system, arguments, scratch)
        finally:
            valkey.stop()
            postgres.stop()


def _fuzz(system: System, arguments: list[str], scratch: Path) -> int:
    try:
        system.start("api", "worker", "sweeper")
        seeded = json.loads(system.atomic("seed", "--json").stdout)
        done = run(system, seeded["apiKey"], *(arguments or USUAL), scratch=scratch)
        clean = system.is_ledger_clean()
    finally:
        system.stop()
    enough = bool(arguments) or done.requests >= LEAST
    say(done.output)
    say(f"{done.requests} requests answered: {done.statuses}")
    say("The books are clean." if clean else "The books do not agree.")
    if not enough:
        say(f"Fewer than {LEAST} requests.")
    return 0 if done.passed and clean and enough else 1


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
