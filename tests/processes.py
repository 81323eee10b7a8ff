"""A real system for tests: API, worker and sweeper as processes, and an HTTP client."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg

from atomic_adapters.embedded.postgres import SUPERUSER
from atomic_adapters.embedded.roles import APP_ROLE
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_worker.commands.seed import seed
from support import build_application

COMMANDS = {
    "api": "serve",
    "worker": "worker",
    "worker 2": "worker",
    "settling worker": "worker --queues settle",
    "webhook worker": "worker --queues webhooks",
    "sweeper": "sweep",
    "sweeper 2": "sweep",
}
GUNICORN = ("-m", "gunicorn", "-c", "python:atomic_web.server.gunicorn_conf", "atomic_web.wsgi:app")

PAUSE = threading.Event()

LEASE_SECONDS = 60
"""Longer than any test waits, so that no claim of a killed worker is recovered by its lease."""


def as_role(url: str, role: str) -> str:
    """The URL of a superuser on an embedded server, as one of another role."""
    return url.replace(f"://{SUPERUSER}@", f"://{role}@", 1)


def as_application(url: str) -> str:
    return as_role(url, APP_ROLE)


def find_free_port() -> int:
    """A free port below the ephemeral range, which the kernel gives to other connections."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def wait_until(condition: Callable[[], object], within: float, description: str) -> float:
    """Wait until the condition holds; return the seconds it took. Fails after `within` seconds,
    which only guard against a test that hangs."""
    started = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - started
        assert time.monotonic() - started < within, f"not within {within} s: {description}"
        PAUSE.wait(0.01)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    raw: bytes
    seconds: float

    @property
    def data(self) -> Any:
        return json.loads(self.raw)["data"]

    @property
    def code(self) -> str:
        return json.loads(self.raw)["error"]["code"]


@dataclass
class Client:
    """An API client that opens a connection per request."""

    base_url: str
    key: str

    def request(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        started = time.monotonic()
        host = urlsplit(self.base_url).netloc
        connection = http.client.HTTPConnection(host, timeout=60)
        all_headers = {"Authorization": f"Bearer {self.key}"}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        content: bytes | str | None = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body)
            all_headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, f"/api/v1{path}", content, all_headers)
            reply = connection.getresponse()
            raw = reply.read()
        finally:
            connection.close()
        return Reply(reply.status, dict(reply.headers), raw, time.monotonic() - started)

    def pay(self, amount: int = 100, source: str = "tok_visa", **headers: str) -> Reply:
        order = {"amount": amount, "currency": "USD", "source": source}
        return self.request("POST", "/payments", order, **headers)

    def status(self, payment_id: str) -> str:
        return self.payment(payment_id)["status"]

    def payment(self, payment_id: str) -> Any:
        return self.request("GET", f"/payments/{payment_id}").data["payment"]

    def is_settled(self, payment_id: str) -> bool:
        return self.status(payment_id) in ("SUCCESS", "FAILED")

    def balance(self, account_id: str) -> int:
        return self.request("GET", f"/accounts/{account_id}").data["balance"]


@contextmanager
def open_application(environ: Mapping[str, str]) -> Iterator[Application]:
    """The application of a system, in this process: a command takes a second to start."""
    with closing(Connections(Settings.from_environ(environ))) as connections:
        yield build_application(PostgresStore(connections).begin)


def is_ledger_clean(environ: Mapping[str, str]) -> bool:
    """What `atomic verify` prints."""
    with open_application(environ) as application:
        return application.ledger.verify().is_clean


@dataclass
class System:
    """The processes of one system, each in a session of its own, with one log file."""

    environ: dict[str, str]
    log: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    folder: Path | None = None
    """The working directory, from which .env is read; by default the current one."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.environ['PORT']}"

    @property
    def superuser_url(self) -> str:
        """For what the application's role may not do."""
        return self.environ["DATABASE_URL"].replace(f"://{APP_ROLE}@", f"://{SUPERUSER}@", 1)

    def atomic(self, *arguments: str, within: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "atomic_worker", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=within,
            cwd=self.folder,
        )

    def command(self, name: str) -> list[str]:
        """`atomic serve` becomes GUNICORN by exec, after half a second: tests/e2e/test_dev.py runs
        it as a user does."""
        if name == "api":
            return [sys.executable, *GUNICORN]
        return [sys.executable, "-m", "atomic_worker", *COMMANDS[name].split()]

    def start(self, *names: str) -> None:
        for name in names:
            self.spawn(name)
        if "api" in names:
            self.wait_for_api()

    def wait_for_api(self) -> None:
        client, api = Client(self.base_url, ""), self.running["api"]
        try:
            wait_until(lambda: _is_live(client) or api.poll() is not None, 60, "the API is live")
            assert api.poll() is None, f"the API ended with status {api.returncode}"
        except AssertionError as error:
            raise AssertionError(f"{error}; its log ends:\n{self.read_log()[-2_000:]}") from None

    def spawn(self, name: str, **changed: str) -> None:
        """Start a process with these changes to its environment, without waiting for it."""
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(name),
                env={**self.environ, **changed},
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Signal the whole session; after SIGKILL, wait until the process has ended."""
        process = self.running[name]
        os.killpg(process.pid, number)
        if number == signal.SIGKILL:
            process.wait()

    def stop(self, *names: str) -> None:
        """Stop these processes, or all, by SIGTERM, and wait until they have ended."""
        processes = [self.running[name] for name in names or self.running]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            process.wait(60)

    def seed(self) -> dict[str, str]:
        """What `atomic seed --json` prints, from this process."""
        with open_application(self.environ) as application:
            result = seed(application, Settings.from_environ(self.environ))
        assert result.api_key, "seeded before"
        return {
            "merchantId": str(result.merchant_id),
            "accountId": str(result.account_id),
            "currency": result.currency,
            "apiKey": result.api_key,
        }

    def is_ledger_clean(self) -> bool:
        return is_ledger_clean(self.environ)

    def query_number(self, query: LiteralString) -> Any:
        """The number that a database query returns."""
        with psycopg.connect(self.environ["DATABASE_URL"]) as connection:
            row = connection.execute(query).fetchone()
        assert row
        return row[0]

    def read_log(self) -> str:
        return self.log.read_text(errors="replace")

    def read_log_lines(self) -> list[str]:
        """Not by `splitlines`, which also splits at characters within a line, such as U+0085."""
        return self.read_log().removesuffix("\n").split("\n")


def _is_live(client: Client) -> bool:
    try:
        return client.request("GET", "/health/live").status == 200
    except OSError:
        return False


def environment(database_url: str, redis_url: str, **changed: str) -> dict[str, str]:
    """The environment of a test system: rate limits off, no inherited settings of Atomic. It
    connects as the application's role."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ours = {
        "ATOMIC_ENV": "test",
        "DATABASE_URL": as_application(database_url),
        "REDIS_URL": redis_url,
        "PORT": str(find_free_port()),
        "LOG_FORMAT": "json",
        "RATE_LIMIT_GLOBAL": "off",
        "RATE_LIMIT_SERVICE": "off",
        "RATE_LIMIT_PAYMENTS": "off",
        "RATE_LIMIT_REGISTER": "off",
        "RATE_LIMIT_LOGIN_ADDRESS": "off",
        "RATE_LIMIT_LOGIN_EMAIL": "off",
        "RATE_LIMIT_PASSWORD": "off",
        "DATABASE_POOL": "8",
        # In production they are on, and tests run side by side.
        "METRICS_PORT": "off",
        "SETTLEMENT_METRICS_PORT": "off",
        "WORKER_METRICS_PORT": "off",
        "SWEEPER_METRICS_PORT": "off",
    }
    return {**inherited, **ours, **changed}
