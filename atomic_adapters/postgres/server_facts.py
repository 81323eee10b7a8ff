"""What `atomic doctor` judges PostgreSQL by."""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import Connection

from atomic_adapters.certificates import read_certificate_end
from atomic_adapters.postgres.migration_files import get_migration_ids
from atomic_adapters.postgres.privileges import PRIVILEGES
from atomic_adapters.postgres.role_check import read_role
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.settings import Settings
from atomic_core.domain.diagnosis import DatabaseFacts

_SQL: Final = load_statements("server_facts")
_LIST_PENDING: Final = load_statements("unit_of_work")["list_pending"]

CONNECT_TIMEOUT_SECONDS: Final = 2

RESPONSE_SECONDS: Final = 10.0
"""Reading the facts takes milliseconds: a server that takes longer is a finding of its own."""

POOLER_PROBES: Final = 8
"""Transactions on each of two connections. A pooler in transaction mode gives both the backends
that are free, so that the first connection meets another one soon."""


def read_database_facts(settings: Settings) -> DatabaseFacts | str:
    """Connects apart from the application's pool. Returns the problem if that fails."""
    try:
        with _connect(settings) as connection:
            return _read(settings, connection)
    except psycopg.Error as error:
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _connect(settings: Settings) -> LimitedConnection:
    connection = LimitedConnection.connect(
        settings.database_url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        prepare_threshold=None,
        application_name="atomic doctor",
    )
    connection.response_seconds = RESPONSE_SECONDS
    return connection


def _read(settings: Settings, connection: Connection[Any]) -> DatabaseFacts:
    before = datetime.now(UTC)
    row = _fetch(connection, _SQL["read_settings"])
    after = datetime.now(UTC)
    (version, role, server_time, fsync, full_page_writes, synchronous_commit, *rest) = row
    names, time_zone, folder, is_local = rest
    return DatabaseFacts(
        version,
        _list_pending(connection),
        role,
        read_role(connection).excess_powers,
        _list_unusable_tables(connection),
        _compute_offset(before, server_time, after),
        _changes_backend(settings, connection),
        fsync,
        full_page_writes,
        synchronous_commit,
        names,
        _count_standbys(connection),
        time_zone,
        _read_free_share(folder) if is_local else None,
        _read_certificate_end(connection),
    )


def _fetch(connection: Connection[Any], statement: bytes, **parameters: object) -> Sequence[Any]:
    [row] = connection.execute(statement, parameters).fetchall()
    return row


def _list_pending(connection: Connection[Any]) -> Sequence[str]:
    try:
        return _fetch(connection, _LIST_PENDING, ids=get_migration_ids())[0]
    except psycopg.errors.UndefinedTable:
        return get_migration_ids()
    except psycopg.errors.InsufficientPrivilege:
        # A check of its own.
        return ()


def _list_unusable_tables(connection: Connection[Any]) -> Sequence[str]:
    # Triggers alone use the others.
    tables = [name for name, each in PRIVILEGES.items() if each.can_read or each.insert]
    rows = connection.execute(_SQL["list_unusable_tables"], {"tables": tables}).fetchall()
    return [name for (name,) in rows]


def _compute_offset(before: datetime, server_time: datetime, after: datetime) -> timedelta:
    """As if the server had read its clock in the middle of the round trip."""
    return server_time - (before + (after - before) / 2)


def _count_standbys(connection: Connection[Any]) -> int | None:
    connected, hidden = _fetch(connection, _SQL["count_synchronous_standbys"])
    return None if hidden and not connected else connected


def _changes_backend(settings: Settings, connection: Connection[Any]) -> bool:
    """A second connection keeps one backend busy between the transactions of the first."""
    backends: set[int] = set()
    with _connect(settings) as other:
        for _ in range(POOLER_PROBES):
            backends.add(_fetch(connection, _SQL["read_backend"])[0])
            with other.transaction():
                _fetch(other, _SQL["read_backend"])
                backends.add(_fetch(connection, _SQL["read_backend"])[0])
    return len(backends) > 1


def _read_free_share(folder: str | None) -> float | None:
    """None if the role may not know the folder, or this process may not see it."""
    if folder is None or not os.access(Path(folder).parent, os.X_OK) or not Path(folder).exists():
        return None
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total


def _read_certificate_end(connection: Connection[Any]) -> datetime | None:
    info = connection.info
    if not connection.pgconn.ssl_in_use or not info.host or info.host.startswith("/"):
        return None
    return read_certificate_end(info.hostaddr or info.host, info.port, is_postgres=True)
