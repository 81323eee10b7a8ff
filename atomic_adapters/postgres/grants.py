"""Gives roles the privileges that `privileges.py` states, and takes all others from them."""

from collections.abc import Iterator, Sequence, Set
from typing import Any, Final, LiteralString, NamedTuple, cast

from psycopg import Connection, errors
from psycopg.sql import SQL, Composed, Identifier, Literal

from atomic_adapters.environ import DatabaseRoles
from atomic_adapters.postgres.privileges import (
    PRIVILEGES,
    USED_FUNCTIONS,
    USED_SEQUENCES,
    TablePrivileges,
)
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.errors import Conflict

_SQL: Final = load_statements("grants")


class GrantReport(NamedTuple):
    created: Sequence[str]
    """Roles that did not exist."""
    warnings: Sequence[str]
    """What the present role may not take away."""


def grant(connection: Connection[Any], roles: DatabaseRoles) -> GrantReport:
    """Create the roles that do not exist, set the passwords that are given, and grant.

    The connection must be one of the owner of the tables, in autocommit mode. Raises Conflict if a
    role owns tables or cannot be created.
    """
    if roles.app == roles.readonly:
        raise Conflict("The application and the read-only role must be two roles.")
    created = []
    with connection.transaction():
        for role, password in (
            (roles.app, roles.app_password),
            (roles.readonly, roles.readonly_password),
        ):
            if _ensure_role(connection, role, password):
                created.append(role)
        _apply(connection, roles, {roles.app, roles.readonly})
        warnings = [
            warning
            for role in (roles.app, roles.readonly)
            for warning in _list_remaining_powers(connection, role)
        ]
    return GrantReport(created, warnings)


def renew_grants(connection: Connection[Any], roles: DatabaseRoles) -> None:
    """Grant what a migration has made necessary, to the roles that exist. A role that owns tables
    needs nothing."""
    with connection.transaction():
        existing = {
            role
            for role in (roles.app, roles.readonly)
            if connection.execute(_SQL["find_role"], {"role": role}).fetchone() == (False,)
        }
        if existing:
            _apply(connection, roles, existing)


def _ensure_role(connection: Connection[Any], role: str, password: str) -> bool:
    """Return whether the role had to be created."""
    row = connection.execute(_SQL["find_role"], {"role": role}).fetchone()
    if row == (True,):
        raise Conflict(
            f"{role} is a superuser or owns tables, so no privilege can be kept from it."
            " Choose another role, or run this as the owner of the tables."
        )
    if row is not None and not password:
        return False
    verb = SQL("CREATE") if row is None else SQL("ALTER")
    statement = SQL("{} ROLE {}").format(verb, Identifier(role))
    if password:
        # Hashed here: statements may be logged.
        hashed = connection.pgconn.encrypt_password(
            password.encode(), role.encode(), b"scram-sha-256"
        )
        statement += SQL(" LOGIN PASSWORD {}").format(Literal(hashed.decode()))
    try:
        connection.execute(statement)
    except errors.InsufficientPrivilege as error:
        raise Conflict(
            f"{connection.info.user} may not create or change the role {role}. As a role that may:"
            f' CREATE ROLE "{role}" LOGIN, and set its password.'
        ) from error
    return row is None


def _apply(connection: Connection[Any], roles: DatabaseRoles, existing: Set[str]) -> None:
    [(database, schema)] = connection.execute(_SQL["read_names"]).fetchall()
    statements = [
        *_grant_entry(database, schema, existing),
        *_grant_tables(connection, roles, existing),
        *_grant_sequences(connection, roles, existing),
        *_grant_functions(connection, existing),
    ]
    # In one round trip: there are some two hundred.
    connection.execute(SQL(";\n").join(statements))


def _grant_entry(database: str, schema: str, existing: Set[str]) -> Iterator[Composed]:
    """The database and the schema. Temporary tables and new functions could stand in for
    Atomic's."""
    names = {"database": Identifier(database), "schema": Identifier(schema)}
    yield SQL("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC").format(**names)
    yield SQL("REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC").format(**names)
    for role in sorted(existing):
        to = Identifier(role)
        yield SQL("REVOKE ALL ON DATABASE {database} FROM {to}").format(**names, to=to)
        yield SQL("REVOKE ALL ON SCHEMA {schema} FROM {to}").format(**names, to=to)
        yield SQL("GRANT CONNECT ON DATABASE {database} TO {to}").format(**names, to=to)
        yield SQL("GRANT USAGE ON SCHEMA {schema} TO {to}").format(**names, to=to)


def _grant_tables(
    connection: Connection[Any], roles: DatabaseRoles, existing: Set[str]
) -> Iterator[Composed]:
    found = connection.execute(_SQL["list_columns"], {"names": list(PRIVILEGES)}).fetchall()
    for table, columns in found:
        yield SQL("REVOKE ALL ON {} FROM PUBLIC").format(Identifier(table))
        for role in sorted(existing):
            yield SQL("REVOKE ALL ON {} FROM {}").format(Identifier(table), Identifier(role))
            list_granted = _list_app if role == roles.app else _list_readonly
            for privilege in list_granted(PRIVILEGES[table], columns):
                yield SQL("GRANT {} ON {} TO {}").format(
                    privilege, Identifier(table), Identifier(role)
                )


def _list_app(privileges: TablePrivileges, columns: Sequence[str]) -> Iterator[Composed]:
    if privileges.can_read:
        yield Composed([SQL("SELECT")])
    if privileges.can_delete:
        yield Composed([SQL("DELETE")])
    yield from _of_columns(SQL("INSERT"), privileges.insert.split(), columns)
    yield from _of_columns(SQL("UPDATE"), privileges.update.split(), columns)


def _list_readonly(privileges: TablePrivileges, columns: Sequence[str]) -> Iterator[Composed]:
    if privileges.can_read:
        hidden = privileges.hidden.split()
        readable = [column for column in columns if column not in hidden]
        yield from _of_columns(SQL("SELECT"), readable, columns)


def _of_columns(privilege: SQL, names: Sequence[str], columns: Sequence[str]) -> Iterator[Composed]:
    """The privilege for columns that exist: a migration may not have been applied yet, or been
    rolled back."""
    existing = [Identifier(name) for name in names if name in columns]
    if existing:
        yield SQL("{} ({})").format(privilege, SQL(", ").join(existing))


def _grant_sequences(
    connection: Connection[Any], roles: DatabaseRoles, existing: Set[str]
) -> Iterator[Composed]:
    found = connection.execute(_SQL["list_sequences"], {"names": list(USED_SEQUENCES)}).fetchall()
    for (sequence,) in found:
        for role in sorted(existing):
            names = Identifier(sequence), Identifier(role)
            yield SQL("REVOKE ALL ON SEQUENCE {} FROM {}").format(*names)
            if role == roles.app:
                yield SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(*names)


def _grant_functions(connection: Connection[Any], existing: Set[str]) -> Iterator[Composed]:
    """A function that a role may execute can also be its trigger, on a table of its own."""
    for name, arguments in connection.execute(_SQL["list_functions"]).fetchall():
        # Types as PostgreSQL writes them, quoted where necessary.
        types = SQL(cast("LiteralString", arguments))
        function = SQL("{}({})").format(Identifier(name), types)
        yield SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(function)
        for role in sorted(existing):
            yield SQL("REVOKE ALL ON FUNCTION {} FROM {}").format(function, Identifier(role))
            if name in USED_FUNCTIONS:
                yield SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(function, Identifier(role))


def _list_remaining_powers(connection: Connection[Any], role: str) -> Iterator[str]:
    rows = connection.execute(_SQL["find_remaining_powers"], {"role": role}).fetchall()
    [(has_temporary, has_create)] = rows
    if has_temporary:
        yield (
            f"{role} may create temporary tables: the owner of the database must"
            " REVOKE TEMPORARY ON DATABASE … FROM PUBLIC."
        )
    if has_create:
        yield (
            f"{role} may create objects in the schema: the owner of the schema must"
            " REVOKE CREATE ON SCHEMA … FROM PUBLIC."
        )
