"""Durable servers, and Atomic's processes with the settings of production."""

import json
import os
import shutil
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Final, Self

import psycopg

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.roles import OWNER_ROLE, create_roles
from atomic_adapters.postgres.migrations import Migrator
from bench.measurement import BenchError
from processes import System, environment, wait_until
from scratch_folders import create_scratch_folder

TEMPLATE: Final = "template_bench"
TESTS: Final = Path(__file__).parents[1]

UNREACHABLE_RATE_LIMIT: Final = "1000000000/900"
"""The largest quota: no request is refused, but each is counted by a round trip to Valkey. With
the limits off, this cost would be missing."""

VERIFY_SECONDS: Final = 1_800
"""Only stops a run that hangs. A ledger of four million entries takes minutes."""

STARTED_TEXTS: Final = {
    "worker": b"worker started",
    "worker 2": b"worker started",
    "settling worker": b"worker started",
    "webhook worker": b"worker started",
    "sweeper": b"sweeper started",
}


class ReferenceSystem(System):
    """Runs the reference API instead of Atomic's, under the same gunicorn settings."""

    def command(self, name: str) -> list[str]:
        settings = "python:atomic_web.server.gunicorn_conf"
        return [sys.executable, "-m", "gunicorn", "-c", settings, "bench.reference_app:app"]


@dataclass(frozen=True, slots=True)
class SystemUnderTest:
    """One Atomic with its own database. API and workers log to different files and can be stopped
    separately."""

    name: str
    url: str
    redis_url: str
    api: System
    workers: System
    reference_api: ReferenceSystem

    def start_workers(self, *names: str) -> None:
        """Start workers or sweepers and wait until they have started."""
        log = self.workers.log
        for name in names:
            offset = log.stat().st_size if log.exists() else 0

            def is_started(offset: int = offset, text: bytes = STARTED_TEXTS[name]) -> bool:
                with log.open("rb") as file:
                    file.seek(offset)
                    return text in file.read()

            self.workers.start(name)
            wait_until(is_started, 60, f"the {name} has started")

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def stop(self) -> None:
        for system in (self.workers, self.api, self.reference_api):
            _stop(system)


@dataclass
class BenchCluster:
    """One PostgreSQL and one Valkey for the whole run, and the systems that use them. Leaves no
    files or processes behind, even after an error."""

    folder: Path = field(default_factory=lambda: create_scratch_folder("atomic-bench-"))
    pgledger: Path | None = None
    """A file with the SQL of pgledger, for the figure that compares with it."""
    verify_results: dict[str, str] = field(default_factory=dict)
    """The result of `atomic verify` for each database."""
    inconsistent_databases: list[str] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _running_systems: list[SystemUnderTest] = field(default_factory=list)
    _system_count: int = 0

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.postgres = EmbeddedPostgres.start(self.folder / "postgres", durable=True)
            self._stack.callback(self.postgres.stop)
            self.valkey = EmbeddedValkey.start(self.folder / "valkey")
            self._stack.callback(self.valkey.stop)
            create_roles(self.postgres)
            self.postgres.create_database(TEMPLATE, owner=OWNER_ROLE)
            Migrator(self.postgres.url(TEMPLATE, OWNER_ROLE)).up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C would leave servers and folders behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stack.close()

    def create_system(self, name: str, **changed: str) -> SystemUnderTest:
        """Create a database of this name, and an Atomic for it that is not started yet. `changed`
        are further settings."""
        url = self.postgres.create_database(name, TEMPLATE, OWNER_ROLE)
        # Its own Valkey database too: workers of other systems must not take its wake-ups.
        redis_url = f"{self.valkey.url}?db={self._system_count % 16}"
        self._system_count += 1
        environ = build_production_environ(url, redis_url) | changed
        # Built again, since each call chooses another port.
        reference_environ = {**build_production_environ(url, redis_url), "PYTHONPATH": str(TESTS)}
        system = SystemUnderTest(
            name,
            url,
            redis_url,
            System(environ, self.folder / f"{name}-api.log", folder=self.folder),
            System(environ, self.folder / f"{name}-workers.log", folder=self.folder),
            ReferenceSystem(
                reference_environ, self.folder / f"{name}-reference.log", folder=self.folder
            ),
        )
        self._stack.callback(system.stop)
        self._running_systems.append(system)
        return system

    def close_systems(self) -> None:
        """Stop all systems and verify their ledgers."""
        while self._running_systems:
            system = self._running_systems.pop()
            system.stop()
            self._verify(system)

    def _verify(self, system: SystemUnderTest) -> None:
        result = system.api.atomic("verify", "--json", within=VERIFY_SECONDS)
        try:
            report = json.loads(result.stdout)
        except json.JSONDecodeError as error:
            raise BenchError(f"atomic verify failed: {result.stderr.strip()}") from error
        is_clean = result.returncode == 0 and report["clean"]
        counts = f"{report['payments']:,} payments, {report['entries']:,} entries"
        self.verify_results[system.name] = f"{'clean' if is_clean else 'NOT CLEAN'}, {counts}"
        if not is_clean:
            self.inconsistent_databases.append(system.name)

    def get_postgres_version(self) -> str:
        with psycopg.connect(self.postgres.url()) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return row[0] if row else "unknown"


def build_production_environ(url: str, redis_url: str) -> dict[str, str]:
    """Return the defaults of production, except for addresses, a free port and rate limits."""
    environ = environment(
        url,
        redis_url,
        ATOMIC_ENV="production",
        ALLOW_SANDBOX="true",
        RATE_LIMIT_GLOBAL=UNREACHABLE_RATE_LIMIT,
        RATE_LIMIT_SERVICE=UNREACHABLE_RATE_LIMIT,
        RATE_LIMIT_PAYMENTS=UNREACHABLE_RATE_LIMIT,
    )
    del environ["DATABASE_POOL"]
    return environ


def _stop(system: System) -> None:
    """Stop the processes by SIGTERM; kill those that do not stop, and their children."""
    with suppress(TimeoutExpired):
        system.stop()
    for process in system.running.values():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    system.running.clear()
