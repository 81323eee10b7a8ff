"""The real thing for end-to-end tests: API, worker and sweeper as processes, and a client."""

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg

COMMANDS = {
    "api": "serve",
    "worker": "worker",
    "worker 2": "worker",
    "sweeper": "sweep",
    "sweeper 2": "sweep",
}
PAUSE = threading.Event()

LEASE_SECONDS = 60
"""Longer than any test waits: what a killed settler had in hand is not recovered by its lease."""

RECOVERED_SECONDS = 1 + 1
"""Within which it is: the promise, and the same again for a busy machine."""


def free_port() -> int:
    """A free port below those that the kernel hands out by itself."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def eventually(holds: Callable[[], object], within: float, what: str) -> float:
    """Wait until it holds; return the seconds it took. Fails after `within` seconds."""
    begun = time.monotonic()
    while True:
        if holds():
            return time.monotonic() - begun
        assert time.monotonic() - begun < within, f"not within {within} s: {what}"
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
    """One caller: a connection per request, as a careless client would."""

    base_url: str
    key: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        begun = time.monotonic()
        host = urlsplit(self.base_url).netloc
        connection = http.client.HTTPConnection(host, timeout=20)
        sent = {"Authorization": f"Bearer {self.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content: bytes | str | None = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, f"/api/v1{path}", content, sent)
            reply = connection.getresponse()
            raw = reply.read()
        finally:
            connection.close()
        return Reply(reply.status, dict(reply.headers), raw, time.monotonic() - begun)

    def pay(self, amount: int = 100, source: str = "tok_visa", **headers: str) -> Reply:
        order = {"amount": amount, "currency": "USD", "source": source}
        return self.ask("POST", "/payments", order, **headers)

    def status(self, payment_id: str) -> str:
        return self.payment(payment_id)["status"]

    def payment(self, payment_id: str) -> Any:
        return self.ask("GET", f"/payments/{payment_id}").data["payment"]

    def is_settled(self, payment_id: str) -> bool:
        return self.status(payment_id) in ("SUCCESS", "FAILED")

    def balance(self, account_id: str) -> int:
        return self.ask("GET", f"/accounts/{account_id}").data["balance"]


@dataclass
class System:
    """Processes of one Atomic, each in a session of its own, their words in one file."""

    environ: dict[str, str]
    log: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    folder: Path | None = None
    """Where to run; else here, where a .env would be read."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.environ['PORT']}"

    def atomic(self, *arguments: str, within: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "atomic_worker", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=within,
            cwd=self.folder,
        )

    def command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "atomic_worker", COMMANDS[name]]

    def start(self, *names: str) -> None:
        for name in names:
            self.spawn(name)
        if "api" in names:
            client = Client(self.base_url, "")
            eventually(lambda: _answers(client), 60, "the API answers")

    def spawn(self, name: str, **changed: str) -> None:
        """Start a process, with this changed in its environment, and do not wait for it."""
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
        """Signal the whole session; after SIGKILL, wait until it is gone."""
        process = self.running[name]
        os.killpg(process.pid, number)
        if number == signal.SIGKILL:
            process.wait()

    def stop(self, *names: str) -> None:
        """Ask these to stop, or all, and wait until they have."""
        processes = [self.running[name] for name in names or self.running]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            process.wait(60)

    def books_are_clean(self) -> bool:
        verified = self.atomic("verify", "--json")
        return verified.returncode == 0 and json.loads(verified.stdout)["clean"]

    def number(self, question: LiteralString) -> Any:
        """The one number that a query of the database gives."""
        with psycopg.connect(self.environ["DATABASE_URL"]) as connection:
            row = connection.execute(question).fetchone()
        assert row
        return row[0]

    def words(self) -> str:
        return self.log.read_text(errors="replace")


def _answers(client: Client) -> bool:
    try:
        return client.ask("GET", "/health/live").status == 200
    except OSError:
        return False


def environment(database_url: str, redis_url: str, **changed: str) -> dict[str, str]:
    """The environment of a test system: limits off, nothing inherited that configures Atomic."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ours = {
        "ATOMIC_ENV": "test",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": str(free_port()),
        "LOG_FORMAT": "json",
        "RATE_LIMIT_GLOBAL": "off",
        "RATE_LIMIT_PAYMENTS": "off",
        "RATE_LIMIT_REGISTER": "off",
        "RATE_LIMIT_LOGIN_ADDRESS": "off",
        "RATE_LIMIT_LOGIN_EMAIL": "off",
        "DATABASE_POOL": "8",
    }
    return {**inherited, **ours, **changed}
