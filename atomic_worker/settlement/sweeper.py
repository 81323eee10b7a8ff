"""The sweeper: does what no bell announced. Needs PostgreSQL only."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

import structlog

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError
from atomic_worker.settlement.batch_log import StoppedBetweenBatches
from atomic_worker.settlement.concurrent_settlement import settle_concurrently
from atomic_worker.settlement.garbage_collection import tune_garbage_collection
from atomic_worker.stop_request import StopRequest

PURGE_SECONDS: Final = 60.0
"""Between two purges of expired idempotency keys. They are without effect already; this only
bounds how many there are."""

MAX_PAUSE_SECONDS: Final = 1.0
"""Between two tries while PostgreSQL is away. Short, so that payments move within two seconds
of its return; a refused connection costs next to nothing."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Sweeper:
    """Settles what is overdue, purges what has expired, checks the books.

    Any number may run at once, beside any number of workers.
    """

    application: Application
    settings: Settings
    stop: StopRequest
    _failures: int = 0
    _purged_at: float = float("-inf")
    _checked_at: float = field(default_factory=time.monotonic)
    _check: threading.Thread | None = None

    def run(self) -> None:
        """Sweep until asked to stop, between two batches."""
        tune_garbage_collection()
        _log.info("sweeper started", interval_s=self.settings.sweep_interval.total_seconds())
        while not self.stop.made:
            self.stop.wait(self._round())
        _log.info("sweeper stopped")

    def sweep(self) -> int:
        """Settle what has been due for longer than a worker would have left it; return how many
        payments were claimed."""
        expired = self.application.settlement.expire_holds()
        if expired:
            _log.info("holds expired", count=expired)
        # Half of the pause: what falls due just after one round has begun is taken by the next,
        # or a payment without a bell would wait for two.
        overdue_by = self.settings.sweep_interval / 2
        return settle_concurrently(self.application, "sweeper", lambda: self.stop.made, overdue_by)

    def purge(self) -> int:
        """Delete expired idempotency keys, and return how many; expired sessions too."""
        purged = self.application.maintenance.purge_idempotency_keys()
        if purged:
            _log.info("idempotency keys purged", count=purged)
        sessions = self.application.maintenance.purge_sessions()
        if sessions:
            _log.info("sessions purged", count=sessions)
        return purged

    def _round(self) -> float:
        """One round; returns the seconds until the next."""
        interval = self.settings.sweep_interval.total_seconds()
        try:
            self.sweep()
            self._purge_if_due()
        except StoppedBetweenBatches:
            return 0
        except AtomicError as error:
            return self._failed(error, interval)
        if self._failures:
            _log.info("sweeping again", after_failures=self._failures)
            self._failures = 0
        self._check_if_due()
        return interval

    def _failed(self, error: AtomicError, interval: float) -> float:
        self._failures += 1
        # The first of an outage is told; a hundred more lines would say no more.
        if self._failures == 1 or not error.retryable:
            tell = _log.warning if error.retryable else _log.error
            tell("sweep failed", problem=error.message, cause=repr(error.__cause__))
        return min(interval * 2 ** min(self._failures - 1, 10), max(interval, MAX_PAUSE_SECONDS))

    def _purge_if_due(self) -> None:
        now = time.monotonic()
        if now - self._purged_at >= PURGE_SECONDS:
            self.purge()
            self._purged_at = now

    def _check_if_due(self) -> None:
        """In a thread, since reading a large ledger takes long and payments must not wait. It
        only reads, so it may be cut off at any point."""
        now = time.monotonic()
        running = self._check is not None and self._check.is_alive()
        if running or now - self._checked_at < self.settings.ledger_check_interval.total_seconds():
            return
        self._checked_at = now
        self._check = threading.Thread(target=self._check_books, name="ledger-check", daemon=True)
        self._check.start()

    def _check_books(self) -> None:
        since = time.monotonic()
        try:
            report = self.application.ledger.verify()
        except AtomicError as error:
            _log.warning("ledger check failed", problem=error.message)
            return
        for finding in report.findings:
            _log.error(
                "books do not agree",
                check=finding.check.value,
                subject=finding.subject,
                problem=finding.problem,
            )
        _log.info(
            "ledger checked",
            clean=report.is_clean,
            entries=report.entries,
            payments=report.payments,
            duration_ms=round((time.monotonic() - since) * 1000, 1),
        )
