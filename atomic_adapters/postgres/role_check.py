"""Checks that the application does not connect as a role that could change the books."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from psycopg import Connection

from atomic_adapters.environ import SettingsError
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.settings import Settings

_SQL: Final = load_statements("role_check")

CONNECT_TIMEOUT_SECONDS: Final = 2

_log = structlog.get_logger(__name__)


class DatabaseRole(NamedTuple):
    name: str
    excess_powers: Sequence[str]
    """Such as "owns tables"; empty for a role as `atomic grant` makes it."""

    def describe(self) -> str:
        return (
            f"the database role {self.name} {', '.join(self.excess_powers)}. It could change the"
            " books and switch their guards off. Connect as a role that `atomic grant` has prepared"
        )


class PrivilegedRoleRefused(psycopg.OperationalError):
    """The connection is one of a role that could change the books."""


def read_role(connection: Connection[Any]) -> DatabaseRole:
    [(name, powers)] = connection.execute(_SQL["find_excess_powers"]).fetchall()
    return DatabaseRole(name, powers)


def refuse_privileged_role(connection: Connection[Any]) -> None:
    """Raise PrivilegedRoleRefused if the role could change the books."""
    role = read_role(connection)
    if role.excess_powers:
        _log.error("database role refused", role=role.name, powers=role.excess_powers)
        raise PrivilegedRoleRefused(f"Refused: {role.describe()}.")


def check_database_role(settings: Settings) -> str | None:
    """Called at the start of a process that serves or settles. Returns a warning if the database
    role could change the books; in production raises SettingsError, unless that is allowed.

    Does nothing while PostgreSQL is unreachable: in production, each connection is checked as well.
    """
    try:
        with psycopg.connect(
            settings.database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
        ) as connection:
            role = read_role(connection)
    except psycopg.OperationalError:
        return None
    if not role.excess_powers:
        return None
    description = role.describe()
    if settings.refuses_privileged_role:
        raise SettingsError(
            f"ALLOW_PRIVILEGED_ROLE: {description}, or start with this role for the time being by"
            " ALLOW_PRIVILEGED_ROLE=true."
        )
    return f"{description[0].upper()}{description[1:]}."
