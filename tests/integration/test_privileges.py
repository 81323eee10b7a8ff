"""Each role has the privileges that are declared, all of which are used, and no other."""

import re
from typing import Any

import psycopg
import pytest

from atomic_adapters.embedded.roles import APP_ROLE, READONLY_ROLE
from atomic_adapters.postgres.privileges import PRIVILEGES, USED_FUNCTIONS
from atomic_adapters.postgres.statements import SQL_FOLDER, load_statements
from integration.privileges_in_catalog import DECLARED, LIST_PUBLIC_PRIVILEGES, list_privileges
from processes import as_application
from support import number_parameters

OF_OPERATORS = ("grants", "role_check")
"""Not statements of the application."""

STATEMENTS = {
    f"{path.stem}.{name}": number_parameters(statement)[0]
    for path in sorted(SQL_FOLDER.glob("*.sql"))
    if path.stem not in OF_OPERATORS
    for name, statement in load_statements(path.stem).items()
    if name != "use_one_snapshot"
}

LIST_TABLES = b"""
SELECT relname::text
  FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
"""


def test_every_table_is_declared(shared_database_url: str) -> None:
    """A migration that adds a table states what the application may do with it."""
    with psycopg.connect(shared_database_url) as connection:
        tables = {name for (name,) in connection.execute(LIST_TABLES)}
    assert tables == PRIVILEGES.keys()


def test_application_has_the_declared_privileges_and_no_other(shared_database_url: str) -> None:
    assert list_privileges(shared_database_url, APP_ROLE) == DECLARED


def test_readonly_role_reads_what_is_not_secret(shared_database_url: str) -> None:
    granted = list_privileges(shared_database_url, READONLY_ROLE)
    assert {privilege for _, privilege, _ in granted} == {"SELECT"}
    readable = {(table, column) for table, _, column in granted}
    for table, privileges in PRIVILEGES.items():
        columns = {column for name, column in readable if name == table}
        assert bool(columns) == privileges.can_read
        assert columns.isdisjoint(privileges.hidden.split())


def test_public_has_no_privileges(shared_database_url: str) -> None:
    with psycopg.connect(shared_database_url) as connection:
        assert connection.execute(LIST_PUBLIC_PRIVILEGES).fetchall() == []


def test_append_only_tables_are_only_inserted_into() -> None:
    for table in ("entries", "ledger_transactions", "events", "audit_log"):
        assert PRIVILEGES[table].insert
        assert not PRIVILEGES[table].update
        # Events only as far as the guards of migrations 0018 and 0020 let old ones go.
        assert PRIVILEGES[table].can_delete == (table == "events")


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_application_may_run_each_of_its_statements(shared_database_url: str, name: str) -> None:
    with psycopg.connect(as_application(shared_database_url)) as connection:
        connection.execute(b"EXPLAIN (GENERIC_PLAN) " + STATEMENTS[name])


USING = {
    "SELECT": rb"\b(FROM|JOIN|INTO|UPDATE) %s\b",
    "DELETE": rb"\bDELETE FROM %s\b",
    "INSERT": rb"\bINSERT INTO %s\b",
    "UPDATE": rb"\b(UPDATE|INSERT INTO) %s\b",
}


@pytest.mark.parametrize("table", sorted(PRIVILEGES))
def test_every_privilege_is_used_by_a_statement(shared_database_url: str, table: str) -> None:
    """Without it, one of the application's statements is refused."""
    with psycopg.connect(shared_database_url, autocommit=True) as connection:
        for _, privilege, column in sorted(each for each in DECLARED if each[0] == table):
            columns = f" ({column})" if column else ""
            using = re.compile(USING[privilege] % table.encode())
            candidates = [text for text in STATEMENTS.values() if using.search(text)]
            with connection.transaction(force_rollback=True):
                connection.execute(
                    f"REVOKE {privilege}{columns} ON {table} FROM {APP_ROLE}".encode()
                )
                connection.execute(f"SET LOCAL ROLE {APP_ROLE}".encode())
                assert any(is_refused(connection, text) for text in candidates), (
                    f"no statement needs {privilege}{columns} on {table}"
                )


def is_refused(connection: psycopg.Connection[Any], statement: bytes) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(b"EXPLAIN (GENERIC_PLAN) " + statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_functions_with_the_rights_of_the_owner_are_triggers_only(shared_database_url: str) -> None:
    """With a search_path of their own. The application may neither call them nor make them a
    trigger."""
    with psycopg.connect(shared_database_url) as connection:
        rows = connection.execute(
            b"""SELECT proname::text, prorettype = 'trigger'::regtype,
                       'search_path=pg_catalog, public, pg_temp' = ANY (proconfig),
                       has_function_privilege(%s, oid, 'EXECUTE')
                  FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef""",
            (APP_ROLE,),
        ).fetchall()
    assert {row[1:] for row in rows} == {(True, True, False)}
    assert not {row[0] for row in rows} & set(USED_FUNCTIONS)
