"""The metrics of settlement, as Prometheus reads them."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from atomic_core.domain.backlog import Backlog
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.open_work import OpenItems, OpenWork
from atomic_core.domain.payments import Status
from atomic_core.domain.process_load import PoolLoad, ProcessLoad
from atomic_core.domain.settlement import Settlement
from atomic_core.use_cases.network_calls import NetworkCall
from atomic_core.use_cases.settlement import BatchSeconds, SettledBatch
from atomic_worker.settlement.metrics import (
    LedgerCheckCollector,
    LoadCollector,
    OpenWorkCollector,
    initialize,
    observe_batch,
)
from atomic_worker.webhooks.metrics import CACHE_SECONDS

ONE = UUID(int=1)
APPROVED = NetworkResponse(Verdict.APPROVED)
SILENT = NetworkResponse(Verdict.UNKNOWN, is_answered=False)


@pytest.fixture
def network() -> str:
    """A network of this test alone: counters are of the process."""
    return f"network-{uuid4()}"


def read(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def settle(status: Status, reason: str | None = None) -> Settlement:
    retry_after = timedelta(seconds=1) if status.is_open else None
    return Settlement(ONE, status, reason, 0, retry_after)


def build_batch(settlements: Sequence[Settlement], **changes: Any) -> SettledBatch:
    return SettledBatch(**{"claimed": len(settlements), "settlements": settlements, **changes})


def test_outcomes_are_counted_with_reasons_that_are_ours(network: str) -> None:
    settlements = [
        settle(Status.SUCCESS),
        settle(Status.SUCCESS),
        settle(Status.FAILED, "card_declined"),
        settle(Status.FAILED, "word of a network"),
        settle(Status.PROCESSING),
        settle(Status.AUTHORIZED),
    ]
    observe_batch(network, build_batch(settlements, claimed=9, rejected=[(ONE, "refused")]))
    outcomes = {
        (outcome, reason): read(
            "atomic_settlement_outcomes_total", network=network, outcome=outcome, reason=reason
        )
        for outcome, reason in (
            *(("success", ""), ("failed", "card_declined"), ("failed", "other")),
            *(("retried", ""), ("authorized", ""), ("rejected", ""), ("lost", "")),
        )
    }
    assert list(outcomes.values()) == [2, 1, 1, 1, 1, 1, 2]
    assert read("atomic_settlement_claims_total", network=network) == 9


def test_size_steps_retries_and_takeovers_are_observed(network: str) -> None:
    seconds = BatchSeconds(claim=0.1, reserve=0, network=0.2, post=0.3)
    observe_batch(network, build_batch([settle(Status.SUCCESS)], seconds=seconds, retries=2))
    observe_batch(network, build_batch([settle(Status.SUCCESS)] * 3, taken_over=3))
    assert read("atomic_settlement_batch_claims_sum", network=network) == 4
    assert read("atomic_settlement_batch_claims_count", network=network) == 2
    assert read("atomic_settlement_transaction_retries_total", network=network) == 2
    assert read("atomic_settlement_taken_over_claims_total", network=network) == 3
    name = "atomic_settlement_step_duration_seconds_sum"
    steps = [read(name, network=network, step=step) for step in BatchSeconds._fields]
    assert steps == [pytest.approx(0.1), None, pytest.approx(0.2), pytest.approx(0.3)]


def test_calls_are_counted_by_outcome_and_responses_by_verdict(network: str) -> None:
    calls = [
        NetworkCall("authorize", 2, 0.5, [APPROVED, SILENT]),
        NetworkCall("authorize", 1, 0.25, [SILENT]),
        NetworkCall("refund", 2, 1.0, ()),
    ]
    observe_batch(network, build_batch([], network_calls=calls))
    counts = [
        read("atomic_network_calls_total", network=network, method=method, outcome=outcome)
        for method, outcome in (
            *(("authorize", "answered"), ("authorize", "unanswered"), ("refund", "failed")),
        )
    ]
    assert counts == [1, 1, 1]
    seconds = "atomic_network_call_duration_seconds_sum"
    assert read(seconds, network=network, method="authorize") == 0.75
    verdicts = [
        read("atomic_network_responses_total", network=network, verdict=verdict)
        for verdict in ("approved", "unknown")
    ]
    assert verdicts == [1, 2]


def test_what_has_not_happened_is_zero(network: str) -> None:
    initialize([network])
    assert read("atomic_settlement_claims_total", network=network) == 0
    labels = {"network": network, "outcome": "rejected", "reason": ""}
    assert read("atomic_settlement_outcomes_total", **labels) == 0


def serve(collector: Any) -> list[str]:
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_open_work_is_measured_at_most_every_ten_seconds() -> None:
    work = OpenWork([OpenItems("sandbox", 3, 1)], [5, 4, 3, 2, 1])
    now = [0.0]
    backlogs = iter([Backlog(2, timedelta(seconds=1)), Backlog(0, timedelta(0))])
    collector = OpenWorkCollector(lambda: next(backlogs), lambda: work, lambda: now[0])
    first = serve(collector)
    assert first == [
        'atomic_open_items{kind="payment",network="sandbox"} 3.0',
        'atomic_open_items{kind="refund",network="sandbox"} 1.0',
        'atomic_open_holds{age="under_1h"} 5.0',
        'atomic_open_holds{age="under_1d"} 4.0',
        'atomic_open_holds{age="under_3d"} 3.0',
        'atomic_open_holds{age="under_7d"} 2.0',
        'atomic_open_holds{age="over_7d"} 1.0',
        "atomic_due_items 2.0",
        "atomic_due_oldest_age_seconds 1.0",
    ]
    now[0] = CACHE_SECONDS - 0.1
    assert serve(collector) == first
    now[0] = CACHE_SECONDS
    assert "atomic_due_items 0.0" in serve(collector)


def test_open_work_is_missing_while_the_database_is_away() -> None:
    def measure() -> Backlog:
        raise StorageUnavailable

    assert serve(OpenWorkCollector(measure, lambda: OpenWork([], []))) == []


def test_load_of_the_process_is_served() -> None:
    load = ProcessLoad(PoolLoad(8, 3, 2, 10, 1.5, 1), 4)
    assert serve(LoadCollector(lambda: load)) == [
        "atomic_database_pool_connections 8.0",
        "atomic_database_pool_in_use 3.0",
        "atomic_database_pool_waiting 2.0",
        "atomic_database_pool_waits_total 10.0",
        "atomic_database_pool_wait_seconds_total 1.5",
        "atomic_database_pool_failures_total 1.0",
        "atomic_wakeups_lost_total 4.0",
    ]


def test_age_of_the_ledger_check_counts_from_the_last_that_ended() -> None:
    now = [100.0]
    collector = LedgerCheckCollector(lambda: now[0])
    now[0] = 160.0
    assert serve(collector) == ["atomic_ledger_check_age_seconds 60.0"]
    aborted = read("atomic_ledger_checks_aborted_total")
    collector.observe(None, 1.0)
    assert read("atomic_ledger_checks_aborted_total") == (aborted or 0) + 1
    assert serve(collector) == ["atomic_ledger_check_age_seconds 60.0"]
    collector.observe(SimpleNamespace(findings=["wrong", "wrong"]), 2.5)  # type: ignore[arg-type]
    now[0] = 165.0
    assert serve(collector) == [
        "atomic_ledger_check_age_seconds 5.0",
        "atomic_ledger_check_findings 2.0",
        "atomic_ledger_check_duration_seconds 2.5",
    ]
