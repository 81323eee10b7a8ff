"""No command shows a traceback for a setting: it names the variable, and exits with 1."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.primary_fence import PrimaryFence
from atomic_adapters.settings import Settings
from atomic_worker.cli import main
from atomic_worker.dev.checks import lock_run_folder
from processes import find_free_port

ID = "01999999-0000-7000-8000-000000000000"

COMMANDS = [
    *("serve", "dev", "worker", "sweep --once", "seed", "verify", "currencies"),
    *("migrate up", "migrate down --yes", "migrate status", "grant", "keys list", "keys create"),
    *(f"keys revoke {ID}", "merchants list", f"merchants show {ID}", "payments list"),
    *(f"payments show {ID}", f"payments retry {ID}", "accounts list", f"accounts show {ID}"),
    *("accounts heads", f"keys rotate {ID}", "ledger periods list", f"ledger explain {ID}"),
    *(f"accounts {change} {ID} --reason x" for change in ("freeze", "close", "reopen")),
    *("fees list", "fees set --currency USD", "merchants create --name x --email a@b.example"),
    *(
        f"merchants suspend {ID} --reason x",
        f"merchants resume {ID}",
        f"merchants set-network {ID} default",
        "payments in-doubt",
    ),
    *(f"payments resolve {ID} --as failed --reason x", "events tail"),
    *("disputes list", f"disputes show {ID}"),
    *("status", "doctor", "payments create --amount 1 --currency USD"),
    f"payments capture {ID}",
    *(f"payments cancel {ID}", f"payments refund {ID}", "refunds list"),
    *("reconcile list", "reconcile stripe", f"reconcile show {ID}", "trial-balance"),
]
WITHOUT_SETTINGS = {
    ("migrate", "create"),
    ("completion",),
    *(("webhooks", name) for name in ("new-key", "explain", "listen")),
}

GOOD = {"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}

DATABASE_URLS = [
    *("mysql://h/x", "nonsense", "host=h dbname=x", "postgresql://[::1/x", "postgresql://h:abc/x"),
    *("postgresql://h:99999/x", "postgresql://h:0/x", "postgresql://a:1,b:x/y"),
    *("postgresql://h/x?port=5432,70000", "postgresql://h/x?unknown=1", "postgresql://h/%zz"),
    *("postgresql://h/%00", "postgresql://user:p w@h/x", "postgresql://\udcff/x"),
    *("postgresql://a..b/x", f"postgresql://{'a' * 64}/x", "postgresql://h/x?autocommit=1"),
]
REDIS_URLS = [
    *("http://h", "h:6379", "redis://h:abc", "redis://h:99999", "redis://h/abc", "redis://h/-1"),
    *("redis://h?unknown=1", "redis://h?socket_timeout=abc", "redis://h?db=x", "redis://[::1"),
    *("redis://h?retry=1", "redis://h?encoding=bogus", "redis://h?decode_responses=yes"),
    *("redis://a..b", f"redis://{'a' * 64}", "redis://u:\udcff@h", "redis://h?timeout=abc"),
    *("rediss://h?ssl_cert_reqs=bogus", "redis://h?health_check_interval=x", "redis://h/０"),
]
OTHERS = [
    *(
        ("HOST", "\udcff"),
        ("HOST", "a" * 300),
        ("HOST", "a..b"),
        ("PORT", "x"),
        ("PORT", "9" * 5_000),
    ),
    *(("METRICS_PORT", "3000"), ("METRICS_PORT", "-1"), ("LOG_LEVEL", "loud"), ("CURRENCIES", "x")),
    *(("MERCHANT_API_KEY_HASH", "ab " * 21 + "a"), ("RATE_LIMIT_GLOBAL", "nan/1")),
    *(("CORS_ORIGIN", "http://["), ("STATEMENT_TIMEOUT_SECONDS", "1e999"), ("PGHOST", "\udcff")),
    *(("WORKER_METRICS_PORT", "3000"), ("SWEEPER_METRICS_PORT", "x")),
    *(("APP_ROLE", "r" * 64), ("READONLY_ROLE", "\udcff"), ("APP_ROLE_PASSWORD", "\udcff")),
    ("ALLOW_PRIVILEGED_ROLE", "yes"),
    *(("CARD_NETWORK", "visa"), ("STRIPE_SECRET_KEY", "pk_live_1"), ("STRIPE_CONCURRENCY", "0")),
    *(("STRIPE_SECRET_KEY", "\udcff"), ("STRIPE_API_BASE", "http://h"), ("CARD_NETWORK", "\udcff")),
    *(("STRIPE_API_BASE", "https://["), ("STRIPE_API_BASE", "https://h:abc")),
    *(("STRIPE_WEBHOOK_SECRET", "sk_live_1"), ("RATE_LIMIT_NETWORK_EVENTS", "many")),
    *(("WEBHOOK_ENCRYPTION_KEYS", "\udcff"), ("WEBHOOK_ALLOW_PRIVATE", "\udcff")),
    *(
        ("WEBHOOK_PROXY", "http://["),
        ("WEBHOOK_PROXY", "http://p:abc"),
        ("WEBHOOK_CONCURRENCY", "x"),
    ),
    *(("WEBHOOK_PROXY", "http://\udcff"), ("WEBHOOK_TIMEOUT_SECONDS", "nan")),
    *(("PGHOST", "a..b"), ("PGPORT", "x"), ("PGPASSWORD", "\udcff"), ("TRUSTED_PROXIES", "\udcff")),
]
WRONG = [
    *(("DATABASE_URL", url) for url in DATABASE_URLS),
    *(("MIGRATION_DATABASE_URL", url) for url in DATABASE_URLS[:5]),
    *(("DATABASE_DIRECT_URL", url) for url in DATABASE_URLS[:5]),
    *(("REDIS_URL", url) for url in REDIS_URLS),
    *OTHERS,
]


@pytest.fixture
def atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs a command with only the given settings."""
    monkeypatch.chdir(tmp_path)
    pools: list[Connections] = []

    def connect(settings: Settings, fence: PrimaryFence) -> Connections:
        pools.append(Connections(settings, fence))
        return pools[-1]

    # A command's process ends with its pool. Here the pool would go on, and write into the standard
    # error of later tests.
    monkeypatch.setattr("atomic_adapters.wiring.Connections", connect)
    for name in list(os.environ):
        if name.startswith(("PG", "DATABASE_", "REDIS_")):
            monkeypatch.delenv(name)

    def run(command: str, **environ: str) -> Result:
        return CliRunner().invoke(main, command.split(), env=GOOD | environ)

    yield run
    for pool in pools:
        pool.close()


def get_error(result: Result) -> str:
    """The message of an expected error."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr.removeprefix("Error: ").rstrip("\n")


def list_commands() -> Iterator[tuple[str, ...]]:
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        subcommands: dict[str, Any] = getattr(command, "commands", {})
        yield from ((name, subcommand) for subcommand in subcommands)
        if not subcommands:
            yield (name,)


def test_every_command_that_reads_settings_is_tested_here() -> None:
    existing = set(list_commands()) - WITHOUT_SETTINGS
    tested = {tuple(command.split()[:2]) for command in COMMANDS}
    assert all(name in tested or name[:1] in {each[:1] for each in tested} for name in existing)
    assert {name for name in existing if len(name) == 2} <= tested


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_setting_is_reported_by_name(
    atomic: Callable[..., Result], name: str, value: str
) -> None:
    for command in ("migrate up", "serve", "dev", "currencies"):
        message = get_error(atomic(command, **{name: value}))
        assert message.startswith(f"{name}: expected "), message
        assert len(message.splitlines()) == 1
        if name.endswith(("_URL", "_HASH", "PASSWORD", "_KEYS", "_PROXY", "SECRET_KEY")):
            assert message.endswith(", got something else"), "it may contain a password"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_reports_wrong_settings(atomic: Callable[..., Result], command: str) -> None:
    message = get_error(atomic(command, PORT="x", LOG_LEVEL="loud"))
    assert [line.split(":")[0] for line in message.splitlines()] == ["PORT", "LOG_LEVEL"]
    for name, url in (("DATABASE_URL", "postgresql://h:x/y"), ("REDIS_URL", "redis://h:x")):
        assert get_error(atomic(command, **{name: url})).startswith(f"{name}: expected a URL such")


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://127.0.0.1:1/x", "postgresql://127.0.0.1:1,127.0.0.1:2/x?sslmode=disable"),
        *("postgresql://127.0.0.1:1/x?sslmode=bogus", "postgresql:///x?host=/nowhere"),
        *("postgresql://127.0.0.1:1/x?target_session_attrs=bogus", "postgresql:///x?service=none"),
        "postgresql://127.0.0.1:1/x?connect_timeout=abc",
    ],
)
def test_unusable_database_is_reported(
    atomic: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr("atomic_adapters.postgres.connections.POOL_WAIT_SECONDS", 0.1)
    for command in ("migrate up", "migrate status", "grant", "seed", "sweep --once"):
        message = get_error(atomic(command, DATABASE_URL=url))
        assert message.startswith("The database "), message
        assert len(message.splitlines()) == 1


def test_unreachable_redis_is_reported(atomic: Callable[..., Result]) -> None:
    for url in ("redis://127.0.0.1:1", "unix:///nowhere", "rediss://127.0.0.1:1"):
        message = get_error(atomic("worker", REDIS_URL=url))
        assert message.startswith("Redis is unreachable: "), message


def test_unreachable_servers_of_a_stopped_dev_are_explained(
    atomic: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_adapters.postgres.connections.POOL_WAIT_SECONDS", 0.1)
    folder = Path(".atomic")
    folder.mkdir()
    urls = "DEV_DATABASE_URL=postgresql://127.0.0.1:1/x\nDEV_REDIS_URL=redis://127.0.0.1:1\n"
    (folder / "dev.env").write_text(urls)
    hint = " `make run` is not running here."
    assert get_error(atomic("verify", DATABASE_URL="")).endswith(hint)
    assert get_error(atomic("worker", DATABASE_URL="")).endswith(hint)
    with lock_run_folder(folder):
        assert not get_error(atomic("verify", DATABASE_URL="")).endswith(hint)


def test_unreadable_env_file_is_reported(atomic: Callable[..., Result]) -> None:
    path = Path(".env")
    path.mkdir()
    for command in ("seed", "dev"):
        assert get_error(atomic(command)) == ".env: cannot be read: Is a directory"
    path.rmdir()
    path.write_bytes(b"HOST=\xff")
    for command in ("seed", "dev"):
        assert get_error(atomic(command)) == ".env: expected UTF-8 text"


def test_unusable_folder_of_dev_is_reported(atomic: Callable[..., Result]) -> None:
    Path(".atomic").write_text("a file")
    assert get_error(atomic("dev")) == ".atomic cannot be used: File exists."


@pytest.mark.parametrize("name", ["PORT", "METRICS_PORT"])
def test_port_in_use_is_reported(atomic: Callable[..., Result], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        used = str(listener.getsockname()[1])
        message = get_error(atomic("serve", **{"PORT": str(find_free_port()), name: used}))
    assert message.startswith(f"Port {used} on 127.0.0.1 cannot be used: Address already in use.")
    assert message.endswith(f"or choose another with {name}.")
