"""The application's processes check which role they connect as."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.embedded.roles import APP_ROLE, OWNER_ROLE, READONLY_ROLE
from atomic_adapters.environ import SettingsError
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.role_check import check_database_role, read_role
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.domain.errors import StorageUnavailable
from atomic_worker.cli import main
from atomic_worker.commands.console import CliContext
from processes import as_application, as_role, environment, find_free_port

SUPERUSER = "postgres"
PRODUCTION = {"ATOMIC_ENV": "production", "ALLOW_SANDBOX": "true"}


@pytest.fixture
def create_role(postgres: EmbeddedPostgres) -> Iterator[Callable[[str], str]]:
    """Creates a role with a login from statements, in which {} stands for its name."""
    names: list[str] = []

    def create(statements: str) -> str:
        names.append(f"role_{secrets.token_hex(4)}")
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            for statement in ("CREATE ROLE {} LOGIN", *statements.split("; ")):
                connection.execute(statement.format(names[-1]).encode())
        return names[-1]

    yield create
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.fixture(scope="module")
def shared_url(postgres: EmbeddedPostgres, migrated: str) -> Iterator[str]:
    name = f"role_check_{secrets.token_hex(4)}"
    yield postgres.create_database(name, migrated, OWNER_ROLE)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def url(shared_url: str) -> str:
    """A database that tests change in nothing but its owner."""
    set_database_owner(shared_url, OWNER_ROLE)
    return shared_url


def set_database_owner(url: str, role: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} OWNER TO {role}".encode())


def read_powers(url: str) -> Sequence[str]:
    with psycopg.connect(url) as connection:
        return read_role(connection).excess_powers


@pytest.mark.parametrize("role", [APP_ROLE, READONLY_ROLE])
def test_granted_roles_have_no_excess_powers(url: str, role: str) -> None:
    assert read_powers(as_role(url, role)) == []


def test_superuser_and_owner_are_recognized(url: str) -> None:
    assert read_powers(url) == ["is a superuser"]
    assert read_powers(as_role(url, OWNER_ROLE)) == [
        "owns tables",
        "owns the schema",
        "owns the database",
        "can create objects in the schema",
    ]
    set_database_owner(url, SUPERUSER)
    assert read_powers(as_role(url, OWNER_ROLE)) == ["owns tables"]


@pytest.mark.parametrize(
    ("statements", "power"),
    [
        ("ALTER ROLE {} CREATEROLE", "can create roles"),
        ("ALTER ROLE {} BYPASSRLS", "bypasses row security"),
        ("ALTER ROLE {} REPLICATION", "can replicate"),
        ("GRANT pg_execute_server_program TO {}", "is a member of pg_execute_server_program"),
        ("GRANT pg_write_all_data TO {}", "is a member of pg_write_all_data"),
        (f"GRANT {OWNER_ROLE} TO {{}}", "owns tables"),
        (f"GRANT {OWNER_ROLE} TO {{}} WITH INHERIT FALSE, SET TRUE", "owns tables"),
        (f"GRANT {SUPERUSER} TO {{}} WITH INHERIT FALSE, SET TRUE", "is a superuser"),
    ],
)
def test_powers_of_other_roles_are_recognized(
    url: str, create_role: Callable[[str], str], statements: str, power: str
) -> None:
    set_database_owner(url, SUPERUSER)
    assert list(read_powers(as_role(url, create_role(statements)))) == [power]


def test_superuser_that_has_set_a_role_is_recognized(url: str) -> None:
    """It can RESET ROLE."""
    with psycopg.connect(url, options=f"-c role={APP_ROLE}") as connection:
        assert connection.execute(b"SELECT current_user::text").fetchone() == (APP_ROLE,)
        assert read_role(connection) == (SUPERUSER, ["is a superuser"])


def test_database_without_tables_has_no_owner(own_database: Callable[..., str]) -> None:
    assert read_powers(as_application(own_database())) == []


def settings_of(url: str, **environ: str) -> Settings:
    """As they are: `settings_for` would connect as the application's role."""
    return Settings.from_environ({"ATOMIC_ENV": "test", "DATABASE_URL": url, **environ})


@pytest.mark.parametrize("role", [SUPERUSER, OWNER_ROLE])
def test_production_refuses_a_privileged_role_by_name(url: str, role: str) -> None:
    settings = settings_of(as_role(url, role), **PRODUCTION)
    with pytest.raises(SettingsError, match=rf"^ALLOW_PRIVILEGED_ROLE: .* {role} .*atomic grant"):
        check_database_role(settings)


@pytest.mark.parametrize("environ", [{}, {**PRODUCTION, "ALLOW_PRIVILEGED_ROLE": "true"}])
def test_services_log_a_privileged_role_by_name(
    url: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_worker.commands.console.configure_logging", lambda _: None)
    settings = settings_of(url, **environ)
    cli = CliContext(load_settings=lambda: settings, build_application=lambda _: in_memory())
    with capture_logs() as lines:
        cli.build_service_application()
    assert lines[-1]["log_level"] == "warning"
    assert lines[-1]["event"].startswith(f"The database role {SUPERUSER} is a superuser.")
    assert "atomic grant" in lines[-1]["event"]


def test_serve_logs_a_privileged_role_by_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.execv", lambda *_: None)
    monkeypatch.setattr("atomic_worker.cli.configure_logging", lambda _: None)
    environ = {"ATOMIC_ENV": "test", "DATABASE_URL": url, "PORT": str(find_free_port())}
    with capture_logs() as lines:
        assert CliRunner().invoke(main, ["serve"], env=environ).exit_code == 0
    assert lines[0]["event"].startswith(f"The database role {SUPERUSER} is a superuser.")


def test_sweep_once_warns_beside_its_output(url: str) -> None:
    command = [sys.executable, "-m", "atomic_worker", "sweep", "--once", "--json"]
    environ = {**environment(url, "redis://localhost:1"), "DATABASE_URL": url}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert json.loads(result.stdout) == {"claimed": 0, "purged": 0}
    assert result.stderr.startswith(f"Warning: The database role {SUPERUSER} is a superuser.")


def test_application_role_is_accepted(url: str) -> None:
    assert check_database_role(settings_of(as_application(url), **PRODUCTION)) is None


def test_start_does_not_wait_for_postgres() -> None:
    unreachable = settings_of("postgresql://127.0.0.1:1/x", **PRODUCTION)
    assert check_database_role(unreachable) is None


@pytest.mark.parametrize("command", ["serve", "worker", "sweep", "sweep --once"])
def test_commands_of_production_refuse_a_privileged_role(
    url: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("gunicorn was started"))
    monkeypatch.setattr("atomic_worker.commands.console.configure_logging", lambda _: None)
    monkeypatch.setattr("atomic_worker.cli.configure_logging", lambda _: None)
    environ = {**PRODUCTION, "DATABASE_URL": url, "PORT": str(find_free_port())}
    result = CliRunner().invoke(main, command.split(), env=environ)
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    start = f"Error: ALLOW_PRIVILEGED_ROLE: the database role {SUPERUSER} is a superuser"
    assert line.startswith(start)


def test_production_refuses_each_connection_of_a_privileged_role(url: str) -> None:
    """Also if PostgreSQL was away at the start, or the role has become a superuser since."""
    store = PostgresStore(Connections(settings_of(url, **PRODUCTION)))
    try:
        with capture_logs() as lines, pytest.raises(StorageUnavailable), store.begin():
            pass
        assert not store.is_up()
    finally:
        store.close()
    assert {"event": "database role refused", "role": SUPERUSER}.items() <= lines[0].items()


@pytest.mark.parametrize(
    ("role", "environ"),
    [
        (APP_ROLE, PRODUCTION),
        (SUPERUSER, {**PRODUCTION, "ALLOW_PRIVILEGED_ROLE": "true"}),
        (SUPERUSER, {}),
    ],
)
def test_other_connections_are_made(url: str, role: str, environ: dict[str, str]) -> None:
    store = PostgresStore(Connections(settings_of(as_role(url, role), **environ)))
    try:
        assert store.is_up()
    finally:
        store.close()
