"""The metrics of webhooks, as Prometheus reads them."""

import socket
import urllib.request
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.network_load import NetworkLoad
from atomic_core.domain.reconciliation import ReconciliationReport
from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.domain.webhooks import DeliveryStatus, DisabledReason, WebhookResult
from atomic_worker.webhooks import metrics
from atomic_worker.webhooks.metrics import CACHE_SECONDS, StoreCollector, observe_round
from processes import find_free_port

BACKLOG = WebhookBacklog(
    7,
    1.5,
    3,
    2,
    1,
    {DisabledReason.REQUESTED: 4, DisabledReason.GONE: 5, DisabledReason.FAILING: 0},
)

REPORTS = [
    ReconciliationReport(
        UUID(int=1),
        "stripe",
        datetime(2025, 12, 1, tzinfo=UTC),
        datetime(2025, 12, 2, tzinfo=UTC),
        is_scheduled=True,
        created_at=datetime(2025, 12, 2, 3, tzinfo=UTC),
        lines=10,
        matched=5,
        difference_count=3,
        in_doubt_count=4,
        unchecked=2,
    )
]


def build_round(*statuses: DeliveryStatus, reason: DisabledReason | None = None) -> Any:
    result = WebhookResult(200, None, 20, "", None)
    outcomes = [SimpleNamespace(status=status, result=result) for status in statuses]
    return SimpleNamespace(outcomes=outcomes, disabled_reason=reason)


def count(outcome: str) -> float:
    return metrics.DELIVERIES.labels(outcome)._value.get()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (DeliveryStatus.SUCCEEDED, "delivered"),
        (DeliveryStatus.PENDING, "retried"),
        (DeliveryStatus.FAILED, "dead"),
    ],
)
def test_each_outcome_is_counted(status: DeliveryStatus, outcome: str) -> None:
    before = {name: count(name) for name in ("delivered", "retried", "dead")}
    observe_round(build_round(status, status))
    after = {name: count(name) for name in before}
    assert after == {**before, outcome: before[outcome] + 2}


def test_durations_and_disabled_endpoints_are_observed() -> None:
    durations = metrics.DURATION._sum.get()
    disabled = metrics.ENDPOINTS_DISABLED.labels("gone")
    before = disabled._value.get()
    observe_round(build_round(DeliveryStatus.FAILED, reason=DisabledReason.GONE))
    assert metrics.DURATION._sum.get() - durations == pytest.approx(0.02)
    assert disabled._value.get() == before + 1


def test_events_and_backlog_are_served_without_names_of_endpoints() -> None:
    registry = CollectorRegistry()
    registry.register(StoreCollector(lambda: BACKLOG, lambda: 1_000, lambda: REPORTS))
    lines = generate_latest(registry).decode().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {
        "atomic_events_total 1000.0",
        "atomic_webhook_lag_events 7.0",
        'atomic_disputes_open{status="NEEDS_RESPONSE"} 0.0',
        'atomic_disputes_open{status="UNDER_REVIEW"} 0.0',
        'atomic_reconciliation_differences{network="stripe"} 5.0',
        'atomic_reconciliation_period_end_timestamp_seconds{network="stripe"} 1.7646336e+09',
        "atomic_webhook_lag_seconds 1.5",
        'atomic_webhook_open_deliveries{status="pending"} 3.0',
        'atomic_webhook_open_deliveries{status="dead"} 2.0',
        "atomic_webhook_paused_endpoints 1.0",
        'atomic_webhook_disabled_endpoints{reason="requested"} 4.0',
        'atomic_webhook_disabled_endpoints{reason="gone"} 5.0',
        'atomic_webhook_disabled_endpoints{reason="failing"} 0.0',
    }


def test_each_network_has_its_breakers_and_what_waits() -> None:
    registry = CollectorRegistry()
    loads = [NetworkLoad("sandbox", None, 3), NetworkLoad("stripe", 2, 40)]
    registry.register(StoreCollector(lambda: BACKLOG, lambda: 0, list, lambda: loads))
    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if line.startswith("atomic_network_")] == [
        'atomic_network_open_breakers{network="stripe"} 2.0',
        'atomic_network_parked{network="sandbox"} 3.0',
        'atomic_network_parked{network="stripe"} 40.0',
    ]


def test_frequent_requests_do_not_reach_the_database() -> None:
    measured: list[int] = []
    now = [0.0]

    def measure() -> WebhookBacklog:
        measured.append(1)
        return BACKLOG

    collector = StoreCollector(measure, lambda: 0, list, get_time=lambda: now[0])
    assert list(collector.collect()) != []
    now[0] = CACHE_SECONDS - 0.1
    assert list(collector.collect()) != []
    assert len(measured) == 1
    now[0] = CACHE_SECONDS
    assert list(collector.collect()) != []
    assert len(measured) == 2


def test_counters_are_served_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure() -> WebhookBacklog:
        raise StorageUnavailable

    registry = CollectorRegistry()
    monkeypatch.setattr(metrics, "REGISTRY", registry)
    port = find_free_port()
    metrics.serve_metrics("127.0.0.1", port, StoreCollector(measure, lambda: 0, list))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        text = response.read().decode()
    assert "atomic_webhook_deliveries_total" in text
    assert "atomic_events_total" not in text
    assert list(StoreCollector(measure, lambda: 0, list).collect()) == []


def test_port_that_is_taken_does_not_stop_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    monkeypatch.setattr(metrics, "REGISTRY", registry)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        collector = StoreCollector(lambda: BACKLOG, lambda: 0, list)
        metrics.serve_metrics("127.0.0.1", taken.getsockname()[1], collector)
    assert generate_latest(registry) == b""
