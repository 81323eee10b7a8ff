"""The sweeper: settles overdue payments and delivers overdue webhooks without Redis, purges,
takes balance snapshots, verifies the ledger and reconciles it with card networks."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.domain.timestamps import format_rfc3339
from atomic_core.domain.webhooks import RoundRecord
from atomic_core.use_cases.settlement import SettledBatch
from atomic_worker.settlement.batch_log import StoppedBetweenBatches, ignore_batch
from atomic_worker.settlement.dispute_threads import DisputeThreads
from atomic_worker.settlement.garbage_collection import tune_garbage_collection
from atomic_worker.settlement.lanes import SettlementLanes
from atomic_worker.settlement.reconciliation_log import log_reconciliation
from atomic_worker.stop_request import StopRequest
from atomic_worker.webhooks.delivery_log import deliver_and_log

IN_DOUBT_SECONDS: Final = 60.0
"""Between two reports of steps that the card network has left open."""

MAX_REPORTED: Final = 20
"""Steps per report: enough to begin with; `atomic payments in-doubt` lists all."""

RUNNING_SECONDS: Final = 10.0
"""Between two reports that this sweeper works, which `atomic doctor` reads."""

PURGE_SECONDS: Final = 60.0
"""Between two purges. Expired rows have no effect; purging only bounds their number."""

SNAPSHOT_SECONDS: Final = 60.0
"""Between two searches for balance snapshots to take. Without them reading is slower."""

DELIVERY_STOP_SECONDS: Final = 3.0
"""How long the end of a sweeper waits for webhooks in flight."""

RECONCILIATION_SECONDS: Final = 600.0
"""Between two checks whether the last day is reconciled, and before a failed one is repeated."""

MAX_PAUSE_SECONDS: Final = 1.0
"""Between two attempts while PostgreSQL is unavailable. Short, so that settlement resumes within
two seconds of its return; a refused connection costs little."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Sweeper:
    """Settles overdue payments, delivers overdue webhooks, purges expired rows, takes balance
    snapshots, verifies the ledger, reconciles it with card networks and reports what they leave
    open.

    Any number of sweepers and workers may run at once.
    """

    application: Application
    settings: Settings
    stop: StopRequest
    on_round: Callable[[RoundRecord], None] = lambda _: None
    """Called with what was sent to an endpoint."""
    on_batch: Callable[[str, SettledBatch], None] = ignore_batch
    """Called with the name of the card network and each batch."""
    on_ledger_check: Callable[[LedgerReport | None, float], None] = lambda _, __: None
    """Called with the report of a verification and the seconds it took; None if it was aborted."""
    _last_running: float = float("-inf")
    _failures: int = 0
    _last_purge: float = float("-inf")
    _last_report: float = float("-inf")
    _last_snapshots: float = float("-inf")
    _last_verification: float = field(default_factory=time.monotonic)
    _verification: threading.Thread | None = None
    _delivery: threading.Thread | None = None
    _last_reconciliation: float = float("-inf")
    _reconciliation: threading.Thread | None = None
    _lanes: SettlementLanes = field(init=False)
    _disputes: DisputeThreads = field(init=False)

    def __post_init__(self) -> None:
        # Half of the interval: a payment that falls due just after a round began is settled in the
        # next one, not in the one after that.
        self._lanes = SettlementLanes(
            self.application,
            "sweeper",
            lambda: self.stop.is_requested,
            self.settings.sweep_interval / 2,
            self.on_batch,
        )
        self._disputes = DisputeThreads(self.application)

    def run(self) -> None:
        """Sweep until a stop is requested; the current batch is finished first."""
        tune_garbage_collection()
        _log.info("sweeper started", interval_s=self.settings.sweep_interval.total_seconds())
        while not self.stop.is_requested:
            self.stop.wait(self._run_round())
        self._lanes.close()
        self._disputes.join(DELIVERY_STOP_SECONDS)
        if self._delivery:
            self._delivery.join(DELIVERY_STOP_SECONDS)
        _log.info("sweeper stopped")

    def sweep(self, *, wait: bool = True) -> int:
        """Expire holds and pending ledger transactions, and settle what has been due longer than a
        running worker leaves it; return how many payments and refunds were claimed. Without `wait`,
        networks outside of this process are settled by threads of their own."""
        expired = self.application.settlement.expire_holds()
        if expired:
            _log.info("holds expired", count=expired)
        expired_transactions = self.application.journal.expire()
        if expired_transactions:
            _log.info("ledger transactions expired", count=expired_transactions)
        return self._lanes.settle(wait=wait)

    def take_snapshots(self) -> int:
        """Store the balances at the end of days that have ended; return how many."""
        taken = self.application.balances.take_snapshots()
        if taken:
            _log.info("balance snapshots taken", count=taken)
        return taken

    def purge(self) -> int:
        """Delete expired sessions and idempotency keys; return how many keys."""
        purged_keys = self.application.maintenance.purge_idempotency_keys()
        if purged_keys:
            _log.info("idempotency keys purged", count=purged_keys)
        purged_sessions = self.application.maintenance.purge_sessions()
        if purged_sessions:
            _log.info("sessions purged", count=purged_sessions)
        purged_events = self.application.maintenance.purge_events()
        if purged_events:
            _log.info("events purged", count=purged_events)
        purged_network_events = self.application.network_events.purge()
        if purged_network_events:
            _log.info("network events purged", count=purged_network_events)
        purged_deliveries = self.application.webhooks.purge()
        if purged_deliveries:
            _log.info("webhook deliveries purged", count=purged_deliveries)
        return purged_keys

    def _run_round(self) -> float:
        """Run one round; return the seconds until the next."""
        interval = self.settings.sweep_interval.total_seconds()
        try:
            self.sweep(wait=False)
            self._purge_if_due()
            self._take_snapshots_if_due()
            self._report_if_due()
        except StoppedBetweenBatches:
            return 0
        except AtomicError as error:
            return self._record_failure(error, interval)
        if self._failures:
            _log.info("sweep recovered", after_failures=self._failures)
            self._failures = 0
        self._report_running_if_due()
        self._disputes.start()
        self._start_delivery()
        self._reconcile_if_due()
        self._verify_if_due()
        return interval

    def _record_failure(self, error: AtomicError, interval: float) -> float:
        """Log the error; return the seconds until the next round."""
        self._failures += 1
        # Of an outage, only the first failure is logged.
        if self._failures == 1 or not error.retryable:
            log = _log.warning if error.retryable else _log.error
            log("sweep failed", problem=error.message, cause=repr(error.__cause__))
        return min(interval * 2 ** min(self._failures - 1, 10), max(interval, MAX_PAUSE_SECONDS))

    def report_doubts(self) -> int:
        """Put what has been in doubt for long into the streams of its merchants, and log it; return
        how many payments and refunds."""
        doubts = self.application.settlement.report_doubts()
        for doubt in doubts[:MAX_REPORTED]:
            _log.error(
                "payment in doubt",
                payment=str(doubt.payment_id),
                refund=str(doubt.refund_id) if doubt.refund_id else None,
                step=doubt.step,
                since=format_rfc3339(doubt.unresolved_since),
                tries=doubt.faults,
            )
        if len(doubts) > MAX_REPORTED:
            _log.error("more payments in doubt", count=len(doubts) - MAX_REPORTED)
        return len(doubts)

    def report_unresolved(self) -> int:
        """Log steps that the card network has left open for long; return how many, up to
        MAX_REPORTED."""
        latest = self.application.clock.now() - self.settings.in_doubt_alarm
        steps = self.application.admin.list_unresolved(MAX_REPORTED)
        overdue = [step for step in steps if step.unresolved_since <= latest]
        for step in overdue:
            _log.error(
                "step unresolved",
                payment=str(step.payment_id),
                refund=str(step.refund_id) if step.refund_id else None,
                step=step.step,
                network_state=step.network_state,
                since=format_rfc3339(step.unresolved_since),
                tries=step.faults,
            )
        unserved = self.application.settlement.list_unserved_networks()
        for network in unserved:
            _log.error("payments of an unknown card network wait", network=network)
        return len(overdue)

    def _report_if_due(self) -> None:
        now = time.monotonic()
        if now - self._last_report >= IN_DOUBT_SECONDS:
            self.report_doubts()
            self.report_unresolved()
            self._last_report = now

    def _report_running_if_due(self) -> None:
        now = time.monotonic()
        if now - self._last_running >= RUNNING_SECONDS:
            self.application.process_reports.report_running("sweeper")
            self._last_running = now

    def _purge_if_due(self) -> None:
        now = time.monotonic()
        if now - self._last_purge >= PURGE_SECONDS:
            self.purge()
            self._last_purge = now

    def _take_snapshots_if_due(self) -> None:
        """Every round while there are many: a batch takes a fraction of a second."""
        now = time.monotonic()
        if now - self._last_snapshots >= SNAPSHOT_SECONDS and not self.take_snapshots():
            self._last_snapshots = now

    def _start_delivery(self) -> None:
        """Deliver overdue webhooks in a daemon thread: payments must not wait for receivers. What
        is in flight when the process ends is sent again."""
        if not self.settings.webhooks.encryption_keys:
            return
        if self._delivery is None or not self._delivery.is_alive():
            self._delivery = threading.Thread(target=self._deliver, name="delivery", daemon=True)
            self._delivery.start()

    def _deliver(self) -> None:
        overdue_by = self.settings.sweep_interval / 2
        try:
            deliver_and_log(
                self.application,
                "sweeper",
                lambda: self.stop.is_requested,
                overdue_by,
                self.on_round,
            )
        except AtomicError as error:
            _log.warning("delivery failed", problem=error.message, cause=repr(error.__cause__))

    def _verify_if_due(self) -> None:
        """Start a verification in a daemon thread: a large ledger takes long to read, and payments
        must not wait. It only reads, so it may be aborted at any point."""
        now = time.monotonic()
        is_running = self._verification is not None and self._verification.is_alive()
        interval = self.settings.ledger_check_interval.total_seconds()
        if is_running or now - self._last_verification < interval:
            return
        self._last_verification = now
        self._verification = threading.Thread(
            target=self._verify_ledger, name="ledger-verification", daemon=True
        )
        self._verification.start()

    def _verify_ledger(self) -> None:
        started_at = time.monotonic()
        try:
            report = self.application.ledger.verify()
        except AtomicError as error:
            _log.warning("ledger verification aborted", problem=error.message)
            self.on_ledger_check(None, time.monotonic() - started_at)
            return
        seconds = time.monotonic() - started_at
        self.on_ledger_check(report, seconds)
        self.application.process_reports.report_ledger_check(len(report.findings))
        for finding in report.findings:
            _log.error(
                "ledger verification failed",
                check=finding.check.value,
                subject=finding.subject,
                problem=finding.problem,
            )
        _log.info(
            "ledger verified",
            clean=report.is_clean,
            entries=report.entries,
            payments=report.payments,
            duration_ms=round(seconds * 1000, 1),
        )

    def _reconcile_if_due(self) -> None:
        """In a daemon thread: a statement takes minutes to read. It may be aborted at any point."""
        if not self.application.reconciliation.networks:
            return
        now = time.monotonic()
        is_running = self._reconciliation is not None and self._reconciliation.is_alive()
        if is_running or now - self._last_reconciliation < RECONCILIATION_SECONDS:
            return
        self._last_reconciliation = now
        self._reconciliation = threading.Thread(
            target=self._reconcile, name="reconciliation", daemon=True
        )
        self._reconciliation.start()

    def _reconcile(self) -> None:
        try:
            reports = self.application.reconciliation.run_scheduled()
        except AtomicError as error:
            _log.warning("reconciliation failed", problem=error.message)
            return
        for report in reports:
            log_reconciliation(report)
