"""`atomic dev`: one command starts every process, restarts what dies, and stops all of it."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from dotenv import dotenv_values

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.postgres import SUPERUSER
from atomic_adapters.embedded.roles import APP_ROLE, OWNER_ROLE
from atomic_adapters.settings import DEV_PREFIX, Settings
from atomic_worker.stop_request import DEBOUNCE_SECONDS
from processes import (
    PAUSE,
    Client,
    Reply,
    as_application,
    as_role,
    find_free_port,
    is_ledger_clean,
    wait_until,
)
from scratch_folders import create_scratch_folder

GUARD_SECONDS = 180
"""How long a condition is awaited before the test fails; no promise about speed."""

ORDER = {"amount": 5_000, "currency": "USD", "source": "tok_visa", "description": "Order #1234"}


@dataclass
class Dev:
    """A folder in which `atomic dev` runs, and the process that runs there."""

    folder: Path
    port: int = field(default_factory=find_free_port)
    process: subprocess.Popen[bytes] | None = None
    descendants: list[psutil.Process] = field(default_factory=list)
    extra_environ: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        # The tests poll more often than the limits allow.
        limits = {"RATE_LIMIT_GLOBAL": "off", "RATE_LIMIT_PAYMENTS": "off"}
        one_worker = {"WEB_WORKERS": "1"}
        return {**inherited, **limits, **one_worker, "PORT": str(self.port), **self.extra_environ}

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def dev_env(self) -> dict[str, str]:
        values = dotenv_values(self.folder / ".atomic/dev.env").items()
        return {name.removeprefix(DEV_PREFIX): value for name, value in values if value}

    @property
    def client(self) -> Client:
        return Client(self.dev_env["BASE_URL"], self.dev_env["API_KEY"])

    def command(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "atomic_worker", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, *options: str) -> None:
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "atomic_worker", "dev", *options],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(lambda: "Ctrl-C stops everything" in self.log, GUARD_SECONDS, "ready")
        except AssertionError as error:
            raise AssertionError(self.log) from error

    def remember_descendants(self) -> None:
        assert self.process
        self.descendants = psutil.Process(self.process.pid).children(recursive=True)
        assert len(self.descendants) > 3, self.descendants

    def child(self, *words: str) -> psutil.Process:
        """The child whose command line has these words."""
        assert self.process
        for child in psutil.Process(self.process.pid).children():
            # A child may end during the search.
            with suppress(psutil.NoSuchProcess):
                if set(words) <= set(child.cmdline()):
                    return child
        raise AssertionError(f"no child with {words}")

    def send_signal(self, number: int) -> None:
        assert self.process
        self.remember_descendants()
        self.process.send_signal(number)

    def is_gone(self) -> bool:
        return not any(_is_alive(process) for process in self.descendants)

    def was_postgres_stopped_cleanly(self) -> bool:
        log = (self.folder / ".atomic/postgres.log").read_text(errors="replace")
        return "database system is shut down" in log

    def stop(self) -> int:
        self.send_signal(signal.SIGTERM)
        assert self.process
        status = self.process.wait(GUARD_SECONDS)
        assert self.is_gone(), [process for process in self.descendants if _is_alive(process)]
        return status

    def pay(self, source: str = "tok_visa") -> dict[str, str]:
        """Create a payment, wait until it is settled, and return it. Repeated while it is answered
        503: one API process can be ready before another has noticed that its server is back."""
        replies: list[Reply] = []

        def is_answered() -> bool:
            replies.append(self.client.request("POST", "/payments", {**ORDER, "source": source}))
            return replies[-1].status != 503

        wait_until(is_answered, GUARD_SECONDS, "the API accepts a payment")
        accepted = replies[-1]
        assert (accepted.status, accepted.data["status"]) == (202, "PENDING")
        id = accepted.data["id"]
        settled = ("SUCCESS", "FAILED")
        wait_until(
            lambda: self.client.status(id) in settled, GUARD_SECONDS, "the payment is settled"
        )
        return self.client.payment(id)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def dev() -> Iterator[Dev]:
    dev = Dev(create_scratch_folder("atomic-dev-"))
    yield dev
    if dev.process and dev.process.poll() is None:
        dev.process.terminate()
        try:
            dev.process.wait(GUARD_SECONDS)
        finally:
            dev.process.kill()
            dev.process.wait()
    shutil.rmtree(dev.folder)


def test_configured_servers_replace_the_embedded_ones(
    postgres: EmbeddedPostgres, valkey_server: EmbeddedValkey, scratch: Path
) -> None:
    superuser_url = postgres.create_database("dev_configured", owner=OWNER_ROLE)
    url = as_application(superuser_url)
    environ = {"DATABASE_URL": url, "REDIS_URL": valkey_server.url, "WEB_WORKERS": ""}
    environ["MIGRATION_DATABASE_URL"] = as_role(superuser_url, OWNER_ROLE)
    dev = Dev(scratch / "named", extra_environ=environ)
    dev.folder.mkdir()
    dev.start()
    try:
        assert dev.dev_env["DATABASE_URL"] == url
        assert dev.pay()["status"] == "SUCCESS"
        assert sorted(path.name for path in (dev.folder / ".atomic").iterdir()) == [
            "dev.env",
            "dev.lock",
            "webhook.key",
        ]
    finally:
        assert dev.stop() == 0
    assert postgres.process.poll() is None
    assert valkey_server.process.poll() is None


def test_unreachable_database_is_reported_in_one_line(scratch: Path) -> None:
    dev = Dev(scratch / "unreachable")
    dev.folder.mkdir()
    refused = dev.command(
        "dev", DATABASE_URL="postgresql://127.0.0.1:1/atomic", REDIS_URL="redis://127.0.0.1:1"
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: The database is unreachable or overloaded; ")
    assert not (dev.folder / ".atomic/dev.env").exists()


@pytest.fixture
def running(dev: Dev) -> Dev:
    """Without --reload: test_configured_servers_replace_the_embedded_ones."""
    if dev.process is None or dev.process.poll() is not None:
        dev.start("--reload")
    return dev


def test_processes_connect_as_the_application_role(running: Dev) -> None:
    urls = running.dev_env["DATABASE_URL"], running.dev_env["MIGRATION_DATABASE_URL"]
    assert [urlsplit(url).username for url in urls] == [APP_ROLE, OWNER_ROLE]
    superuser_url = urls[0].replace(f"{APP_ROLE}@", f"{SUPERUSER}@", 1)
    with psycopg.connect(superuser_url) as connection:
        users = connection.execute(
            b"SELECT DISTINCT usename::text FROM pg_stat_activity"
            b" WHERE application_name ^@ 'atomic'"
        ).fetchall()
        owners = connection.execute(
            b"SELECT DISTINCT relowner::regrole::text FROM pg_class"
            b" WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert users == [(APP_ROLE,)]
    assert owners == [(OWNER_ROLE,)]
    assert "database role" not in running.log
    assert running.command("migrate", "status").returncode == 0


def test_payment_succeeds_and_declined_payment_posts_nothing(running: Dev) -> None:
    account_id = running.dev_env["ACCOUNT_ID"]
    balance_before = running.client.balance(account_id)
    assert running.pay()["status"] == "SUCCESS"
    declined = running.pay("tok_chargeDeclined")
    assert (declined["status"], declined["failureReason"]) == ("FAILED", "card_declined")
    assert running.client.balance(account_id) == balance_before + ORDER["amount"]
    # Other commands find the running servers through .atomic/dev.env.
    assert running.command("verify").returncode == 0


def test_dev_env_can_be_sourced_and_is_readable_by_its_owner_only(running: Dev) -> None:
    path = running.folder / ".atomic/dev.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    script = f'set -eu; . {path}; echo "$BASE_URL $API_KEY $MERCHANT_ID $ACCOUNT_ID"'
    sourced = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    variables = running.dev_env
    names = ("BASE_URL", "API_KEY", "MERCHANT_ID", "ACCOUNT_ID")
    assert sourced.stdout.split() == [variables[name] for name in names]
    # The next `atomic dev` of this shell uses its own servers, and no configured ones.
    assert not dotenv_values(path).keys() & Settings.variables()
    assert variables["API_KEY"] not in running.log


def test_second_run_in_the_same_folder_is_refused(running: Dev) -> None:
    second = running.command("dev", PORT=str(find_free_port()))
    assert second.returncode == 1
    assert running.process
    assert f"already running in this folder (process {running.process.pid})" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_port_in_use_is_reported_before_anything_starts(scratch: Path) -> None:
    elsewhere = Dev(scratch / "elsewhere")
    elsewhere.folder.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = elsewhere.command("dev", PORT=str(port))
    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in refused.stderr
    assert not (elsewhere.folder / ".atomic/postgres").exists()


@pytest.mark.parametrize(
    "words",
    [("worker",), ("sweep",), ("atomic_web.wsgi:app",)],
    ids=["worker", "sweeper", "api"],
)
def test_killed_process_is_restarted(running: Dev, words: tuple[str, ...]) -> None:
    victim = running.child(*words)
    victim.kill()
    # The API starts as `atomic serve` and becomes gunicorn by exec.
    restarted_words = words if words[0] != "atomic_web.wsgi:app" else ("serve",)

    def is_restarted() -> bool:
        try:
            return running.child(*restarted_words).pid != victim.pid
        except AssertionError:
            return False

    wait_until(is_restarted, GUARD_SECONDS, "the process is restarted")
    assert "killed by SIGKILL; starting it again" in running.log
    wait_until(lambda: _is_ready(running), GUARD_SECONDS, "the API is ready")
    assert running.pay()["status"] == "SUCCESS"


@pytest.mark.parametrize("name", ["postgres", "valkey-server"])
def test_killed_server_is_restarted(running: Dev, name: str) -> None:
    assert running.process
    children = psutil.Process(running.process.pid).children()
    next(child for child in children if child.name() == name).kill()
    wait_until(lambda: _is_ready(running), GUARD_SECONDS, "every process is up")
    assert running.pay()["status"] == "SUCCESS"
    assert is_ledger_clean(running.dev_env)


def _is_ready(dev: Dev) -> bool:
    try:
        ready = dev.client.request("GET", "/health/ready")
    except OSError:
        return False
    return ready.status == 200 and ready.data["status"] == "ready"


def test_reload_restarts_when_code_changes(running: Dev) -> None:
    old_processes = [running.child(name) for name in ("gunicorn", "worker", "sweep")]
    changed_file = Path(__file__).parents[2] / "atomic_worker/__init__.py"
    changed_file.touch()
    # Await the end of each: an API that is stopping still answers health checks.
    wait_until(
        lambda: not any(map(_is_alive, old_processes)), GUARD_SECONDS, "the old processes end"
    )
    assert "changed: __init__.py; restarting" in running.log
    wait_until(lambda: _is_ready(running), GUARD_SECONDS, "every process is up")
    assert running.pay()["status"] == "SUCCESS"


def test_killed_supervisor_leaves_no_process_and_loses_no_payment(running: Dev) -> None:
    if sys.platform != "linux":
        pytest.skip("parent-death signals exist on Linux only")
    payment = running.pay()
    variables = running.dev_env
    running.send_signal(signal.SIGKILL)
    assert running.process
    running.process.wait()
    wait_until(running.is_gone, GUARD_SECONDS, "every process is gone")
    running.start()
    assert running.dev_env == variables
    assert running.client.payment(payment["id"]) == payment
    assert running.pay()["status"] == "SUCCESS"


def test_second_ctrl_c_kills_what_does_not_stop(running: Dev) -> None:
    assert running.process
    # A frozen API ignores SIGTERM, so the first Ctrl-C cannot finish before its grace time ends.
    running.child("gunicorn").suspend()
    running.send_signal(signal.SIGINT)
    # Two signals within this time count as one Ctrl-C that arrived twice.
    PAUSE.wait(DEBOUNCE_SECONDS + 0.1)
    running.process.send_signal(signal.SIGINT)
    running.process.wait(GUARD_SECONDS)
    wait_until(running.is_gone, GUARD_SECONDS, "every process is gone")
    # The first Ctrl-C alone would have stopped PostgreSQL cleanly, after everything else.
    assert not running.was_postgres_stopped_cleanly()
