"""One real system per file of tests: API, worker and sweeper as processes."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from processes import LEASE_SECONDS, Client, System, environment, wait_until
from slow_clients import AttackedSystem


@pytest.fixture(scope="module")
def valkey_folder(scratch: Path) -> Path:
    return scratch / f"valkey-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def valkeys(valkey_folder: Path) -> Iterator[list[EmbeddedValkey]]:
    """A list of one: the Valkey of this system, which tests kill and replace."""
    valkeys = [EmbeddedValkey.start(valkey_folder)]
    yield valkeys
    valkeys[0].stop()


@pytest.fixture(scope="module")
def system(
    postgres: EmbeddedPostgres, migrated: str, valkeys: list[EmbeddedValkey], scratch: Path
) -> Iterator[System]:
    url = postgres.create_database(f"e2e_{secrets.token_hex(4)}", template=migrated)
    lease = str(LEASE_SECONDS)
    environ = environment(url, valkeys[0].url, SETTLE_LEASE_SECONDS=lease, SETTLE_BATCH="50")
    system = System(environ, scratch / f"e2e-{secrets.token_hex(4)}.log")
    try:
        system.start("api", "worker", "sweeper")
        for name in ("worker", "sweeper"):
            wait_until(lambda n=name: f"{n} started" in system.read_log(), 60, f"the {name} is up")
        yield system
    finally:
        system.stop()


@pytest.fixture(scope="module")
def account(system: System) -> dict[str, str]:
    """The seeded merchant of this system: its ids and its API key."""
    seeded = system.atomic("seed", "--json")
    assert seeded.returncode == 0, seeded.stderr
    return json.loads(seeded.stdout)


@pytest.fixture
def client(system: System, account: dict[str, str]) -> Client:
    return Client(system.base_url, account["apiKey"])


@pytest.fixture(scope="module")
def attacked(system: System, account: dict[str, str]) -> Iterator[AttackedSystem]:
    attacked = AttackedSystem(system, account["apiKey"])
    yield attacked
    attacked.close()
