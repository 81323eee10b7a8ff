"""Schema migrations: plain SQL, run by yoyo, safe to run concurrently and to kill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection, errors
from psycopg.rows import TupleRow
from yoyo import read_migrations
from yoyo.backends.base import DatabaseBackend
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import Migration

from atomic_adapters.environ import DatabaseRoles
from atomic_adapters.postgres.connections import CONNECT_TIMEOUT_SECONDS, map_errors
from atomic_adapters.postgres.grants import GrantReport, grant, renew_grants
from atomic_adapters.postgres.migration_files import MIGRATIONS_FOLDER
from atomic_adapters.postgres.pooler_check import has_shared_sessions
from atomic_adapters.postgres.session_settings import CLIENT_CHECK_SECONDS
from atomic_core.domain.errors import Conflict, StorageRefused

_LOCK: Final = b"SELECT pg_advisory_lock(7041989231504112)"
"""One migrator at a time holds this lock. The number is arbitrary, but Atomic's alone."""

_TABLE: Final = "_yoyo_migration"

_UNUSED_URI: Final = DatabaseURI("", None, None, None, None, None, {})
"""yoyo's backend requires a URI, but connects by it in `connect` only."""

DEFAULT_ROLES: Final = DatabaseRoles()

_END_STATEMENTS_OF_DEAD_CLIENTS: Final = (
    f"SET client_connection_check_interval = '{CLIENT_CHECK_SECONDS * 1_000:.0f}ms'".encode()
)
"""Otherwise a killed migrator's last statement would hold the lock until it ends."""


_BECOME_OWNER: Final = b"""
SELECT set_config('role', pg_get_userbyid(relowner), false)
  FROM pg_class
 WHERE oid = to_regclass('entries')
   AND relowner <> current_user::regrole
   AND pg_has_role(current_user, relowner, 'SET')
   AND has_schema_privilege(relowner, relnamespace, 'CREATE')
"""
"""Otherwise what a superuser adds would not be the owner's, whose rights triggers have."""


class MigrationStatus(NamedTuple):
    id: str
    applied: bool


class Migrator:
    """Migrates one database. Waits while another migrator runs; a killed migrator leaves no lock.

    Migrations give the application's roles, if they exist, the privileges that the new schema
    requires. Every method may raise StorageUnavailable.
    """

    def __init__(
        self,
        database_url: str,
        folder: Path = MIGRATIONS_FOLDER,
        *,
        roles: DatabaseRoles = DEFAULT_ROLES,
    ) -> None:
        """The URL must be one of the owner of the tables."""
        self._url = database_url
        self._folder = folder
        self._roles = roles

    def up(self) -> Sequence[str]:
        """Apply all pending migrations; return their ids, in order."""
        with self._connect_locked() as backend:
            applied = set(backend.get_applied_migration_hashes())
            # Each depends on the one before it. yoyo's own search for what is pending parses all
            # of them, which takes half a second.
            pending = sorted(
                (each for each in self._read_migrations() if each.hash not in applied),
                key=lambda each: each.id,
            )
            for migration in pending:
                self._run(backend, migration, "apply")
            # Also without a pending migration: an earlier run may have been killed before this.
            self._renew_grants(backend)
            return [migration.id for migration in pending]

    def down(self) -> str | None:
        """Roll back the last applied migration; return its id, or None if none is applied."""
        with self._connect_locked() as backend:
            last = self._find_last(backend)
            if last is None:
                return None
            self._run(backend, last, "rollback")
            self._renew_grants(backend)
            return last.id

    def find_last(self) -> str | None:
        """The id of the migration that `down` would roll back."""
        with self._connect_locked() as backend:
            last = self._find_last(backend)
            return last.id if last else None

    def _find_last(self, backend: DatabaseBackend) -> Migration | None:
        applied = set(backend.get_applied_migration_hashes())
        # By id, as in `up`.
        return max(
            (each for each in self._read_migrations() if each.hash in applied),
            key=lambda each: each.id,
            default=None,
        )

    def grant(self) -> GrantReport:
        """Give the application's roles their privileges; create those that do not exist. Raises
        Conflict if that is impossible."""
        with self._connect_locked() as backend:
            backend.connection.execute(b"RESET ROLE")
            return grant(backend.connection, self._roles)

    def _renew_grants(self, backend: DatabaseBackend) -> None:
        backend.connection.execute(b"RESET ROLE")
        renew_grants(backend.connection, self._roles)

    def status(self) -> Sequence[MigrationStatus]:
        with self._connect_locked() as backend:
            applied = set(backend.get_applied_migration_hashes())
            return [MigrationStatus(m.id, m.hash in applied) for m in self._read_migrations()]

    def create(self, name: str) -> Path:
        """Write an empty migration and its rollback; return the migration's path."""
        if not name.replace("-", "").replace("_", "").isalnum():
            raise Conflict("A migration's name may contain only letters, digits, - and _.")
        existing = sorted(migration.id for migration in self._read_migrations())
        number = int(existing[-1].split(".")[0]) + 1 if existing else 1
        path = self._folder / f"{number:04}.{name}.sql"
        depends = f"-- depends: {existing[-1]}\n" if existing else ""
        path.write_text(f"-- Describe the purpose of this migration.\n{depends}", encoding="utf-8")
        path.with_suffix(".rollback.sql").write_text("-- Undo the migration.\n", encoding="utf-8")
        return path

    def _read_migrations(self) -> Any:
        return read_migrations(str(self._folder))

    @contextmanager
    def _connect_locked(self) -> Iterator[DatabaseBackend]:
        if has_shared_sessions(self._url):
            raise StorageRefused(
                "The URL leads through a pooler in transaction mode: the process of PostgreSQL"
                " changes between transactions. The lock that keeps a second migration away would"
                " be left in a session of the pooler. Set MIGRATION_DATABASE_URL to PostgreSQL"
                " itself, or DATABASE_DIRECT_URL."
            )
        # One connection for the lock and the migrations: with several hosts in the URL, two
        # connections could be to different servers.
        with (
            map_errors(),
            _explain_missing_privilege(),
            psycopg.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
            ) as connection,
        ):
            connection.execute(_END_STATEMENTS_OF_DEAD_CLIENTS)
            # PostgreSQL releases this lock when the connection ends, even if the process is killed.
            connection.execute(_LOCK)
            connection.execute(_BECOME_OWNER)
            backend = _Backend(connection)
            backend.init_database()
            # yoyo's own lock is a row that survives a kill. Under _LOCK it is always stale.
            backend.break_lock()
            backend.ensure_internal_schema_updated()
            yield backend

    def _run(self, backend: DatabaseBackend, migration: Migration, direction: str) -> None:
        migration.load()
        if not migration.use_transactions:
            migration.process_steps(backend, direction)
            with backend.transaction():
                _record(backend, migration, direction)
            return
        # yoyo marks a migration as applied in a second transaction, and would apply it again if
        # killed in between. Here the change and the mark are one commit.
        with backend.transaction():
            migration.process_steps(backend, direction)
            _record(backend, migration, direction)


@contextmanager
def _explain_missing_privilege() -> Iterator[None]:
    try:
        yield
    except errors.InsufficientPrivilege as error:
        raise StorageRefused(
            f"The database refused the statement: {error.diag.message_primary}. Connect as the"
            " owner of the tables: set MIGRATION_DATABASE_URL."
        ) from error


def _record(backend: DatabaseBackend, migration: Migration, direction: str) -> None:
    if direction == "apply":
        backend.mark_one(migration)
    else:
        backend.unmark_one(migration)


class _Backend(PostgresqlPsycopgBackend):
    """yoyo's backend on a given connection. Its own takes a URL with one host and one port, while
    libpq's, and so DATABASE_URL, may have several."""

    def __init__(self, connection: Connection[TupleRow]) -> None:
        self._given_connection = connection
        super().__init__(_UNUSED_URI, _TABLE)

    def connect(self, dburi: DatabaseURI) -> Connection[TupleRow]:  # noqa: ARG002
        return self._given_connection
