"""Prometheus metrics of events, webhooks and card networks, which the processes that deliver
webhooks serve, and serving any.

No label names an endpoint or a merchant: their number has no bound.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog
from prometheus_client import REGISTRY, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from atomic_core.domain.admin_queries import UnresolvedTotal
from atomic_core.domain.disputes import DisputeStatus
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.network_load import NetworkLoad
from atomic_core.domain.reconciliation import ReconciliationReport
from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.domain.webhooks import DeliveryStatus, RoundRecord

DELIVERIES: Final = Counter(
    "atomic_webhook_deliveries_total", "Attempts to deliver a webhook.", ["outcome"]
)
DURATION: Final = Histogram(
    "atomic_webhook_duration_seconds",
    "Time from the beginning of an attempt to the end of the answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ENDPOINTS_DISABLED: Final = Counter(
    "atomic_webhook_endpoints_disabled_total", "Endpoints that Atomic disabled.", ["reason"]
)

OUTCOMES: Final = {
    DeliveryStatus.SUCCEEDED: "delivered",
    DeliveryStatus.PENDING: "retried",
    DeliveryStatus.FAILED: "dead",
}

CACHE_SECONDS: Final = 10.0
"""How long what was measured is served: more frequent requests do not reach the database."""

_log = structlog.get_logger(__name__)


def observe_round(record: RoundRecord) -> None:
    for outcome in record.outcomes:
        DELIVERIES.labels(OUTCOMES[outcome.status]).inc()
        DURATION.observe(outcome.result.duration_ms / 1_000)
    if record.disabled_reason:
        ENDPOINTS_DISABLED.labels(record.disabled_reason.value).inc()


@dataclass(slots=True, eq=False)
class StoreCollector(Collector):
    """Reads the events, the backlog of all merchants and what waits for card networks from the
    store, at a request. While it is unavailable these metrics are missing, and the others are
    served."""

    measure_backlog: Callable[[], WebhookBacklog]
    count_events: Callable[[], int]
    get_reconciliations: Callable[[], Sequence[ReconciliationReport]]
    """The last scheduled one of each card network."""
    measure_networks: Callable[[], Sequence[NetworkLoad]] = tuple
    sum_unresolved: Callable[[], Sequence[UnresolvedTotal]] = tuple
    count_open_disputes: Callable[[], Mapping[str, int]] = dict
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
            events, backlog = self.count_events(), self.measure_backlog()
            networks = self.measure_networks()
            reconciliations = self.get_reconciliations()
            unresolved = self.sum_unresolved()
            disputes = self.count_open_disputes()
        except AtomicError as error:
            _log.warning("metrics of the store not measured", problem=error.message)
            return []
        counter = CounterMetricFamily("atomic_events", "Events of all streams.", events)
        return [
            counter,
            *_build_gauges(backlog),
            *build_reconciliation_gauges(reconciliations),
            *_build_network_gauges(networks),
            *build_unresolved_gauges(unresolved, datetime.now(UTC)),
            build_dispute_gauge(disputes),
        ]


def initialize() -> None:
    """So that what has not happened is 0, and not missing."""
    for outcome in OUTCOMES.values():
        DELIVERIES.labels(outcome)


def serve_metrics(host: str, port: int, *collectors: Collector) -> None:
    """In a daemon thread. Another process on this host may have the port: then this one works
    without metrics."""
    try:
        start_http_server(port, host)
    except OSError as error:
        _log.warning("metrics not served", port=port, problem=error.strerror)
        return
    for collector in collectors:
        REGISTRY.register(collector)


def _build_gauges(backlog: WebhookBacklog) -> list[GaugeMetricFamily]:
    deliveries = GaugeMetricFamily(
        "atomic_webhook_open_deliveries", "Deliveries that have not succeeded.", labels=["status"]
    )
    deliveries.add_metric(["pending"], backlog.pending)
    deliveries.add_metric(["dead"], backlog.failed)
    disabled = GaugeMetricFamily(
        "atomic_webhook_disabled_endpoints", "Disabled endpoints.", labels=["reason"]
    )
    for reason, count in backlog.disabled.items():
        disabled.add_metric([reason.value], count)
    return [
        GaugeMetricFamily(
            "atomic_webhook_lag_events",
            "Events that the slowest enabled endpoint has not passed.",
            backlog.lag_events,
        ),
        GaugeMetricFamily(
            "atomic_webhook_lag_seconds",
            "Age of the oldest event that an enabled endpoint has not passed.",
            backlog.lag_seconds,
        ),
        deliveries,
        GaugeMetricFamily(
            "atomic_webhook_paused_endpoints",
            "Endpoints that are paused after failures in a row.",
            backlog.paused,
        ),
        disabled,
    ]


def _build_network_gauges(networks: Sequence[NetworkLoad]) -> list[GaugeMetricFamily]:
    """A network whose breakers are not known is left out of the first."""
    breakers = GaugeMetricFamily(
        "atomic_network_open_breakers",
        "Processes whose circuit breaker for the card network is open.",
        labels=["network"],
    )
    parked = GaugeMetricFamily(
        "atomic_network_parked",
        "Payments and refunds that are due and not claimed.",
        labels=["network"],
    )
    for load in networks:
        parked.add_metric([load.network], load.parked)
        if load.open_breakers is not None:
            breakers.add_metric([load.network], load.open_breakers)
    return [breakers, parked]


def build_reconciliation_gauges(
    reports: Sequence[ReconciliationReport],
) -> list[GaugeMetricFamily]:
    differences = GaugeMetricFamily(
        "atomic_reconciliation_differences",
        "What differed in the last scheduled reconciliation, without what is in doubt.",
        labels=["network"],
    )
    end = GaugeMetricFamily(
        "atomic_reconciliation_period_end_timestamp_seconds",
        "End of the last period that was reconciled on schedule, in seconds since 1970.",
        labels=["network"],
    )
    for report in reports:
        differences.add_metric([report.network], report.difference_count + report.unchecked)
        end.add_metric([report.network], report.end.timestamp())
    return [differences, end]


def build_dispute_gauge(counts: Mapping[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(
        "atomic_disputes_open", "Disputes that are neither won nor lost.", labels=["status"]
    )
    for status in DisputeStatus:
        if not status.is_final:
            gauge.add_metric([status.value], counts.get(status.value, 0))
    return gauge


def build_unresolved_gauges(
    totals: Sequence[UnresolvedTotal], now: datetime
) -> list[GaugeMetricFamily]:
    labels = ["network", "state", "currency"]
    steps = GaugeMetricFamily(
        "atomic_unresolved_steps",
        "Steps of payments and refunds whose outcome the card network has left open.",
        labels=labels,
    )
    amount = GaugeMetricFamily(
        "atomic_unresolved_amount", "Their amounts, in minor units.", labels=labels
    )
    age = GaugeMetricFamily(
        "atomic_unresolved_age_seconds", "How long the oldest of them has been open.", labels=labels
    )
    overdue = GaugeMetricFamily(
        "atomic_unresolved_overdue_steps",
        "Those that have been open for longer than IN_DOUBT_EVENT_SECONDS.",
        labels=labels,
    )
    for total in totals:
        values = [total.network, total.network_state, total.currency]
        steps.add_metric(values, total.steps)
        amount.add_metric(values, total.amount)
        overdue.add_metric(values, total.overdue_steps)
        age.add_metric(values, max(0.0, (now - total.oldest_since).total_seconds()))
    return [steps, amount, overdue, age]
