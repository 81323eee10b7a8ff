"""A real system, per file of tests or shared by several: API, worker and sweeper as processes."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from processes import LEASE_SECONDS, Client, System, environment, wait_until
from scheduling import SYSTEM_GROUP, find_group
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


@pytest.fixture(scope="session")
def shared_system(postgres: EmbeddedPostgres, migrated: str, scratch: Path) -> Iterator[System]:
    """For the files that leave it as they found it (tests/scheduling.py)."""
    valkey = EmbeddedValkey.start(scratch / f"valkey-{secrets.token_hex(4)}")
    try:
        with _start_system(postgres, migrated, valkey.url, scratch) as system:
            yield system
    finally:
        valkey.stop()


@pytest.fixture(scope="module")
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    if find_group(request.node.nodeid) == SYSTEM_GROUP:
        yield request.getfixturevalue("shared_system")
        return
    postgres, migrated, valkeys, scratch = (
        request.getfixturevalue(name) for name in ("postgres", "migrated", "valkeys", "scratch")
    )
    with _start_system(postgres, migrated, valkeys[0].url, scratch) as system:
        yield system


@contextmanager
def _start_system(
    postgres: EmbeddedPostgres, migrated: str, valkey_url: str, scratch: Path
) -> Iterator[System]:
    url = postgres.create_database(f"e2e_{secrets.token_hex(4)}", template=migrated)
    lease = str(LEASE_SECONDS)
    environ = environment(url, valkey_url, SETTLE_LEASE_SECONDS=lease, SETTLE_BATCH="50")
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
        completed = system.atomic("seed", "--json")
        assert completed.returncode == 0, completed.stderr
        seeded[system.log] = json.loads(completed.stdout)
    return seeded[system.log]


@pytest.fixture
def client(system: System, account: dict[str, str]) -> Client:
    return Client(system.base_url, account["apiKey"])


@pytest.fixture(scope="module")
def attacked(system: System, account: dict[str, str]) -> Iterator[AttackedSystem]:
    attacked = AttackedSystem(system, account["apiKey"])
    yield attacked
    attacked.close()
