"""PostgreSQL, Valkey, and the proxy between PostgreSQL and Atomic."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey
from atomic_adapters.embedded.roles import OWNER_ROLE, create_roles
from atomic_adapters.postgres.migrations import Migrator
from fault.failpoint_flags import FLAGS_VARIABLE, FailpointFlags
from fault.full_disk import TmpfsDisk
from processes import PAUSE, wait_until

TESTS: Final = Path(__file__).parents[1]

START_SECONDS: Final = 60
"""Only stops a run that hangs."""


@dataclass
class Servers:
    """Start and stop them in the main thread only: the servers end with the thread that started
    them."""

    folder: Path
    flags: FailpointFlags
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.disk = TmpfsDisk.create(self.folder / "disk")
        self._stack.callback(self.disk.unmount)
        self._stack.callback(self._stop_servers)
        self.start_postgres()
        self.start_valkey()
        create_roles(self.postgres)
        self.url = self.postgres.create_database("atomic", owner=OWNER_ROLE)
        Migrator(self.postgres.url("atomic", OWNER_ROLE)).up()
        self._stack.callback(self._stop_proxy, self._start_proxy())

    def stop(self) -> None:
        self._stack.close()

    @property
    def url_through_proxy(self) -> str:
        return f"postgresql://postgres@/atomic?host={self.folder}/proxy&port=5432"

    def start_postgres(self) -> None:
        """After a crash, retries until the last process of the old server has ended."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.postgres = EmbeddedPostgres.start(
                    self.disk.folder / "postgres", log=self.folder / "postgres.log"
                )
            except EmbeddedServerError:
                if time.monotonic() > until:
                    raise
                PAUSE.wait(0.05)
            else:
                return

    def stop_postgres(self, number: signal.Signals) -> None:
        """Stop PostgreSQL with SIGKILL, SIGQUIT (immediate shutdown) or SIGINT (fast shutdown)."""
        self.postgres.process.send_signal(number)
        self.postgres.process.wait(START_SECONDS)
        self.postgres.stop()

    def start_valkey(self) -> None:
        self.valkey = EmbeddedValkey.start(self.folder / "valkey")

    def kill_valkey(self) -> None:
        self.valkey.process.kill()
        self.valkey.process.wait()
        self.valkey.stop()

    def _stop_servers(self) -> None:
        """Stop the current servers; faults may have replaced the first ones."""
        for name in ("valkey", "postgres"):
            if server := getattr(self, name, None):
                server.stop()

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to PostgreSQL directly, past the proxy."""
        return psycopg.connect(self.url, autocommit=True, application_name="fault suite")

    def _start_proxy(self) -> subprocess.Popen[bytes]:
        sockets = self.folder / "proxy"
        sockets.mkdir()
        listen = sockets / ".s.PGSQL.5432"
        target = self.postgres.socket_directory / ".s.PGSQL.5432"
        with (self.folder / "proxy.log").open("ab") as log:
            proxy = subprocess.Popen(
                [sys.executable, "-m", "fault.proxy", str(listen), str(target)],
                env={
                    **os.environ,
                    "PYTHONPATH": str(TESTS),
                    FLAGS_VARIABLE: str(self.flags.folder),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(listen.exists, START_SECONDS, "the proxy listens")
        return proxy

    def _stop_proxy(self, proxy: subprocess.Popen[bytes]) -> None:
        proxy.kill()
        proxy.wait()
