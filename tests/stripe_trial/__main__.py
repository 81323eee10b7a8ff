"""`python tests/stripe_trial`: thousands of payments through localstripe under faults.

Exit status: 0 if both books agree and a change at Stripe is named; 1 otherwise.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.roles import OWNER_ROLE, create_roles
from atomic_adapters.postgres.migrations import Migrator
from processes import System, environment
from stripe_rules import SECRET_KEY, RecordingProxy
from stripe_server import run_localstripe, run_proxy
from stripe_trial.trial import EVENT_SECRET, Options, Trial


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/stripe_trial", description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parsed = parser.parse_args(arguments)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atomic-")))
        proxy = stack.enter_context(run_proxy(stack.enter_context(run_localstripe())))
        system = build_system(stack, scratch, proxy)
        return Trial(system, proxy, Options(parsed.payments, parsed.seed), print_line).run()


def build_system(stack: ExitStack, scratch: Path, proxy: RecordingProxy) -> System:
    postgres = EmbeddedPostgres.start(scratch / "postgres", durable=False)
    stack.callback(postgres.stop)
    valkey = EmbeddedValkey.start(scratch / "valkey")
    stack.callback(valkey.stop)
    create_roles(postgres)
    url = postgres.create_database("trial", owner=OWNER_ROLE)
    Migrator(postgres.url("trial", OWNER_ROLE)).up()
    environ = environment(
        url,
        valkey.url,
        WEB_WORKERS="1",
        CARD_NETWORK="stripe",
        STRIPE_SECRET_KEY=SECRET_KEY,
        STRIPE_API_BASE=proxy.url,
        STRIPE_WEBHOOK_SECRET=EVENT_SECRET,
        STRIPE_TIMEOUT_SECONDS="4",
        STRIPE_CONCURRENCY="16",
    )
    system = System(environ, scratch / "trial.log")
    stack.callback(system.stop)
    return system


def print_line(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
