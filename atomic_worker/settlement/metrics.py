"""Prometheus metrics of settlement, which workers and sweepers serve.

Counted after each batch, in memory: no payment waits for them. No label names a merchant or a
payment: their number has no bound.
"""

import collections
import operator
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from atomic_core.domain.backlog import Backlog
from atomic_core.domain.card_networks import DECLINE_REASONS
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.domain.open_work import HOLD_AGES, OpenWork
from atomic_core.domain.payments import Status
from atomic_core.domain.posting import Refusal
from atomic_core.domain.process_load import ProcessLoad
from atomic_core.domain.settlement import NETWORK_UNAVAILABLE
from atomic_core.use_cases.network_calls import NetworkCall
from atomic_core.use_cases.settlement import BatchSeconds, SettledBatch
from atomic_worker.webhooks.metrics import CACHE_SECONDS

CLAIMS: Final = Counter(
    "atomic_settlement_claims_total", "Payments and refunds that were claimed.", ["network"]
)
TAKEN_OVER: Final = Counter(
    "atomic_settlement_taken_over_claims_total",
    "Those of them whose worker before had died or was frozen.",
    ["network"],
)
OUTCOMES: Final = Counter(
    "atomic_settlement_outcomes_total",
    "Claims that ended, by outcome and failure reason.",
    ["network", "outcome", "reason"],
)
RETRIES: Final = Counter(
    "atomic_settlement_transaction_retries_total",
    "Transactions that were repeated because the database had failed for a moment.",
    ["network"],
)
BATCH_SIZE: Final = Histogram(
    "atomic_settlement_batch_claims",
    "Claims of a batch.",
    ["network"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
)
STEP_DURATION: Final = Histogram(
    "atomic_settlement_step_duration_seconds",
    "Time that a step of a batch took.",
    ["network", "step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
NETWORK_CALLS: Final = Counter(
    "atomic_network_calls_total",
    "Calls of a card network, each for the claims of a batch.",
    ["network", "method", "outcome"],
)
NETWORK_RESPONSES: Final = Counter(
    "atomic_network_responses_total",
    "Responses of a card network to claims.",
    ["network", "verdict"],
)
NETWORK_DURATION: Final = Histogram(
    "atomic_network_call_duration_seconds",
    "Time that a call of a card network took.",
    ["network", "method"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LEDGER_CHECKS_ABORTED: Final = Counter(
    "atomic_ledger_checks_aborted_total", "Verifications of the ledger that did not end."
)

RETRIED: Final = "retried"
"""The outcome of a claim whose payment or refund stays open."""

LOST: Final = "lost"
"""Of a claim that another worker has taken over meanwhile."""

REJECTED: Final = "rejected"
"""Of a claim that the database refused to post: a bug."""

OTHER: Final = "other"
"""In place of a failure reason that is not of ours: a card network could invent them without
end."""

_REASONS: Final = frozenset(
    {*DECLINE_REASONS, NETWORK_UNAVAILABLE, *(refusal.value for refusal in Refusal)}
)

# Without a Python frame per payment, and as strings: the hash of a member of an enumeration is
# computed in Python.
_GET_STATUS_AND_REASON: Final = operator.attrgetter("status._value_", "failure_reason")
_GET_VERDICT: Final = operator.attrgetter("verdict._value_")

_log = structlog.get_logger(__name__)


def initialize(networks: Iterable[str]) -> None:
    """So that what has not happened is 0, and not missing."""
    LEDGER_CHECKS_ABORTED.inc(0)
    for network in networks:
        for counter in (CLAIMS, TAKEN_OVER, RETRIES):
            counter.labels(network)
        for outcome in (LOST, REJECTED, RETRIED, _get_outcome(Status.SUCCESS)):
            OUTCOMES.labels(network, outcome, "")
        for outcome in ("answered", "unanswered", "failed"):
            NETWORK_CALLS.labels(network, "authorize", outcome)


def observe_batch(network: str, batch: SettledBatch) -> None:
    CLAIMS.labels(network).inc(batch.claimed)
    BATCH_SIZE.labels(network).observe(batch.claimed)
    TAKEN_OVER.labels(network).inc(batch.taken_over)
    RETRIES.labels(network).inc(batch.retries)
    settled = collections.Counter(map(_GET_STATUS_AND_REASON, batch.settlements))
    for (status, reason), count in settled.items():
        OUTCOMES.labels(network, _get_outcome(Status(status)), _bound_reason(reason)).inc(count)
    for outcome, count in ((LOST, batch.lost), (REJECTED, len(batch.rejected))):
        OUTCOMES.labels(network, outcome, "").inc(count)
    for step, seconds in zip(BatchSeconds._fields, batch.seconds, strict=True):
        if step != "reserve" or seconds:
            STEP_DURATION.labels(network, step).observe(seconds)
    for call in batch.network_calls:
        _observe_call(network, call)


def _observe_call(network: str, call: NetworkCall) -> None:
    is_answered = any(response.is_answered for response in call.responses)
    outcome = "answered" if is_answered else "unanswered" if call.responses else "failed"
    NETWORK_CALLS.labels(network, call.method, outcome).inc()
    NETWORK_DURATION.labels(network, call.method).observe(call.seconds)
    for verdict, count in collections.Counter(map(_GET_VERDICT, call.responses)).items():
        NETWORK_RESPONSES.labels(network, verdict).inc(count)


def _bound_reason(reason: str | None) -> str:
    return reason if reason in _REASONS else OTHER if reason else ""


def _get_outcome(status: Status) -> str:
    return RETRIED if status.is_open else status.value.lower()


@dataclass(slots=True, eq=False)
class OpenWorkCollector(Collector):
    """Reads what is due and what is open from the store, at a request and at most every
    CACHE_SECONDS. While the store is unavailable these metrics are missing."""

    measure_backlog: Callable[[], Backlog]
    measure_open_work: Callable[[], OpenWork]
    get_time: Callable[[], float] = time.monotonic
    _measured: Sequence[Metric] = ()
    _measured_at: float = field(default=float("-inf"))

    def collect(self) -> Iterable[Metric]:
        if self.get_time() - self._measured_at >= CACHE_SECONDS:
            self._measured = self._measure()
            self._measured_at = self.get_time()
        return self._measured

    def describe(self) -> Iterable[Metric]:
        """Without measuring: the registry calls it when the collector is registered."""
        return []

    def _measure(self) -> Sequence[Metric]:
        try:
            backlog, work = self.measure_backlog(), self.measure_open_work()
        except AtomicError as error:
            _log.warning("metrics of open payments not measured", problem=error.message)
            return []
        items = GaugeMetricFamily(
            "atomic_open_items",
            "Payments and refunds that have not ended, claimed or not.",
            labels=["network", "kind"],
        )
        for network, payments, refunds in work.items:
            items.add_metric([network, "payment"], payments)
            items.add_metric([network, "refund"], refunds)
        holds = GaugeMetricFamily(
            "atomic_open_holds", "Authorized payments that wait for a capture.", labels=["age"]
        )
        for (age, _, _), count in zip(HOLD_AGES, work.holds, strict=True):
            holds.add_metric([age], count)
        return [
            items,
            holds,
            GaugeMetricFamily(
                "atomic_due_items",
                "Payments and refunds that are due and not claimed.",
                backlog.due,
            ),
            GaugeMetricFamily(
                "atomic_due_oldest_age_seconds",
                "How long the oldest of them could have been claimed.",
                backlog.oldest_age.total_seconds(),
            ),
        ]


@dataclass(slots=True, eq=False)
class LoadCollector(Collector):
    """What the process uses, under the names that the API gives it too."""

    read_load: Callable[[], ProcessLoad]

    def collect(self) -> Iterable[Metric]:
        pool, lost_wakeups = self.read_load()
        prefix = "atomic_database_pool_"
        gauges = (
            ("connections", "Connections to the database that are open.", pool.size),
            ("in_use", "Those of them that are in use.", pool.in_use),
            ("waiting", "Threads that wait for a connection.", pool.waiting),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(prefix + name, text, value)
        counters = (
            ("waits", "Threads that had to wait for a connection.", pool.waits),
            ("wait_seconds", "How long they waited, together.", pool.wait_seconds),
            ("failures", "Threads that got no connection in time.", pool.failures),
        )
        for name, text, value in counters:
            yield CounterMetricFamily(prefix + name, text, value)
        yield CounterMetricFamily(
            "atomic_wakeups_lost", "Wake-ups of workers that could not be sent.", lost_wakeups
        )


@dataclass(slots=True, eq=False)
class LedgerCheckCollector(Collector):
    """The last verification of the ledger that this sweeper has done."""

    get_time: Callable[[], float] = time.monotonic
    _last: tuple[LedgerReport, float] | None = None
    _last_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._last_at = self.get_time()

    def observe(self, report: LedgerReport | None, seconds: float) -> None:
        """None if the verification did not end."""
        if report is None:
            LEDGER_CHECKS_ABORTED.inc()
            return
        self._last, self._last_at = (report, seconds), self.get_time()

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "atomic_ledger_check_age_seconds",
            "Time since the last verification that ended, or since the start without one.",
            self.get_time() - self._last_at,
        )
        if self._last is None:
            return
        report, seconds = self._last
        yield GaugeMetricFamily(
            "atomic_ledger_check_findings",
            "What the last verification found wrong.",
            len(report.findings),
        )
        yield GaugeMetricFamily(
            "atomic_ledger_check_duration_seconds", "Time that it took.", seconds
        )
