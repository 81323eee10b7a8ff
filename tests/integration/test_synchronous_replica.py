"""Synchronous replication without its only replica: PostgreSQL commits nothing, and is silent."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.embedded.roles import create_roles
from atomic_adapters.postgres import PostgresStore, replication
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.postgres.replication import CommitsDependency, SynchronousReplicationDependency
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import StorageUnavailable
from processes import as_application, wait_until
from support import add_merchant

DATABASE = "replicated"
GUARD_SECONDS = 60


class Primary:
    def __init__(self, server: EmbeddedPostgres, folder: Path) -> None:
        self.server = server
        self._folder = folder

    @property
    def url(self) -> str:
        return as_application(self.server.url(DATABASE))

    def set_synchronous(self, names: str) -> None:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self.read("SHOW synchronous_standby_names") == names, 60, "reloaded")

    def read(self, query: str) -> object:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row and row[0]

    @contextmanager
    def run_replica(self) -> Iterator[None]:
        """A receiver of the write-ahead log that confirms what is on its disk, as a replica does.
        Killed at the end."""
        self._folder.mkdir(exist_ok=True)
        receiver = subprocess.Popen(
            [
                self.server.tool("pg_receivewal"),
                *("--directory", self._folder, "--synchronous", "--no-loop"),
                *("--dbname", f"{self.server.url()}&application_name=replica"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        try:
            wait_until(lambda: self.read(query) == 1, GUARD_SECONDS, "the replica is synchronous")
            yield
        finally:
            receiver.kill()
            receiver.wait()
        wait_until(lambda: self.read(query) == 0, GUARD_SECONDS, "the replica is lost")


@pytest.fixture(scope="module")
def primary(scratch: Path) -> Iterator[Primary]:
    server = EmbeddedPostgres.start(scratch / "primary", durable=False)
    # Tests' servers have it off, which waits for no replica.
    with psycopg.connect(server.url(), autocommit=True) as connection:
        create_roles(server)
        Migrator(server.create_database(DATABASE)).up()
        connection.execute(f"ALTER DATABASE {DATABASE} SET synchronous_commit = 'on'".encode())
    yield Primary(server, scratch / "received")
    server.stop()


@pytest.fixture
def connections(primary: Primary, settings_for: Callable[..., Settings]) -> Iterator[Connections]:
    settings = settings_for(primary.url, DATABASE_POOL="2", STATEMENT_TIMEOUT_SECONDS="1")
    with closing(Connections(settings)) as connections:
        yield connections
    primary.set_synchronous("")


def test_lost_replica_is_noticed_and_its_return(
    primary: Primary, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, commits = PostgresStore(connections), CommitsDependency(connections)
    primary.set_synchronous("replica")
    with primary.run_replica():
        add_merchant(store.begin)
        wait_until(commits.is_up, GUARD_SECONDS, "commits are acknowledged")
    with pytest.raises(StorageUnavailable):
        add_merchant(store.begin)
    monkeypatch.setattr(replication, "WAIT_SECONDS", 0.1)
    for _ in range(5):
        assert not commits.is_up()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'atomic probe'"
    assert primary.read(waiting) == 1, "one probe at a time"
    assert store.is_up(), "everything but a commit works"
    with primary.run_replica():
        wait_until(commits.is_up, GUARD_SECONDS, "commits are acknowledged again")
        add_merchant(store.begin)


def test_required_replication_is_a_setting_of_postgresql(
    primary: Primary, connections: Connections
) -> None:
    dependency = SynchronousReplicationDependency(connections)
    assert not dependency.is_up()
    primary.set_synchronous("replica")
    wait_until(dependency.is_up, GUARD_SECONDS, "the setting is seen")


def test_unreachable_database_acknowledges_nothing(settings_for: Callable[..., Settings]) -> None:
    with closing(Connections(settings_for("postgresql://localhost:1/none"))) as connections:
        assert not CommitsDependency(connections).is_up()
        assert not SynchronousReplicationDependency(connections).is_up()
