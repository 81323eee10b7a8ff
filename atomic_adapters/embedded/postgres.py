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
    await_predecessor,
    bare_environment,
    binary,
    initialize,
    is_ready,
)
from atomic_adapters.embedded.process_support import (
    EmbeddedServerError,
    await_start,
    give,
    hold,
    reach,
    socket_folder,
    stop_child,
    unprivileged,
)

_PORT: Final = 5432
"""Part of the socket's name. Said everywhere, or a PGPORT in the environment would decide."""

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
    """A PostgreSQL server that is a child of this process. Start it from a long-lived thread."""

    process: subprocess.Popen[bytes]
    data: Path
    socket_folder: Path
    log: Path
    _owned: IO[str] = field(repr=False)

    @classmethod
    def start(cls, data: Path, *, durable: bool = True, log: Path | None = None) -> Self:
        """Run a server on this data folder, which is made if it is new, and return once it
        accepts connections. Raises EmbeddedServerError.

        `durable=False` trades safety against power cuts for speed: for tests only.
        """
        data = data.absolute()
        log = log or data.with_name(f"{data.name}.log")
        data.parent.mkdir(parents=True, exist_ok=True)
        user = unprivileged()
        owned = hold(data)
        try:
            reach(binary("postgres"), user)
            if not (data / "PG_VERSION").exists():
                initialize(data, user, durable=durable)
            give(data, user)
            await_predecessor(data)
            folder = socket_folder(data, _SOCKET, user)
            settings = [
                *_SETTINGS,
                f"unix_socket_directories={folder}",
                *(() if durable else _FAST_BUT_UNSAFE),
            ]
            command = [binary("postgres"), "-D", data]
            for setting in settings:
                command += ["-c", setting]
            # Immediate shutdown if we are killed: the next start recovers from the log.
            with log.open("wb") as output:
                process = start_child(
                    command,
                    death_signal=signal.SIGQUIT,
                    stdout=output,
                    stderr=output,
                    cwd=data,
                    user=user,
                    env=bare_environment(),
                )
            await_start("PostgreSQL", process, lambda: is_ready(data, process.pid), log)
        except OSError as error:
            owned.close()
            raise EmbeddedServerError(f"PostgreSQL could not be started: {error}") from error
        except BaseException:
            owned.close()
            raise
        return cls(process, data, folder, log, owned)

    def url(self, database: str = "postgres") -> str:
        """For psycopg and for libpq's tools alike."""
        folder = quote(str(self.socket_folder), safe="/")
        return f"postgresql://postgres@/{quote(database, safe='')}?host={folder}&port={_PORT}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create the database unless it exists; return its URL. Nobody may be connected to the
        template meanwhile."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # Asked first, so that the everyday case does not leave an error in the log.
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
            if known.fetchone() is None:
                # Unless somebody else creates it at the same moment.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(statement)
        return self.url(name)

    def stop(self, timeout: float = 5) -> None:
        """Disconnect everybody and shut down; more roughly after `timeout` seconds. Repeatable."""
        stop_child(self.process, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), timeout)
        self._owned.close()

    def tool(self, name: str) -> Path:
        """The path of one of PostgreSQL's programs: psql, pgbench, pg_dump …"""
        return binary(name)
