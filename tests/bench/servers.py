"""The ground that every figure stands on: durable servers, and Atomic as production runs it."""

import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Final, Self

import psycopg

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.postgres.migrations import Migrator
from bench.measurement import BenchError
from processes import System, environment, eventually

TEMPLATE: Final = "template_bench"
TESTS: Final = Path(__file__).parents[1]

OUT_OF_REACH: Final = "1000000000/900"
"""The largest quota there is: nobody meets the limits, but every request is counted, in a round
trip to Valkey. Switched off, they would cost nothing."""

VERIFY_SECONDS: Final = 1_800
"""For four million entries; a small ledger takes one."""

STARTED: Final = {
    "worker": b"worker started",
    "worker 2": b"worker started",
    "sweeper": b"sweeper started",
}


class BareSystem(System):
    """The bare Flask views in the place of Atomic's API, under the same gunicorn settings."""

    def command(self, name: str) -> list[str]:
        settings = "python:atomic_web.server.gunicorn_conf"
        return [sys.executable, "-m", "gunicorn", "-c", settings, "bench.reference_app:app"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One Atomic with a database of its own. API and settlers log to different files, and each
    can be stopped without the other."""

    name: str
    url: str
    redis_url: str
    api: System
    settlers: System
    bare: BareSystem

    def start_settlers(self, *names: str) -> None:
        """Start workers or sweepers and return once they wait for work."""
        log = self.settlers.log
        for name in names:
            begun = log.stat().st_size if log.exists() else 0

            def is_up(begun: int = begun, words: bytes = STARTED[name]) -> bool:
                with log.open("rb") as written:
                    written.seek(begun)
                    return words in written.read()

            self.settlers.start(name)
            eventually(is_up, 20, f"the {name} is up")

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def stop(self) -> None:
        for system in (self.settlers, self.api, self.bare):
            _end(system)


@dataclass
class Ground:
    """One PostgreSQL and one Valkey for the whole run, and everything that runs on them. Leaves
    nothing behind, however the block ends."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="atomic-bench-")))
    verified: dict[str, str] = field(default_factory=dict)
    """What `atomic verify` said of each database."""
    unclean: list[str] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _open: list[Subject] = field(default_factory=list)
    _subjects: int = 0

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.postgres = EmbeddedPostgres.start(self.folder / "postgres", durable=True)
            self._stack.callback(self.postgres.stop)
            self.valkey = EmbeddedValkey.start(self.folder / "valkey")
            self._stack.callback(self.valkey.stop)
            Migrator(self.postgres.create_database(TEMPLATE)).up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C would leave servers and folders behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stack.close()

    def subject(self, name: str) -> Subject:
        """A database of this name, and an Atomic for it that is not started yet."""
        url = self.postgres.create_database(name, template=TEMPLATE)
        # A database of its own in Valkey too: a bell must not be answered by another's worker.
        redis_url = f"{self.valkey.url}?db={self._subjects % 16}"
        self._subjects += 1
        environ = production(url, redis_url)
        bare = {**production(url, redis_url), "PYTHONPATH": str(TESTS)}
        subject = Subject(
            name,
            url,
            redis_url,
            System(environ, self.folder / f"{name}-api.log", folder=self.folder),
            System(environ, self.folder / f"{name}-settlers.log", folder=self.folder),
            BareSystem(bare, self.folder / f"{name}-bare.log", folder=self.folder),
        )
        self._stack.callback(subject.stop)
        self._open.append(subject)
        return subject

    def close_subjects(self) -> None:
        """Stop what runs, and have the books checked."""
        while self._open:
            subject = self._open.pop()
            subject.stop()
            self._verify(subject)

    def _verify(self, subject: Subject) -> None:
        told = subject.api.atomic("verify", "--json", within=VERIFY_SECONDS)
        try:
            report = json.loads(told.stdout)
        except json.JSONDecodeError as error:
            raise BenchError(f"atomic verify said: {told.stderr.strip()}") from error
        clean = told.returncode == 0 and report["clean"]
        counts = f"{report['payments']:,} payments, {report['entries']:,} entries"
        self.verified[subject.name] = f"{'clean' if clean else 'NOT CLEAN'}, {counts}"
        if not clean:
            self.unclean.append(subject.name)

    def version(self) -> str:
        with psycopg.connect(self.postgres.url()) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return row[0] if row else "unknown"


def production(url: str, redis_url: str) -> dict[str, str]:
    """The defaults of production, apart from where things are and the height of the limits."""
    environ = environment(
        url,
        redis_url,
        ATOMIC_ENV="production",
        RATE_LIMIT_GLOBAL=OUT_OF_REACH,
        RATE_LIMIT_PAYMENTS=OUT_OF_REACH,
    )
    del environ["DATABASE_POOL"]
    return environ


def _end(system: System) -> None:
    """Ask the processes to stop; kill what does not, or has left children behind."""
    with suppress(TimeoutExpired):
        system.stop()
    for process in system.running.values():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    system.running.clear()
