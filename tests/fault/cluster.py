"""The system that is broken: its servers, Atomic's processes, and what starts those again that
have died."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
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
from atomic_adapters.system import Sha256Hasher, SystemIds
from atomic_core.domain.fees import FeeTerms
from atomic_core.use_cases.api_keys import CreateApiKey, IssueApiKey
from atomic_core.use_cases.fees import SetFees
from atomic_core.use_cases.ledger import NewAccount, OpenAccount
from atomic_core.use_cases.merchants import AddMerchant
from atomic_worker.dev.child import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, STABLE_SECONDS
from fault.flags import VARIABLE, Flags
from fault.oracle import Shop
from fault.servers import START_SECONDS, TESTS, Servers
from processes import COMMANDS, Client, System, environment, eventually

USUAL: Final = ("api", "worker", "sweeper")
"""What runs unless a fault says otherwise."""

SHOPS: Final = 12

KEEPERS: Final = 2
"""Shops that hold and give back; the last of them pays fees."""

FEES: Final = FeeTerms(basis_points=290, fixed=30)

HOLD_SECONDS: Final = 4
"""So short that some holds expire, and some just then."""

CURRENCIES: Final = ("USD", "EUR")

OUT_OF_REACH: Final = "1000000000/900"
"""Every request is counted, and none refused for it."""

LEASE_SECONDS: Final = 2
"""SETTLE_LEASE_SECONDS by default."""

KEEPER_SECONDS: Final = 0.02
"""Between two looks at whether all are alive."""


class WatchedSystem(System):
    """Atomic's processes, with failpoints."""

    def command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "fault.launch", COMMANDS[name]]


@dataclass
class Rig:
    folder: Path = field(
        # Short: the paths of Unix sockets are.
        default_factory=lambda: Path(tempfile.mkdtemp(prefix="atomic-fault-"))
    )
    kept: set[str] = field(default_factory=set)
    """Who is started again when it dies."""
    started: dict[str, float] = field(default_factory=dict)
    """When each process was started last."""
    _awaited: dict[str, int] = field(default_factory=dict)
    """From which byte of the log on a process that was started will say so."""
    _stack: ExitStack = field(default_factory=ExitStack)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C would leave servers and a mounted folder behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._stack.close()

    def _build(self) -> None:
        # The server's own user looks into it.
        self.folder.chmod(0o711)
        flags = self.folder / "flags"
        flags.mkdir()
        self.flags = Flags(flags)
        self.servers = Servers(self.folder, self.flags)
        self._stack.callback(self.servers.stop)
        self.servers.start()
        environ = self._environ()
        self.system = WatchedSystem(environ, self.folder / "atomic.log", folder=self.folder)
        shops = self._open_shops()
        self.shops, self.keepers = shops[:SHOPS], shops[SHOPS:]
        self._stack.callback(self._end_all)
        self.system.start(*USUAL)
        for name in ("worker", "sweeper"):
            self.await_words(f"{name} started", 0)
        self.started.update(dict.fromkeys(USUAL, time.monotonic()))
        self.kept.update(USUAL)
        keeper = threading.Thread(target=self._keep, name="keeper")
        self._stack.callback(keeper.join, 10)
        self._stack.callback(self._over.set)
        keeper.start()

    def _environ(self) -> dict[str, str]:
        environ = environment(
            self.servers.url_through_proxy,
            self.servers.valkey.url,
            ATOMIC_ENV="production",
            RATE_LIMIT_GLOBAL=OUT_OF_REACH,
            RATE_LIMIT_PAYMENTS=OUT_OF_REACH,
            HOLD_SECONDS=str(HOLD_SECONDS),
            PYTHONPATH=str(TESTS),
        )
        return environ | {VARIABLE: str(self.flags.folder)}

    def kill(self, name: str) -> None:
        """With all its children."""
        with self._lock:
            self.system.kill(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        with self._lock, suppress(ProcessLookupError):
            os.killpg(self.system.running[name].pid, number)

    def spawn(self, name: str, **changed: str) -> None:
        """Start a process, and start it again if it dies."""
        with self._lock:
            self._spawn(name, **changed)
            self.kept.add(name)

    def stop(self, name: str, within: float) -> int:
        """SIGTERM; the exit status. It is not started again."""
        with self._lock:
            self.kept.discard(name)
            process = self.system.running[name]
        process.terminate()
        return process.wait(within)

    @contextmanager
    def unkept(self, *names: str) -> Iterator[None]:
        """Meanwhile nobody starts these again."""
        with self._lock:
            self.kept.difference_update(names)
        try:
            yield
        finally:
            with self._lock:
                self.kept.update(names)

    def _keep(self) -> None:
        """As the supervisor of `make run` does it: at once, but after a pause if it died young,
        a longer one each time."""
        pauses: dict[str, float] = {}
        due: dict[str, float] = {}
        while not self._over.wait(KEEPER_SECONDS):
            with self._lock:
                now = time.monotonic()
                for name in self.kept:
                    if self.system.running[name].poll() is None:
                        continue
                    if name not in due:
                        lived = now - self.started[name]
                        pause = pauses.get(name, 0) if lived < STABLE_SECONDS else 0
                        pauses[name] = min(2 * pause or FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS)
                        due[name] = now + pause
                    if now >= due[name]:
                        del due[name]
                        self._spawn(name)

    def _spawn(self, name: str, **changed: str) -> None:
        self._awaited[name] = self.words_so_far()
        self.system.spawn(name, **changed)
        self.started[name] = time.monotonic()

    def words_so_far(self) -> int:
        return self.system.log.stat().st_size

    def await_words(self, words: str, after: int) -> None:
        """Until this was logged after that many bytes."""
        eventually(lambda: self._was_logged(words, after), START_SECONDS, words)

    def _was_logged(self, words: str, after: int) -> bool:
        with self.system.log.open("rb") as log:
            log.seek(after)
            return words.encode() in log.read()

    def is_itself_again(self) -> bool:
        """Whether all that usually runs does, and can work."""
        with self._lock:
            if any(self.system.running[name].poll() is not None for name in USUAL):
                return False
            for name in ("worker", "sweeper"):
                since = self._awaited.get(name)
                if since is not None and not self._was_logged(f"{name} started", since):
                    return False
            self._awaited.clear()
        return self.is_healthy()

    def is_healthy(self) -> bool:
        try:
            ready = Client(self.system.base_url, "").ask("GET", "/health/ready")
        except OSError:
            return False
        return ready.status == 200 and ready.data["status"] == "ready"

    def _end_all(self) -> None:
        with self._lock:
            self.kept.clear()
        with suppress(subprocess.TimeoutExpired):
            self.system.stop()
        for process in self.system.running.values():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _open_shops(self) -> Sequence[Shop]:
        settings = Settings.from_environ({"DATABASE_URL": self.servers.url})
        store, ids = PostgresStore(Connections(settings)), SystemIds()
        add_merchant, open_account = AddMerchant(store.begin, ids), OpenAccount(store.begin, ids)
        issue_key = IssueApiKey(CreateApiKey(store.begin, ids, Sha256Hasher()))
        shops: list[Shop] = []
        for number in range(SHOPS + KEEPERS):
            merchant = add_merchant(f"Shop {number}")
            orders = [NewAccount(merchant.id, currency, currency) for currency in CURRENCIES]
            accounts = {order.currency: open_account(order).id for order in orders}
            shops.append(Shop(merchant.id, issue_key(merchant.id, "fault suite").raw, accounts))
        for currency in CURRENCIES:
            SetFees(store.begin)(shops[-1].merchant_id, currency, FEES)
        store.close()
        return shops
