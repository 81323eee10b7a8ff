"""Schema migrations: plain SQL by yoyo, made safe to run twice at once and to kill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import read_migrations
from yoyo.backends.base import DatabaseBackend
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import Migration

from atomic_adapters.postgres.connections import CONNECT_TIMEOUT_SECONDS, map_errors
from atomic_adapters.postgres.migration_files import MIGRATIONS_FOLDER
from atomic_core.domain.errors import Conflict

_LOCK: Final = b"SELECT pg_advisory_lock(7041989231504112)"
"""Held by one migrator at a time; the number is arbitrary, and Atomic's own."""

_TABLE: Final = "_yoyo_migration"


class MigrationStatus(NamedTuple):
    id: str
    applied: bool


class Migrator:
    """Migrates one database. Waits for another migrator to end; a killed one holds nothing.

    Every method may raise StorageUnavailable.
    """

    def __init__(self, database_url: str, folder: Path = MIGRATIONS_FOLDER) -> None:
        self._url = database_url
        self._folder = folder

    def up(self) -> Sequence[str]:
        """Apply what is pending; return the ids, in order."""
        with self._alone() as backend:
            pending = list(backend.to_apply(self._migrations()))
            for migration in pending:
                self._step(backend, migration, "apply")
            return [migration.id for migration in pending]

    def down(self) -> str | None:
        """Roll back the last applied migration; return its id, None if there is none."""
        with self._alone() as backend:
            for migration in backend.to_rollback(self._migrations()):
                self._step(backend, migration, "rollback")
                return migration.id
        return None

    def status(self) -> Sequence[MigrationStatus]:
        with self._alone() as backend:
            applied = set(backend.get_applied_migration_hashes())
            return [MigrationStatus(m.id, m.hash in applied) for m in self._migrations()]

    def create(self, name: str) -> Path:
        """Write an empty migration and its rollback; return the migration's path."""
        if not name.replace("-", "").replace("_", "").isalnum():
            raise Conflict("A migration's name has letters, digits, - and _ only.")
        known = sorted(migration.id for migration in self._migrations())
        number = int(known[-1].split(".")[0]) + 1 if known else 1
        path = self._folder / f"{number:04}.{name}.sql"
        depends = f"-- depends: {known[-1]}\n" if known else ""
        path.write_text(f"-- Say what this is for.\n{depends}", encoding="utf-8")
        path.with_suffix(".rollback.sql").write_text("-- Undo it.\n", encoding="utf-8")
        return path

    def _migrations(self) -> Any:
        return read_migrations(str(self._folder))

    @contextmanager
    def _alone(self) -> Iterator[DatabaseBackend]:
        with (
            map_errors(),
            psycopg.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
            ) as guard,
        ):
            # The server drops this lock with the connection, however its holder dies.
            guard.execute(_LOCK)
            with PostgresqlPsycopgBackend(_yoyo_uri(self._url), _TABLE) as backend:
                backend.init_database()
                # yoyo's own lock is a row that outlives a kill; under ours it is always stale.
                backend.break_lock()
                backend.ensure_internal_schema_updated()
                yield backend

    def _step(self, backend: DatabaseBackend, migration: Migration, direction: str) -> None:
        migration.load()
        if not migration.use_transactions:
            step = {"apply": backend.apply_one, "rollback": backend.rollback_one}[direction]
            step(migration)
            return
        # yoyo marks a migration in a second transaction; killed in between, it would try to
        # apply it again. Here the change and the mark are one commit.
        with backend.transaction():
            migration.process_steps(backend, direction)
            if direction == "apply":
                backend.mark_one(migration)
            else:
                backend.unmark_one(migration)


def _yoyo_uri(database_url: str) -> DatabaseURI:
    parts = conninfo_to_dict(database_url)
    known = {"user", "password", "host", "port", "dbname"}
    port = parts.get("port")
    return DatabaseURI(
        scheme="postgresql+psycopg",
        username=_text(parts.get("user")),
        password=_text(parts.get("password")),
        hostname=_text(parts.get("host")),
        port=int(port) if port else None,
        database=_text(parts.get("dbname")),
        args={name: value for name, value in parts.items() if name not in known},
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
