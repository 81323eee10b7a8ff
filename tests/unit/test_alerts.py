"""The alerts of deploy/prometheus, evaluated by promtool on series that are right and wrong."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pytest
import yaml

from docs.test_docs import metric_names
from promtool import run_promtool

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
RULES: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}

STRIPE = {"network": "stripe"}
UP = '{process="sweeper"}'
BREAKERS = 'atomic_network_open_breakers{network="stripe"}'
CALLS = 'atomic_network_calls_total{{network="stripe",method="authorize",outcome="{}"}}'
OUTCOME = 'atomic_settlement_outcomes_total{network="stripe",outcome="rejected",reason=""}'
REQUESTS = 'atomic_http_requests_total{{route="/",method="GET",status="{}"}}'
DIFFERENCES = 'atomic_reconciliation_differences{network="stripe"}'
PERIOD_END = 'atomic_reconciliation_period_end_timestamp_seconds{network="stripe"}'
OVERDUE = 'atomic_unresolved_overdue_steps{network="stripe",state="unknown",currency="USD"}'
TAKEN_OVER = 'atomic_settlement_taken_over_claims_total{network="stripe"}'

Series = dict[str, str]
"""The values of each series, one per minute, in promtool's notation."""


NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class Case(NamedTuple):
    wrong: Series
    right: Series
    labels: Mapping[str, str] = NO_LABELS
    minutes: int = 40


CASES: Final[dict[str, Case]] = {
    "AtomicPaymentsNotSettled": Case(
        {"atomic_due_oldest_age_seconds": "16x60"}, {"atomic_due_oldest_age_seconds": "15x60"}
    ),
    "AtomicBacklogUnknown": Case({}, {"atomic_due_oldest_age_seconds": "0x60"}),
    "AtomicSweeperAway": Case({}, {f"atomic_ledger_check_age_seconds{UP}": "0x60"}),
    "AtomicWorkersDie": Case({TAKEN_OVER: "0+1x60"}, {TAKEN_OVER: "7x60"}, STRIPE),
    "AtomicHoldsOverdue": Case(
        {'atomic_open_holds{age="over_7d"}': "1x60"},
        {'atomic_open_holds{age="over_7d"}': "0x60", 'atomic_open_holds{age="under_7d"}': "9x60"},
    ),
    "AtomicLedgerWrong": Case(
        {"atomic_ledger_check_findings": "1x60"}, {"atomic_ledger_check_findings": "0x60"}
    ),
    "AtomicSettlementRejected": Case({OUTCOME: "0+1x60"}, {OUTCOME: "3x60"}, STRIPE),
    "AtomicLedgerNotChecked": Case(
        {f"atomic_ledger_check_age_seconds{UP}": "10801x60"},
        {
            f"atomic_ledger_check_age_seconds{UP}": "10801x60",
            'atomic_ledger_check_age_seconds{process="other"}': "10x60",
        },
    ),
    "AtomicReconciliationDiffers": Case({DIFFERENCES: "2x60"}, {DIFFERENCES: "0x60"}, STRIPE),
    "AtomicReconciliationLate": Case(
        {PERIOD_END: "0x6000"}, {PERIOD_END: "3600x6000"}, STRIPE, minutes=2_890
    ),
    "AtomicNetworkBreakerOpen": Case({BREAKERS: "1x60"}, {BREAKERS: "0x60"}, STRIPE),
    "AtomicNetworkCallsFail": Case(
        {CALLS.format("answered"): "0+70x60", CALLS.format("failed"): "0+30x60"},
        {CALLS.format("answered"): "0+90x60", CALLS.format("failed"): "0+10x60"},
        STRIPE,
    ),
    "AtomicPaymentsInDoubt": Case({OVERDUE: "1x60"}, {OVERDUE: "0x60"}, STRIPE),
    "AtomicPoolExhausted": Case(
        {"atomic_database_pool_failures_total": "0+1x60"},
        {"atomic_database_pool_failures_total": "4x60"},
    ),
    "AtomicServerErrors": Case(
        {REQUESTS.format(200): "0+98x60", REQUESTS.format(503): "0+2x60"},
        {REQUESTS.format(200): "0+200x60", REQUESTS.format(503): "0+1x60"},
    ),
    "AtomicWakeupsLost": Case(
        {"atomic_wakeups_lost_total": "0+1x60"}, {"atomic_wakeups_lost_total": "4x60"}
    ),
    "AtomicRateLimiterUnavailable": Case(
        {"atomic_rate_limiter_unavailable_total": "0+1x60"},
        {"atomic_rate_limiter_unavailable_total": "4x60"},
    ),
    "AtomicRateLimiterFull": Case(
        {"atomic_rate_limiter_full_total": "0+1x60"}, {"atomic_rate_limiter_full_total": "4x60"}
    ),
    "AtomicWebhooksLate": Case(
        {"atomic_webhook_lag_seconds": "301x60", "atomic_webhook_paused_endpoints": "0x60"},
        {"atomic_webhook_lag_seconds": "301x60", "atomic_webhook_paused_endpoints": "1x60"},
    ),
}


def build_test(alert: str, series: Series, *, fires: bool) -> dict[str, Any]:
    case, rule = CASES[alert], RULES[alert]
    expected = {
        "exp_labels": {**rule["labels"], **case.labels},
        "exp_annotations": {
            name: text.replace("{{ $labels.network }}", case.labels.get("network", ""))
            for name, text in rule["annotations"].items()
        },
    }
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{case.minutes}m",
                "alertname": alert,
                "exp_alerts": [expected] if fires else [],
            }
        ],
    }


@pytest.mark.parametrize("alert", RULES)
def test_alert_fires_when_something_is_wrong_and_only_then(alert: str, tmp_path: Path) -> None:
    case = CASES[alert]
    assert case.wrong != case.right
    tests = {
        "rule_files": [str(ALERTS)],
        "tests": [
            build_test(alert, case.wrong, fires=True),
            build_test(alert, case.right, fires=False),
        ],
    }
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump(tests), encoding="utf-8")
    status, output = run_promtool("test", "rules", path)
    assert status == 0, output


def test_rules_and_configuration_are_valid() -> None:
    status, output = run_promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    assert status == 0, output
    status, output = run_promtool("check", "config", ALERTS.parent / "prometheus.yml")
    assert status == 0, output


@pytest.mark.parametrize("alert", RULES)
def test_alert_names_metrics_that_exist(alert: str) -> None:
    names = set(re.findall(r"\batomic_\w+", RULES[alert]["expr"]))
    assert names
    assert names <= metric_names()


@pytest.mark.parametrize("alert", RULES)
def test_alert_says_what_is_wrong_and_where_to_read_what_to_do(alert: str) -> None:
    annotations = RULES[alert]["annotations"]
    assert annotations["summary"].endswith(".")
    page, _, anchor = annotations["section"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_every_alert_has_a_case_and_the_reverse() -> None:
    assert CASES.keys() == RULES.keys()
