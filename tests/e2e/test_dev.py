"""`atomic dev`, as a developer meets it: one command, everything runs, everything stops."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from dotenv import dotenv_values

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from processes import Client, eventually, free_port

STOP_SECONDS = 10
START_SECONDS = 40
ORDER = {"amount": 5_000, "currency": "USD", "source": "tok_visa", "description": "Order #1234"}


@dataclass
class Dev:
    """One folder in which `atomic dev` is run, again and again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    family: list[psutil.Process] = field(default_factory=list)
    environ_more: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        ours = {"PORT": str(self.port), "RATE_LIMIT_PAYMENTS": "off"}
        return {**inherited, **ours, **self.environ_more}

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def told(self) -> dict[str, str]:
        return {k: v for k, v in dotenv_values(self.folder / ".atomic/dev.env").items() if v}

    @property
    def client(self) -> Client:
        return Client(self.told["BASE_URL"], self.told["API_KEY"])

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
            eventually(lambda: "Ctrl-C stops everything" in self.log, START_SECONDS, "ready")
        except AssertionError as error:
            raise AssertionError(self.log) from error

    def remember_family(self) -> None:
        assert self.process
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        assert {"postgres", "valkey-server"} <= {each.name() for each in self.family}

    def child(self, *words: str) -> psutil.Process:
        """The child whose command line has these words."""
        assert self.process
        for each in psutil.Process(self.process.pid).children():
            # One may end while we look.
            with suppress(psutil.NoSuchProcess):
                if set(words) <= set(each.cmdline()):
                    return each
        raise AssertionError(f"no child with {words}")

    def send(self, number: int) -> None:
        assert self.process
        self.remember_family()
        self.process.send_signal(number)

    def nothing_is_left(self) -> bool:
        return not any(_lives(each) for each in self.family)

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        assert self.process
        status = self.process.wait(STOP_SECONDS)
        assert self.nothing_is_left(), [each for each in self.family if _lives(each)]
        return status

    def pay(self, source: str = "tok_visa") -> dict[str, str]:
        """Pay and wait until it is settled."""
        accepted = self.client.ask("POST", "/payments", {**ORDER, "source": source})
        assert (accepted.status, accepted.data["status"]) == (202, "PENDING")
        id = accepted.data["id"]
        settled = ("SUCCESS", "FAILED")
        eventually(lambda: self.client.status(id) in settled, 10, "the payment is settled")
        return self.client.payment(id)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def dev() -> Iterator[Dev]:
    dev = Dev(Path(tempfile.mkdtemp(prefix="atomic-dev-")))
    yield dev
    if dev.process and dev.process.poll() is None:
        dev.process.terminate()
        try:
            dev.process.wait(2 * STOP_SECONDS)
        finally:
            dev.process.kill()
            dev.process.wait()
    shutil.rmtree(dev.folder)


def test_named_servers_are_used_instead_of_embedded_ones(
    postgres: EmbeddedPostgres, valkey_server: EmbeddedValkey, scratch: Path
) -> None:
    url = postgres.create_database("of_a_developer")
    dev = Dev(scratch / "named", environ_more={"DATABASE_URL": url, "REDIS_URL": valkey_server.url})
    dev.folder.mkdir()
    dev.start()
    try:
        assert dev.told["DATABASE_URL"] == url
        assert dev.pay()["status"] == "SUCCESS"
        assert sorted(path.name for path in (dev.folder / ".atomic").iterdir()) == [
            "dev.env",
            "dev.lock",
        ]
    finally:
        assert dev.process
        dev.process.terminate()
        assert dev.process.wait(STOP_SECONDS) == 0
    assert postgres.process.poll() is None
    assert valkey_server.process.poll() is None


def test_a_database_that_cannot_be_reached_is_one_line(scratch: Path) -> None:
    dev = Dev(scratch / "unreachable")
    dev.folder.mkdir()
    refused = dev.command(
        "dev", DATABASE_URL="postgresql://127.0.0.1:1/atomic", REDIS_URL="redis://127.0.0.1:1"
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: The database cannot be reached")
    assert not (dev.folder / ".atomic/dev.env").exists()


@pytest.fixture
def running(dev: Dev) -> Dev:
    if dev.process is None or dev.process.poll() is not None:
        dev.start()
    return dev


def test_a_payment_succeeds_and_a_declined_one_moves_nothing(running: Dev) -> None:
    account_id = running.told["ACCOUNT_ID"]
    before = running.client.balance(account_id)
    assert running.pay()["status"] == "SUCCESS"
    declined = running.pay("tok_chargeDeclined")
    assert (declined["status"], declined["failureReason"]) == ("FAILED", "card_declined")
    assert running.client.balance(account_id) == before + ORDER["amount"]
    # The other commands find the running servers by themselves.
    assert running.command("verify").returncode == 0


def test_dev_env_can_be_sourced_and_is_private(running: Dev) -> None:
    path = running.folder / ".atomic/dev.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    script = f'set -eu; . {path}; echo "$BASE_URL $API_KEY $MERCHANT_ID $ACCOUNT_ID $REDIS_URL"'
    sourced = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    told = running.told
    names = ("BASE_URL", "API_KEY", "MERCHANT_ID", "ACCOUNT_ID", "REDIS_URL")
    assert sourced.stdout.split() == [told[name] for name in names]
    assert told["API_KEY"] not in running.log


def test_a_second_run_in_the_folder_is_refused(running: Dev) -> None:
    second = running.command("dev", PORT=str(free_port()))
    assert second.returncode == 1
    assert running.process
    assert f"already running in this folder (process {running.process.pid})" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_a_port_in_use_is_said_before_anything_starts(scratch: Path) -> None:
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
def test_a_killed_process_is_started_again(running: Dev, words: tuple[str, ...]) -> None:
    victim = running.child(*words)
    victim.kill()
    # Also the API starts as `atomic serve` before it becomes gunicorn.
    again = words if words[0] != "atomic_web.wsgi:app" else ("serve",)

    def is_back() -> bool:
        try:
            return running.child(*again).pid != victim.pid
        except AssertionError:
            return False

    eventually(is_back, 5, "it is started again")
    assert "killed by SIGKILL; starting it again" in running.log
    eventually(lambda: _healthy(running), 10, "the API answers")
    assert running.pay()["status"] == "SUCCESS"


@pytest.mark.parametrize("name", ["postgres", "valkey-server"])
def test_a_killed_server_is_started_again(running: Dev, name: str) -> None:
    assert running.process
    children = psutil.Process(running.process.pid).children()
    next(each for each in children if each.name() == name).kill()
    eventually(lambda: _healthy(running), 10, "everything is up")
    assert running.pay()["status"] == "SUCCESS"
    assert running.command("verify").returncode == 0


def _healthy(dev: Dev) -> bool:
    try:
        ready = dev.client.ask("GET", "/health/ready")
    except OSError:
        return False
    return ready.status == 200 and ready.data["status"] == "ready"


def test_stopped_and_started_again_it_knows_its_payments_and_its_key(running: Dev) -> None:
    payment = running.pay()
    told = running.told
    assert running.stop() == 0
    running.start()
    assert running.told == told
    assert running.client.payment(payment["id"]) == payment


def test_a_killed_supervisor_leaves_nothing(running: Dev) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells children of their parent's death")
    running.send(signal.SIGKILL)
    assert running.process
    running.process.wait()
    eventually(running.nothing_is_left, STOP_SECONDS, "every process is gone")
    running.start()
    assert running.pay()["status"] == "SUCCESS"


def test_the_second_ctrl_c_ends_it_at_once(running: Dev) -> None:
    assert running.process
    # A frozen worker would otherwise be waited for.
    running.child("worker").suspend()
    running.send(signal.SIGINT)
    # The API may take all of its grace.
    eventually(lambda: "Shutting down: Master" in running.log, 2 * STOP_SECONDS, "it stops")
    # Two within half a second are one wish that arrived twice.
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(0.6)
    running.process.send_signal(signal.SIGINT)
    running.process.wait(2)
    eventually(running.nothing_is_left, 2, "every process is gone")


def test_reload_restarts_on_a_change(dev: Dev) -> None:
    if dev.process and dev.process.poll() is None:
        dev.stop()
    dev.start("--reload")
    before = [dev.child(name) for name in ("gunicorn", "worker", "sweep")]
    changed = Path(__file__).parents[2] / "atomic_worker/__init__.py"
    changed.touch()
    # All of them: an API that is about to end still calls itself healthy.
    eventually(lambda: not any(map(_lives, before)), 10, "what ran is ended")
    assert "changed: __init__.py; restarting" in dev.log
    eventually(lambda: _healthy(dev), 10, "everything is up")
    assert dev.pay()["status"] == "SUCCESS"
    assert dev.stop() == 0
