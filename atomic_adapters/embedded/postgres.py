"""PostgreSQL as a child process."""

import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from atomic_adapters.embedded.child_process import start_child
from atomic_adapters.embedded.cluster import (
    build_server_environment,
    get_binary_path,
    initialize_data_directory,
    is_ready,
    release_socket,
    wait_for_previous_server,
)
from atomic_adapters.embedded.process_support import (
    EmbeddedServerError,
    chown_to_server_user,
    get_server_user,
    lock_data_directory,
    make_traversable,
    prepare_socket_directory,
    stop_child,
    wait_until_ready,
)

_PORT: Final = 5432
"""Part of the socket's name. Passed explicitly everywhere: PGPORT in the environment would win."""

SUPERUSER: Final = "postgres"
"""For the set-up of databases and roles only."""

_SOCKET: Final = f".s.PGSQL.{_PORT}"

_SETTINGS: Final = (
    "listen_addresses=",
    f"port={_PORT}",
    "max_connections=100",
    "shared_buffers=128MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
    "log_checkpoints=off",
)

_FAST_BUT_UNSAFE: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(slots=True)
class EmbeddedPostgres:
    """A PostgreSQL server that is a child of this process. Start it from a long-lived thread: it is
    stopped when that thread ends (see start_child)."""

    process: subprocess.Popen[bytes]
    data: Path
    socket_directory: Path
    log: Path
    _lock: IO[str] = field(repr=False)

    @classmethod
    def start(cls, data: Path, *, durable: bool = True, log: Path | None = None) -> Self:
        """Start a server on this data directory, created if it does not exist, and return once it
        accepts connections. Raises EmbeddedServerError.

        `durable=False` disables fsync, for speed: for tests only, since a power cut then loses or
        corrupts data.
        """
        data = data.absolute()
        log = log or data.with_name(f"{data.name}.log")
        data.parent.mkdir(parents=True, exist_ok=True)
        user = get_server_user()
        lock = lock_data_directory(data)
        try:
            make_traversable(get_binary_path("postgres"), user)
            if not (data / "PG_VERSION").exists():
                initialize_data_directory(data, user, durable=durable)
            chown_to_server_user(data, user)
            wait_for_previous_server(data)
            socket_directory = prepare_socket_directory(data, _SOCKET, user)
            release_socket(socket_directory / _SOCKET)
            settings = [
                *_SETTINGS,
                f"unix_socket_directories={socket_directory}",
                *(() if durable else _FAST_BUT_UNSAFE),
            ]
            command = [get_binary_path("postgres"), "-D", data]
            for setting in settings:
                command += ["-c", setting]
            # SIGQUIT is an immediate shutdown: the next start recovers from the write-ahead log.
            with log.open("wb") as output:
                process = start_child(
                    command,
                    death_signal=signal.SIGQUIT,
                    stdout=output,
                    stderr=output,
                    cwd=data,
                    user=user,
                    env=build_server_environment(),
                )
            wait_until_ready("PostgreSQL", process, lambda: is_ready(data, process.pid), log)
        except OSError as error:
            lock.close()
            raise EmbeddedServerError(f"PostgreSQL could not be started: {error}") from error
        except BaseException:
            lock.close()
            raise
        return cls(process, data, socket_directory, log, lock)

    def url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """A connection URL for psycopg and libpq's tools."""
        host = quote(str(self.socket_directory), safe="/")
        return f"postgresql://{role}@/{quote(database, safe='')}?host={host}&port={_PORT}"

    def create_database(
        self, name: str, template: str | None = None, owner: str = SUPERUSER
    ) -> str:
        """Create the database unless it exists; return its URL, as the superuser. The template must
        have no other connections."""
        statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(
            sql.Identifier(name), sql.Identifier(owner)
        )
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # Checked first, so that an existing database does not cause an error in the log.
            existing = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
            if existing.fetchone() is None:
                # Another process may create it at the same moment.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(statement)
        return self.url(name)

    def stop(self, timeout: float = 5) -> None:
        """Disconnect all clients and shut down; after `timeout` seconds each, do so immediately,
        then kill. Idempotent."""
        stop_child(self.process, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), timeout)
        self._lock.close()

    def tool(self, name: str) -> Path:
        """The path of a PostgreSQL program such as psql, pgbench or pg_dump."""
        return get_binary_path(name)
