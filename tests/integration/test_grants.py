"""`atomic grant` and `atomic migrate up` give the roles their privileges."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.embedded.roles import APP_ROLE, OWNER_ROLE, give_to_owner
from atomic_adapters.environ import DatabaseRoles
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import Conflict
from atomic_worker.cli import main
from integration.privileges_in_catalog import DECLARED, LIST_PUBLIC_PRIVILEGES, list_privileges
from processes import as_application, as_role
from support import add_merchant, build_application, build_payment


@pytest.fixture
def role_name(postgres: EmbeddedPostgres) -> Iterator[Callable[[], str]]:
    """Names of roles that are dropped after the test."""
    names: list[str] = []

    def create_name() -> str:
        names.append(f"role_{secrets.token_hex(4)}")
        return names[-1]

    yield create_name
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        databases = connection.execute(
            b"SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template0'"
        ).fetchall()
    for (database,) in databases:
        with psycopg.connect(postgres.url(database), autocommit=True) as connection:
            for name in names:
                if connection.execute(b"SELECT to_regrole(%s)", (name,)).fetchone() != (None,):
                    connection.execute(f"DROP OWNED BY {name}".encode())
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP ROLE IF EXISTS {name}".encode())


def run(url: str, *arguments: str, **environ: str) -> Result:
    variables = {"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    variables |= {"MIGRATION_DATABASE_URL": url, **environ}
    return CliRunner().invoke(main, arguments, env=variables)


def read_role(url: str, role: str) -> tuple[Any, ...] | None:
    with psycopg.connect(url) as connection:
        return connection.execute(
            b"SELECT rolcanlogin, coalesce(rolpassword LIKE 'SCRAM-SHA-256%%', false)"
            b" FROM pg_authid WHERE rolname = %s",
            (role,),
        ).fetchone()


def test_roles_are_created_and_granted(
    own_database: Callable[..., str], migrated: str, role_name: Callable[[], str]
) -> None:
    url, app, readonly = own_database(migrated), role_name(), role_name()
    options = ("--app", app, "--readonly", readonly, "--json")
    first, second = run(url, "grant", *options), run(url, "grant", *options)
    created = [app, readonly]
    assert json.loads(first.stdout) == {"app": app, "readonly": readonly, "created": created}
    assert json.loads(second.stdout)["created"] == []
    assert list_privileges(url, app) == DECLARED
    assert read_role(url, app) == (False, False), "an operator grants it to roles with a login"


def test_password_gives_a_role_a_login(
    own_database: Callable[..., str], migrated: str, role_name: Callable[[], str]
) -> None:
    url, app, readonly = own_database(migrated), role_name(), role_name()
    passwords: Mapping[str, str] = {"APP_ROLE": app, "READONLY_ROLE": readonly}
    assert run(url, "grant", **passwords).exit_code == 0
    result = run(url, "grant", **passwords, APP_ROLE_PASSWORD="it's a secret")
    assert result.exit_code == 0, result.output
    assert "secret" not in result.output
    assert read_role(url, app) == (True, True)
    assert read_role(url, readonly) == (False, False)


def test_grant_takes_back_what_is_not_declared(
    own_database: Callable[..., str], migrated: str
) -> None:
    url = own_database(migrated)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            f"GRANT ALL ON entries, audit_log TO {APP_ROLE}",
            f"GRANT UPDATE (amount) ON payments TO {APP_ROLE}",
            f"GRANT CREATE ON SCHEMA public TO {APP_ROLE}",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "GRANT SELECT ON credentials TO PUBLIC",
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC",
        ):
            connection.execute(statement.encode())
    Migrator(url).grant()
    assert list_privileges(url, APP_ROLE) == DECLARED
    with psycopg.connect(as_application(url)) as connection:
        assert connection.execute(LIST_PUBLIC_PRIVILEGES).fetchall() == []
        assert connection.execute(
            b"SELECT has_schema_privilege('public', 'CREATE'),"
            b" has_database_privilege(current_database(), 'TEMP')"
        ).fetchone() == (False, False)


def test_migration_grants_what_the_new_schema_requires(own_database: Callable[..., str]) -> None:
    """The roles exist, as after an upgrade of another database."""
    url = own_database()
    migrator = Migrator(url)
    migrator.up()
    assert list_privileges(url, APP_ROLE) == DECLARED
    assert migrator.down() is not None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"REVOKE ALL ON entries FROM {APP_ROLE}".encode())
    migrator.up()
    assert list_privileges(url, APP_ROLE) == DECLARED


def test_migration_needs_no_roles(
    own_database: Callable[..., str], role_name: Callable[[], str]
) -> None:
    url, app = own_database(), role_name()
    Migrator(url, roles=DatabaseRoles(app, role_name())).up()
    assert read_role(url, app) is None


def test_migration_leaves_an_owner_its_privileges(
    own_database: Callable[..., str], migrated: str
) -> None:
    """Of an operator who has given the owner the name of the application's role."""
    url = own_database(migrated)
    before = list_privileges(url, OWNER_ROLE)
    Migrator(as_role(url, OWNER_ROLE), roles=DatabaseRoles(OWNER_ROLE, "postgres")).up()
    assert list_privileges(url, OWNER_ROLE) == before


@pytest.mark.parametrize("role", [OWNER_ROLE, "postgres"])
def test_owner_and_superuser_are_no_application(
    own_database: Callable[..., str], migrated: str, role: str
) -> None:
    url = own_database(migrated)
    with pytest.raises(Conflict, match=f"{role} is a superuser or owns tables"):
        Migrator(url, roles=DatabaseRoles(role)).grant()
    with pytest.raises(Conflict, match="two roles"):
        Migrator(url, roles=DatabaseRoles(APP_ROLE, APP_ROLE)).grant()


def test_owner_that_may_not_create_roles_gets_the_statement_for_it(
    own_database: Callable[..., str], migrated: str, role_name: Callable[[], str]
) -> None:
    url, app = own_database(migrated), role_name()
    result = run(as_role(url, OWNER_ROLE), "grant", "--app", app)
    assert result.exit_code == 1
    assert f'CREATE ROLE "{app}" LOGIN' in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_owner_of_the_tables_only_is_warned(
    own_database: Callable[..., str], migrated: str
) -> None:
    """The database is another role's, so temporary tables stay allowed."""
    url = own_database(migrated)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} OWNER TO postgres".encode())
    result = run(as_role(url, OWNER_ROLE), "grant")
    assert result.exit_code == 0, result.output
    assert f"Warning: {APP_ROLE} may create temporary tables" in result.stderr
    assert list_privileges(url, APP_ROLE) == DECLARED


@pytest.mark.parametrize("command", [("grant",), ("migrate", "up"), ("migrate", "status")])
def test_application_role_cannot_migrate_or_grant(
    own_database: Callable[..., str], migrated: str, command: tuple[str, ...]
) -> None:
    result = run(as_application(own_database(migrated)), *command)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "Connect as the owner of the tables: set MIGRATION_DATABASE_URL.\n"
    )


def list_owners(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            b"""SELECT relowner::regrole::text FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace
                 UNION
                SELECT proowner::regrole::text FROM pg_proc
                 WHERE pronamespace = 'public'::regnamespace"""
        ).fetchall()


def test_migration_of_a_superuser_adds_what_the_owner_owns(
    own_database: Callable[..., str], migrated: str
) -> None:
    """Triggers have the rights of the owner: it must own the tables that they write."""
    url = own_database(migrated)
    migrator = Migrator(url)
    while migrator.down() != "0014.commit-guards":
        pass
    migrator.up()
    assert list_owners(url) == [(OWNER_ROLE,)]


def test_embedded_database_of_an_earlier_version_is_given_to_the_owner(
    postgres: EmbeddedPostgres,
    own_database: Callable[..., str],
    settings_for: Callable[..., Settings],
) -> None:
    """There, `make run` migrated as the superuser."""
    url = own_database()
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} OWNER TO postgres".encode())
    Migrator(url).up()
    for _ in range(2):
        give_to_owner(postgres, name)
    assert list_owners(url) == [(OWNER_ROLE,)]
    Migrator(as_role(url, OWNER_ROLE)).up()
    store = PostgresStore(Connections(settings_for(url)))
    try:
        application = build_application(store.begin)
        application.payments.record(build_payment(add_merchant(store.begin)))
        assert application.settlement.settle() == 1
        assert application.ledger.verify().is_clean
    finally:
        store.close()


def test_privileges_skip_what_is_not_migrated_yet(
    own_database: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "0001.merchants.sql").write_text("CREATE TABLE merchants (id uuid, extra text);")
    url = own_database()
    Migrator(url, tmp_path).up()
    granted = {each for each in list_privileges(url, APP_ROLE) if each[0] == "merchants"}
    assert granted == {("merchants", "SELECT", None), ("merchants", "INSERT", "id")}
