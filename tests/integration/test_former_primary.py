"""Two primaries of one cluster: after a failover the former one runs again, and accepts writes."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from redis import Redis
from structlog.testing import capture_logs

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.roles import create_roles
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.postgres.primary_fence import REFRESH_SECONDS, PrimaryFence
from atomic_adapters.postgres.worker_liveness import PostgresWorkerLiveness
from atomic_adapters.redis.connections import CircuitBreaker
from atomic_adapters.redis.wal_timelines import KEY, RedisWalTimelines
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_ports
from atomic_core.domain.errors import StorageUnavailable
from processes import as_application, wait_until
from support import add_merchant

DATABASE = "fenced"


class Cluster(NamedTuple):
    former: EmbeddedPostgres
    """The primary that was replaced. It does not know, and runs."""
    successor: EmbeddedPostgres

    @property
    def former_url(self) -> str:
        return as_application(self.former.url(DATABASE))

    @property
    def successor_url(self) -> str:
        return as_application(self.successor.url(DATABASE))

    @property
    def url_of_both(self) -> str:
        """The former primary first, as it was in the settings before the failover."""
        hosts = f"{self.former.socket_directory},{self.successor.socket_directory}"
        url, _, _ = self.former_url.partition("?")
        return f"{url}?host={hosts}&port=5432,5432&target_session_attrs=read-write"


@pytest.fixture(scope="module")
def cluster(scratch: Path) -> Iterator[Cluster]:
    former = EmbeddedPostgres.start(scratch / "former", durable=False)
    create_roles(former)
    Migrator(former.create_database(DATABASE)).up()
    former.stop()
    data = Path(shutil.copytree(scratch / "former", scratch / "successor", symlinks=True))
    # An archive recovery without an archive: it ends at once, and begins a timeline.
    (data / "recovery.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    successor = EmbeddedPostgres.start(data, durable=False)
    former = EmbeddedPostgres.start(scratch / "former", durable=False)
    yield Cluster(former, successor)
    former.stop()
    successor.stop()


class Process:
    """What a process of Atomic has."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.time = 0.0
        timelines = RedisWalTimelines(redis, CircuitBreaker())
        self.connections = Connections(settings, PrimaryFence(timelines, lambda: self.time))
        self.store = PostgresStore(self.connections)

    def close(self) -> None:
        self.connections.close()

    def use(self) -> int:
        """The timeline of the server on which a transaction runs. Raises StorageUnavailable."""
        with self.connections.transaction() as connection:
            return connection.wal_timeline


@pytest.fixture
def start(settings_for: Callable[..., Settings], valkey: Redis) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(url: str, redis: Redis = valkey) -> Process:
        started.append(Process(settings_for(url, DATABASE_POOL="2"), redis))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_both_servers_accept_writes(cluster: Cluster) -> None:
    """So nothing but the fence keeps them apart."""
    for url in (cluster.former.url(DATABASE), cluster.successor.url(DATABASE)):
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE written (one integer)")
            connection.rollback()


def test_former_primary_is_refused_after_its_successor_was_seen(
    cluster: Cluster, start: Callable[..., Process]
) -> None:
    assert start(cluster.successor_url).use() == 2
    late = start(cluster.former_url)
    with capture_logs() as logs, pytest.raises(StorageUnavailable):
        late.use()
    refusals = [log for log in logs if log["event"] == "former primary refused"]
    assert refusals[0]["wal_timeline"] == 1
    assert refusals[0]["newest_wal_timeline"] == 2


def test_open_connections_to_a_former_primary_are_given_up(
    cluster: Cluster, start: Callable[..., Process]
) -> None:
    early = start(cluster.former_url)
    liveness = PostgresWorkerLiveness(early.connections)
    with closing(liveness):
        assert early.use() == 1
        assert liveness.worker_id() is not None
        start(cluster.successor_url).use()
        early.time += REFRESH_SECONDS
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                early.use()
        assert liveness.worker_id() is None
        with pytest.raises(StorageUnavailable):
            add_merchant(early.store.begin)


def test_another_host_of_the_url_is_used(cluster: Cluster, start: Callable[..., Process]) -> None:
    early = start(cluster.url_of_both)
    assert early.use() == 1
    start(cluster.successor_url).use()
    early.time += REFRESH_SECONDS

    def is_moved() -> bool:
        try:
            return early.use() == 2
        except StorageUnavailable:
            return False

    wait_until(is_moved, 60, "a connection to the successor")
    with closing(PostgresWorkerLiveness(early.connections)) as liveness:
        wait_until(liveness.worker_id, 60, "a session on the successor")


def test_emptied_redis_is_filled_again(
    cluster: Cluster, start: Callable[..., Process], valkey: Redis
) -> None:
    process = start(cluster.successor_url)
    process.use()
    valkey.flushall()
    process.time += REFRESH_SECONDS
    process.use()
    [(_, timeline)] = valkey.zrange(KEY, 0, -1, withscores=True)
    assert timeline == 2
    with pytest.raises(StorageUnavailable):
        start(cluster.former_url).use()


def test_without_redis_a_process_knows_what_it_saw(
    cluster: Cluster, start: Callable[..., Process]
) -> None:
    nowhere = Redis.from_url("redis://127.0.0.1:1")
    process = start(cluster.successor_url, nowhere)
    assert process.use() == 2
    process.time += REFRESH_SECONDS
    assert process.use() == 2
    # It cannot know of the successor.
    assert start(cluster.former_url, nowhere).use() == 1


def test_real_processes_share_what_they_know(
    cluster: Cluster,
    settings_for: Callable[..., Settings],
    valkey_server: EmbeddedValkey,
    valkey: Redis,
) -> None:
    """As they are composed for API, worker, sweeper and commands."""
    for url, is_up in ((cluster.successor_url, True), (cluster.former_url, False)):
        ports = build_ports(settings_for(url, valkey_server.url))
        [postgres] = [each for each in ports.dependencies if each.name == "postgres"]
        assert postgres.is_up() is is_up
    assert valkey.zcard(KEY) == 1
