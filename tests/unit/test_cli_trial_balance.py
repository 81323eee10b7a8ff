"""`atomic trial-balance`, with text and JSON output and its exit status."""

from datetime import UTC, datetime, timedelta

import pytest

from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.balances import TimeAxis, TrialBalance, TrialBalanceRow
from atomic_worker.commands.seed import TEST_MERCHANT_ID, TEST_MERCHANT_NAME
from support import build_payment, with_use_cases
from unit.test_cli_operators import CommandRunner, atomic

__all__ = ["atomic"]
"""A fixture that pytest finds here."""


@pytest.fixture
def application() -> Application:
    application = in_memory()
    application.merchants.add(TEST_MERCHANT_NAME, TEST_MERCHANT_ID)
    application.payments.record(build_payment(TEST_MERCHANT_ID, 5_000))
    application.settlement.settle()
    return application


def test_rows_and_totals_are_printed(atomic: CommandRunner) -> None:
    lines = atomic.lines("trial-balance")
    assert [line.split() for line in lines[:-1]] == [
        ["Owner", "Type", "Accounts", "Debit", "Credit", "Currency"],
        ["merchants", "liability", "1", "50.00", "USD"],
        ["system", "asset", "1", "50.00", "USD"],
        ["system", "revenue", "1", "USD"],
        ["all", "balanced", "3", "50.00", "50.00", "USD"],
        [],
    ]
    assert lines[-1].startswith("The books balance at ")
    assert lines[-1].endswith(" on the posted axis.")


def test_currencies_without_a_balance_are_left_out_of_the_table(
    atomic: CommandRunner, application: Application
) -> None:
    application.accounts.open_system_accounts(["EUR"])
    assert not [line for line in atomic.lines("trial-balance") if "EUR" in line]
    assert "EUR" in {row["currency"] for row in atomic.json("trial-balance")["rows"]}


def test_end_of_a_day_is_a_moment(atomic: CommandRunner) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    found = atomic.json("trial-balance", "--at", str(yesterday), "--axis", "effective")
    assert found == {
        "at": f"{yesterday}T23:59:59.999000+00:00",
        "axis": "effective",
        "balanced": True,
        "rows": [],
        "totals": [],
    }
    present = atomic.json("trial-balance", "--at", "2999-01-01T00:00:00+01:00")
    assert present["at"] == "2998-12-31T23:00:00+00:00"
    assert present["totals"] == [
        {"currency": "USD", "debit": 5_000, "credit": 5_000, "difference": 0, "balanced": True}
    ]


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "2026-01-01T00:00:00", "9999-12-31"])
def test_other_times_are_refused(atomic: CommandRunner, text: str) -> None:
    result = atomic("trial-balance", "--at", text)
    assert result.exit_code == 2
    assert "Must be a date such as" in result.output


def test_books_that_do_not_balance_exit_with_1(
    atomic: CommandRunner, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = TrialBalanceRow("asset", "USD", 1, 5, 0, is_system=True)
    found = TrialBalance(TimeAxis.POSTED, datetime.now(UTC), [row])
    changed = with_use_cases(
        application, {"balances.get_whole_trial_balance": lambda axis, before: found}
    )
    monkeypatch.setattr(application, "balances", changed.balances)
    result = atomic("trial-balance")
    assert result.exit_code == 1
    assert "The books do NOT balance" in result.output
