"""The system under test: its servers, Atomic's processes, and a supervisor that restarts them."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_adapters.system import Sha256Hasher, SystemIdGenerator
from atomic_adapters.webhooks.secret_cipher import generate_key
from atomic_core.domain.fees import FeeTerms
from atomic_core.use_cases.api_keys import CreateApiKey, IssueApiKey
from atomic_core.use_cases.fees import SetFees
from atomic_core.use_cases.ledger import NewAccount, OpenAccount
from atomic_core.use_cases.merchants import AddMerchant
from atomic_worker.dev.child import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, STABLE_SECONDS
from fault.failpoint_flags import FLAGS_VARIABLE, FailpointFlags
from fault.oracle import Merchant
from fault.servers import START_SECONDS, TESTS, Servers
from fault.webhook_receiver import WebhookReceiver
from processes import COMMANDS, Client, System, as_application, environment, wait_until
from scratch_folders import create_scratch_folder

DEFAULT_PROCESSES: Final = ("api", "worker", "sweeper")
"""The processes that run unless a fault starts others."""

MERCHANTS: Final = 12

HOLD_MERCHANTS: Final = 2
"""Merchants that hold and refund; the last one pays fees."""

FEES: Final = FeeTerms(basis_points=290, fixed=30)

HOLD_SECONDS: Final = 4
"""Short, so that some holds expire, some of them while they are captured."""

CURRENCIES: Final = ("USD", "EUR")

UNREACHABLE_RATE_LIMIT: Final = "1000000000/900"
"""Requests are counted, and none is refused."""

LEASE_SECONDS: Final = 2
"""The default of SETTLE_LEASE_SECONDS."""

NETWORK_TIMEOUT_SECONDS: Final = 3
"""Longer than a lease, so that leases have to be renewed."""

WEBHOOK_TIMEOUT_SECONDS: Final = 1
"""Short, because some receivers hang."""

SUPERVISION_SECONDS: Final = 0.02
"""Between two checks that all supervised processes are alive."""


class SystemWithFailpoints(System):
    def command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "fault.launch", COMMANDS[name]]


@dataclass
class Cluster:
    folder: Path = field(default_factory=lambda: create_scratch_folder("atomic-fault-"))
    supervised: set[str] = field(default_factory=set)
    """The processes that are restarted when they die."""
    started_at: dict[str, float] = field(default_factory=dict)
    """When each process was last started, a time.monotonic()."""
    _log_offsets: dict[str, int] = field(default_factory=dict)
    """The size of the log when each process was last started."""
    _stack: ExitStack = field(default_factory=ExitStack)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _stop_requested: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C would leave servers and a mounted file system behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stack.close()

    def _start(self) -> None:
        # PostgreSQL, which does not run as root, must be able to traverse it.
        self.folder.chmod(0o711)
        flags_folder = self.folder / "flags"
        flags_folder.mkdir()
        self.flags = FailpointFlags(flags_folder)
        self.servers = Servers(self.folder, self.flags)
        self._stack.callback(self.servers.stop)
        self.servers.start()
        environ = self._build_environ()
        self.system = SystemWithFailpoints(environ, self.folder / "atomic.log", folder=self.folder)
        merchants = self._create_merchants()
        self.merchants, others = merchants[:MERCHANTS], merchants[MERCHANTS:]
        self.ledger_merchants, self.hold_merchants = others[:1], others[1:]
        self._stack.callback(self._stop_processes)
        self.system.start(*DEFAULT_PROCESSES)
        for name in ("worker", "sweeper"):
            self.await_log_text(f"{name} started", 0)
        self.receiver = self._stack.enter_context(WebhookReceiver.run(self.folder / "tls"))
        for number, merchant in enumerate((*self.hold_merchants, *self.merchants)):
            client = Client(self.system.base_url, merchant.api_key)
            self.receiver.add_endpoint(client, merchant.id, number)
        self.started_at.update(dict.fromkeys(DEFAULT_PROCESSES, time.monotonic()))
        self.supervised.update(DEFAULT_PROCESSES)
        supervisor = threading.Thread(target=self._supervise, name="supervisor")
        self._stack.callback(supervisor.join, 10)
        self._stack.callback(self._stop_requested.set)
        supervisor.start()

    def _build_environ(self) -> dict[str, str]:
        environ = environment(
            self.servers.url_through_proxy,
            self.servers.valkey.url,
            ATOMIC_ENV="production",
            ALLOW_SANDBOX="true",
            RATE_LIMIT_GLOBAL=UNREACHABLE_RATE_LIMIT,
            RATE_LIMIT_PAYMENTS=UNREACHABLE_RATE_LIMIT,
            HOLD_SECONDS=str(HOLD_SECONDS),
            NETWORK_TIMEOUT_SECONDS=str(NETWORK_TIMEOUT_SECONDS),
            PYTHONPATH=str(TESTS),
            WEBHOOK_ENCRYPTION_KEYS=generate_key(),
            WEBHOOK_ALLOW_PRIVATE="127.0.0.0/8",
            WEBHOOK_TIMEOUT_SECONDS=str(WEBHOOK_TIMEOUT_SECONDS),
        )
        return environ | {FLAGS_VARIABLE: str(self.flags.folder)}

    def kill(self, name: str) -> None:
        """Kill the process and its children."""
        with self._lock:
            self.system.kill(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        with self._lock, suppress(ProcessLookupError):
            os.killpg(self.system.running[name].pid, number)

    def spawn(self, name: str, **changed: str) -> None:
        """Start a process and restart it whenever it dies. `changed` changes its environment."""
        with self._lock:
            self._spawn(name, **changed)
            self.supervised.add(name)

    def stop(self, name: str, within: float) -> int:
        """Send SIGTERM, wait, and return the exit status. The process is not restarted."""
        with self._lock:
            self.supervised.discard(name)
            process = self.system.running[name]
        process.terminate()
        return process.wait(within)

    @contextmanager
    def suspend_restarts(self, *names: str) -> Iterator[None]:
        """Do not restart these processes while the block runs."""
        with self._lock:
            self.supervised.difference_update(names)
        try:
            yield
        finally:
            with self._lock:
                self.supervised.update(names)

    def _supervise(self) -> None:
        """Restart dead processes as the supervisor of `make run` does: at once, but after a
        growing pause if the process died soon after its start."""
        pauses: dict[str, float] = {}
        restart_at: dict[str, float] = {}
        while not self._stop_requested.wait(SUPERVISION_SECONDS):
            with self._lock:
                now = time.monotonic()
                for name in self.supervised:
                    if self.system.running[name].poll() is None:
                        continue
                    if name not in restart_at:
                        lifetime = now - self.started_at[name]
                        pause = pauses.get(name, 0) if lifetime < STABLE_SECONDS else 0
                        pauses[name] = min(2 * pause or FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS)
                        restart_at[name] = now + pause
                    if now >= restart_at[name]:
                        del restart_at[name]
                        self._spawn(name)

    def _spawn(self, name: str, **changed: str) -> None:
        self._log_offsets[name] = self.get_log_size()
        self.system.spawn(name, **changed)
        self.started_at[name] = time.monotonic()

    def get_log_size(self) -> int:
        return self.system.log.stat().st_size

    def await_log_text(self, text: str, offset: int) -> None:
        """Wait until the text is logged after the first `offset` bytes."""
        wait_until(lambda: self._is_logged(text, offset), START_SECONDS, f"the log has {text!r}")

    def _is_logged(self, text: str, offset: int) -> bool:
        with self.system.log.open("rb") as log:
            log.seek(offset)
            return text.encode() in log.read()

    def is_recovered(self) -> bool:
        """Whether all default processes run, have started and are ready."""
        with self._lock:
            if any(self.system.running[name].poll() is not None for name in DEFAULT_PROCESSES):
                return False
            for name in ("worker", "sweeper"):
                offset = self._log_offsets.get(name)
                if offset is not None and not self._is_logged(f"{name} started", offset):
                    return False
            self._log_offsets.clear()
        return self.is_ready()

    def is_ready(self) -> bool:
        try:
            reply = Client(self.system.base_url, "").request("GET", "/health/ready")
        except OSError:
            return False
        return reply.status == 200 and reply.data["status"] == "ready"

    def _stop_processes(self) -> None:
        with self._lock:
            self.supervised.clear()
        with suppress(subprocess.TimeoutExpired):
            self.system.stop()
        for process in self.system.running.values():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _create_merchants(self) -> Sequence[Merchant]:
        settings = Settings.from_environ({"DATABASE_URL": as_application(self.servers.url)})
        store, ids = PostgresStore(Connections(settings)), SystemIdGenerator()
        add_merchant, open_account = AddMerchant(store.begin, ids), OpenAccount(store.begin, ids)
        issue_key = IssueApiKey(CreateApiKey(store.begin, ids, Sha256Hasher()))
        merchants: list[Merchant] = []
        for number in range(MERCHANTS + 1 + HOLD_MERCHANTS):
            merchant = add_merchant(f"Merchant {number}")
            account_ids = {
                currency: open_account(NewAccount(merchant.id, currency, currency)).id
                for currency in CURRENCIES
            }
            api_key = issue_key(merchant.id, "fault suite").raw
            merchants.append(Merchant(merchant.id, api_key, account_ids))
        for currency in CURRENCIES:
            SetFees(store.begin, ids)(merchants[-1].id, currency, FEES)
        store.close()
        return merchants
