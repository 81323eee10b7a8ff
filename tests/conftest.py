"""Fixtures: real PostgreSQL and Valkey servers, one pair per test process, and stores."""

import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import psycopg
import pytest
import sqlparse
import structlog
from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.roles import OWNER_ROLE, create_roles
from atomic_adapters.memory import MemoryStore
from atomic_adapters.memory.worker_liveness import MemoryWorkerLiveness
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_adapters.system import SystemClock
from emptying import Emptying
from processes import as_application, wait_until
from report_hooks import pytest_runtest_makereport, pytest_terminal_summary
from scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from scratch_folders import delete_leftovers, scratch_folder
from support import MemoryTampering, PostgresTampering, Store
from worker_processes import PostgresWorkerProcess

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
    "pytest_xdist_make_scheduler",
]
"""Hooks that pytest finds here."""

# A shell starts background jobs with SIGINT ignored. Processes under test would inherit that, and
# Ctrl-C would have no effect on them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# structlog's default traceback formatter shows all local variables, which takes seconds.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Delete what killed runs left in the temporary directory."""
    is_worker_of_xdist = hasattr(session.config, "workerinput")
    if not is_worker_of_xdist:
        delete_leftovers(Path(tempfile.gettempdir()))


@cache
def _split_migration(sql: str) -> tuple[str, ...]:
    return tuple(split_statements(sql))


split_statements = sqlparse.split
# yoyo parses all migrations each time that a test migrates a database, which takes half a second.
sqlparse.split = lambda sql: list(_split_migration(sql))

ENVIRON = {
    "ATOMIC_ENV": "test",
    "LOCK_TIMEOUT_SECONDS": "3",
    "LOG_LEVEL": "warning",
    "WEBHOOK_ALLOW_PRIVATE": "none",
}


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A temporary directory with a short path, because socket paths are limited."""
    with scratch_folder("atomic-") as path:
        yield path


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL 18 without fsync. Its databases are deleted with it."""
    server = EmbeddedPostgres.start(scratch / "postgres", durable=False)
    create_roles(server)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated template database."""
    postgres.create_database("template_atomic", owner=OWNER_ROLE)
    Migrator(postgres.url("template_atomic", OWNER_ROLE)).up()
    return "template_atomic"


@pytest.fixture(scope="session")
def shared_database_url(postgres: EmbeddedPostgres, migrated: str) -> str:
    url = postgres.create_database("atomic", template=migrated, owner=OWNER_ROLE)
    # Privileges of the database itself are not copied from a template.
    Migrator(url).grant()
    return url


@pytest.fixture(scope="session")
def emptying(shared_database_url: str) -> Iterator[Emptying]:
    with closing(Emptying(shared_database_url)) as emptying:
        yield emptying


@pytest.fixture
def database_url(shared_database_url: str, emptying: Emptying) -> str:
    """A migrated database that is emptied for each test. The URL is a superuser's, for what a test
    prepares and inspects; `settings_for` makes it one of the application's role."""
    emptying.empty()
    return shared_database_url


@pytest.fixture
def own_database(
    postgres: EmbeddedPostgres,
) -> Iterator[Callable[..., str]]:
    """Creates databases for one test, from a template or empty."""
    names: list[str] = []

    def create(template: str | None = None) -> str:
        names.append(f"own_{secrets.token_hex(6)}")
        return postgres.create_database(names[-1], template, OWNER_ROLE)

    yield create
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def valkey_server(scratch: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey.start(scratch / "valkey")
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: EmbeddedValkey) -> Iterator[Redis]:
    """A client of an empty Valkey."""
    redis = Redis.from_url(valkey_server.url)
    redis.flushall()
    yield redis
    redis.close()


@pytest.fixture(scope="session")
def settings_for() -> Callable[..., Settings]:
    """Builds settings for a database, as the application's role, and a Redis, with changed
    variables."""

    def build(
        database_url: str = "postgresql:///nowhere",
        redis_url: str = "redis://localhost:1",
        **changed: str,
    ) -> Settings:
        urls = {"DATABASE_URL": as_application(database_url), "REDIS_URL": redis_url}
        return Settings.from_environ(ENVIRON | urls | changed)

    return build


@pytest.fixture
def memory_store() -> Store:
    store = MemoryStore(SystemClock())
    tampering = MemoryTampering(store.tables)
    return Store(store.begin, tampering, store, lambda: MemoryWorkerLiveness(store.tables))


@pytest.fixture(scope="session")
def shared_connections(
    shared_database_url: str, settings_for: Callable[..., Settings]
) -> Iterator[Connections]:
    """The pool of all tests of a process: connecting and planning each statement again takes longer
    than most tests. Tests that break connections have pools of their own."""
    connections = Connections(settings_for(shared_database_url))
    yield connections
    connections.close()


@pytest.fixture
def postgres_store(database_url: str, shared_connections: Connections) -> Iterator[Store]:
    store = PostgresStore(shared_connections)
    with ExitStack() as processes:

        def start_worker() -> PostgresWorkerProcess:
            process = PostgresWorkerProcess(database_url, shared_connections)
            return processes.enter_context(closing(process))

        yield Store(store.begin, PostgresTampering(database_url), store, start_worker)
    # A transaction that goes on would write into the database of the next test.
    wait_until(lambda: _has_all_connections(shared_connections), 60, "connections are returned")


def _has_all_connections(connections: Connections) -> bool:
    stats = connections._pool.get_stats()
    return stats.get("pool_available", 0) == stats.get("pool_size", 0)


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn: contract tests run on both."""
    return request.getfixturevalue(f"{request.param}_store")
