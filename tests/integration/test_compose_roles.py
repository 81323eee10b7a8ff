"""The roles of compose.yaml: one service connects as the superuser; the tables' owner is none."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.embedded.cluster import get_binary_path
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.postgres.role_check import read_role
from atomic_adapters.settings import Settings
from processes import as_role
from support import add_merchant, build_application, build_payment

ROOT = Path(__file__).parents[2]

OWNER, APPLICATION, READONLY = "atomic_owner", "atomic_app", "atomic_readonly"

LIST_OWNERS = b"""
SELECT relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
 UNION
SELECT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
 UNION
SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()
"""

READ_POWERS = b"""
SELECT rolname, rolcanlogin, rolpassword LIKE 'SCRAM-SHA-256%%',
       rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
  FROM pg_authid
 WHERE rolname LIKE 'atomic%%'
 ORDER BY rolname
"""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres.start(tmp_path_factory.mktemp("compose") / "data", durable=False)
    yield server
    server.stop()


@pytest.fixture
def url(server: EmbeddedPostgres) -> Iterator[str]:
    """A database in a server without roles, as in a new volume."""
    yield server.create_database("atomic")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(b"DROP DATABASE atomic WITH (FORCE)")
        for role in (OWNER, APPLICATION, READONLY):
            connection.execute(f"DROP ROLE IF EXISTS {role}".encode())


def run_script(url: str, **passwords: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the service does, with an empty password for each that is not given."""
    names = ("OWNER_ROLE_PASSWORD", "APP_ROLE_PASSWORD", "READONLY_ROLE_PASSWORD")
    command = [get_binary_path("psql"), "--no-psqlrc", "--quiet", f"--dbname={url}"]
    return subprocess.run(
        [*command, f"--file={ROOT / 'deploy' / 'roles.sql'}"],
        env=os.environ | dict.fromkeys(names, "") | passwords,
        capture_output=True,
        text=True,
        check=False,
    )


def create_roles(url: str) -> None:
    result = run_script(url, OWNER_ROLE_PASSWORD="it's one", APP_ROLE_PASSWORD="another")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def settle_one_payment(settings: Settings) -> None:
    store = PostgresStore(Connections(settings))
    try:
        application = build_application(store.begin)
        application.payments.record(build_payment(add_merchant(store.begin)))
        assert application.settlement.settle() == 1
        assert application.ledger.verify().is_clean
    finally:
        store.close()


def test_only_one_service_connects_as_the_superuser(compose: dict[str, Any]) -> None:
    services = compose["services"]
    superuser = services["postgres"]["environment"]["POSTGRES_USER"]
    knowing = {
        name
        for name, service in services.items()
        if "{POSTGRES_PASSWORD" in str(service.get("environment"))
        or service.get("environment", {}).get("PGUSER") == superuser
    }
    assert knowing == {"postgres", "roles"}


def test_services_connect_as_the_roles_of_the_script(compose: dict[str, Any]) -> None:
    services = compose["services"]
    users = {
        name: service["environment"]["PGUSER"]
        for name, service in services.items()
        if "PGUSER" in service.get("environment", {})
    }
    assert users == {
        "roles": "atomic",
        "migrate": OWNER,
        **dict.fromkeys(("api", "worker", "sweeper"), APPLICATION),
    }
    owners_password = [
        name for name in users if "{OWNER_ROLE_PASSWORD" in str(services[name]["environment"])
    ]
    assert owners_password == ["roles", "migrate"]


def test_roles_exist_before_migrations_begin(compose: dict[str, Any]) -> None:
    migrate, roles = compose["services"]["migrate"], compose["services"]["roles"]
    assert migrate["depends_on"] == {"roles": {"condition": "service_completed_successfully"}}
    assert roles["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "./deploy/roles.sql:/roles.sql:ro" in roles["volumes"]
    assert roles["command"][-1] == "--file=/roles.sql"


def test_new_volume_gets_an_owner_without_powers(
    url: str, settings_for: Callable[..., Settings]
) -> None:
    for _ in range(2):
        create_roles(url)
        migrator = Migrator(as_role(url, OWNER))
        migrator.up()
        migrator.grant()
    with psycopg.connect(url) as connection:
        assert connection.execute(READ_POWERS).fetchall() == [
            (APPLICATION, True, True, False),
            (OWNER, True, True, False),
            (READONLY, False, None, False),
        ]
        assert connection.execute(LIST_OWNERS).fetchall() == [(OWNER,)]
    with psycopg.connect(as_role(url, APPLICATION)) as connection:
        assert not read_role(connection).excess_powers
    settle_one_payment(settings_for(as_role(url, APPLICATION)))


def test_volume_of_an_earlier_version_is_given_to_the_owner(
    url: str, settings_for: Callable[..., Settings]
) -> None:
    """There, migrations ran as the superuser, which had created the application's role."""
    Migrator(url).up()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {APPLICATION} LOGIN".encode())
        connection.execute(f"CREATE ROLE {READONLY}".encode())
    Migrator(url).grant()
    application_url = as_role(url, APPLICATION)
    settle_one_payment(settings_for(application_url))
    create_roles(url)
    with psycopg.connect(url) as connection:
        assert connection.execute(LIST_OWNERS).fetchall() == [(OWNER,)]
    migrator = Migrator(as_role(url, OWNER))
    migrator.down()
    migrator.up()
    migrator.grant()
    settle_one_payment(settings_for(application_url))


def test_script_that_fails_changes_nothing(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(b"CREATE TABLE payments ()")
        connection.execute(
            b"CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql"
            b" AS $$ BEGIN RAISE 'refused'; END $$"
        )
        connection.execute(
            b"CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('ALTER TABLE')"
            b" EXECUTE FUNCTION refuse()"
        )
    result = run_script(url, OWNER_ROLE_PASSWORD="it's one", APP_ROLE_PASSWORD="another")
    assert result.returncode != 0
    assert "refused" in result.stderr
    with psycopg.connect(url) as connection:
        assert connection.execute(READ_POWERS).fetchall() == []


def test_readonly_role_gets_a_login_with_its_password(url: str) -> None:
    assert run_script(url, READONLY_ROLE_PASSWORD="a third").returncode == 0
    with psycopg.connect(url) as connection:
        assert (READONLY, True, True, False) in connection.execute(READ_POWERS).fetchall()


def test_passwords_are_not_logged(server: EmbeddedPostgres, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"ALTER DATABASE atomic SET log_statement = 'all'")
        connection.execute(b"ALTER DATABASE atomic SET log_min_duration_statement = 0")
    create_roles(url)
    log = server.log.read_text(encoding="utf-8", errors="replace")
    assert "BEGIN" in log
    assert "another" not in log
