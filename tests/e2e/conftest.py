"""A real system, which files of tests share: API, worker and sweeper as processes."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from processes import LEASE_SECONDS, Client, System, environment, wait_until
from replaceable_valkey import ReplaceableValkey
from slow_clients import AttackedSystem


@pytest.fixture(scope="session")
def replaceable_valkey(scratch: Path) -> Iterator[ReplaceableValkey]:
    """Each test leaves it running."""
    valkey = ReplaceableValkey(scratch / f"valkey-{secrets.token_hex(4)}")
    yield valkey
    valkey.server.stop()


@pytest.fixture(scope="session")
def system(
    postgres: EmbeddedPostgres,
    migrated: str,
    replaceable_valkey: ReplaceableValkey,
    scratch: Path,
) -> Iterator[System]:
    """For the files that leave it as they found it (tests/scheduling.py). Others have their own."""
    url = postgres.create_database(f"e2e_{secrets.token_hex(4)}", template=migrated)
    environ = environment(
        url,
        replaceable_valkey.create_database(),
        SETTLE_LEASE_SECONDS=str(LEASE_SECONDS),
        SETTLE_BATCH="50",
    )
    system = System(environ, scratch / f"e2e-{secrets.token_hex(4)}.log")
    try:
        system.start("api", "worker", "sweeper")
        for name in ("worker", "sweeper"):
            wait_until(lambda n=name: f"{n} started" in system.read_log(), 60, f"the {name} is up")
        yield system
    finally:
        system.stop()


@pytest.fixture(scope="session")
def seeded() -> dict[Path, dict[str, str]]:
    """The seeded merchants by their systems' log files: a second seed returns no API key."""
    return {}


@pytest.fixture(scope="module")
def account(system: System, seeded: dict[Path, dict[str, str]]) -> dict[str, str]:
    """The seeded merchant of this system: its ids and its API key."""
    if system.log not in seeded:
        seeded[system.log] = system.seed()
    return seeded[system.log]


@pytest.fixture
def client(system: System, account: dict[str, str]) -> Client:
    return Client(system.base_url, account["apiKey"])


@pytest.fixture(scope="module")
def attacked(system: System, account: dict[str, str]) -> Iterator[AttackedSystem]:
    attacked = AttackedSystem(system, account["apiKey"])
    yield attacked
    attacked.close()
