"""`atomic accounts freeze`, `close` and `reopen`, and `atomic ledger …`."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from atomic_adapters.system import ManualClock
from atomic_core.application import Application
from atomic_core.domain.accounts import AccountStatus, world_account_id
from atomic_core.domain.audit_log import AuditEventType, RecordedAuditEvent
from atomic_core.use_cases.ledger import NewAccount
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from unit.test_cli_operators import NOW, CommandRunner, application, atomic, clock, settle_payment

__all__ = ["application", "atomic", "clock"]
"""Fixtures that pytest finds here."""

BY_ADA = ("--reason", "court order 12", "--operator", "Ada")


@pytest.fixture
def account_id(application: Application) -> UUID:
    return application.accounts.open(NewAccount(TEST_MERCHANT_ID, "Wallet", "USD")).id


def list_audited(application: Application, type: AuditEventType) -> list[RecordedAuditEvent]:
    """Newest first."""
    events, _ = application.merchants.list_audit_events(TEST_MERCHANT_ID, None, 20)
    return [event for event in events if event.type == type]


def test_account_is_frozen_closed_and_reopened(
    atomic: CommandRunner, application: Application, account_id: UUID
) -> None:
    def get_status() -> AccountStatus:
        return application.accounts.get(TEST_MERCHANT_ID, account_id).status

    [line] = atomic.lines("accounts", "freeze", account_id, *BY_ADA)
    assert line == f"The account {account_id} is FROZEN since {NOW}."
    assert get_status() == "FROZEN"
    closed = atomic.json("accounts", "close", account_id, *BY_ADA)
    assert (closed["id"], closed["merchantId"]) == (str(account_id), str(TEST_MERCHANT_ID))
    assert closed["status"] == get_status() == "CLOSED"
    atomic.lines("accounts", "reopen", account_id, *BY_ADA)
    assert get_status() == "OPEN"


def test_change_of_status_is_audited_as_the_operators(
    atomic: CommandRunner, application: Application, account_id: UUID
) -> None:
    atomic.lines("accounts", "freeze", account_id, *BY_ADA)
    atomic.lines("accounts", "freeze", account_id, *BY_ADA)
    [event] = list_audited(application, AuditEventType.ACCOUNT_STATUS_CHANGED)
    assert event.actor == "operator"
    assert event.details == {
        "accountId": str(account_id),
        "status": "FROZEN",
        "reason": "court order 12",
        "operator": "Ada",
    }


@pytest.mark.parametrize("command", ["freeze", "close", "reopen"])
def test_reason_is_required(
    atomic: CommandRunner, application: Application, account_id: UUID, command: str
) -> None:
    result = atomic("accounts", command, account_id)
    assert result.exit_code == 2
    assert "--reason" in result.output
    assert list_audited(application, AuditEventType.ACCOUNT_STATUS_CHANGED) == []


def test_account_with_a_balance_is_not_closed(
    atomic: CommandRunner, application: Application
) -> None:
    account_id = settle_payment(application).account_id
    assert "must be 0" in atomic.error_line("accounts", "close", account_id, *BY_ADA)
    assert application.accounts.get(TEST_MERCHANT_ID, account_id).status == "OPEN"


def test_unknown_and_system_accounts_are_refused(
    atomic: CommandRunner, application: Application
) -> None:
    settle_payment(application)
    for arguments in (("accounts", "freeze"), ("ledger", "explain")):
        options = BY_ADA if "freeze" in arguments else ()
        error = atomic.error_line(*arguments, uuid4(), *options)
        assert error == "Error: No account has this id."
        error = atomic.error_line(*arguments, world_account_id("USD"), *options)
        assert error.startswith("Error: This is a system account.")


def test_periods_are_closed_and_listed(atomic: CommandRunner, application: Application) -> None:
    account_id = settle_payment(application).account_id
    assert atomic.json("ledger", "periods") == {"periods": [], "nextCursor": None}
    lines = atomic.lines("ledger", "periods", "close", "2026-10-31", "--operator", "Ada")
    assert "To        2026-10-31" in lines
    second = atomic.json("ledger", "periods", "close", "2026-11-21")
    assert (second["startDate"], second["endDate"], second["accounts"]) == (
        "2026-11-01", "2026-11-21", 1,
    )  # fmt: skip
    listed = atomic.json("ledger", "periods", "list", "--limit", 1)
    assert listed["periods"] == [second]
    assert listed["nextCursor"] == second["id"]
    page = atomic.json("ledger", "periods", "list", "--after", listed["nextCursor"])
    [first] = page["periods"]
    assert (first["startDate"], page["nextCursor"]) == (None, None)
    assert second["previousDigest"] == first["digest"]
    assert atomic.lines("ledger", "periods")[1].startswith(f"{second['id']}  2026-11-01")
    _, closed = list_audited(application, AuditEventType.LEDGER_PERIOD_CLOSED)
    assert (closed.actor, closed.details["operator"]) == ("operator", "Ada")
    [balance] = application.periods.list_balances(
        TEST_MERCHANT_ID, UUID(second["id"]), None, 10
    ).items
    assert (balance.account_id, balance.balance) == (account_id, 0)


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", "2026-10-31T00:00:00Z"])
def test_other_days_are_refused(atomic: CommandRunner, day: str) -> None:
    result = atomic("ledger", "periods", "close", day)
    assert result.exit_code == 2
    assert "Must be a date such as 2026-10-31." in result.output


def test_day_that_is_not_over_or_is_closed_is_refused(atomic: CommandRunner) -> None:
    error = atomic.error_line("ledger", "periods", "close", "2026-11-22", status=2)
    assert "Must be before the present day" in error
    atomic.lines("ledger", "periods", "close", "2026-10-31")
    error = atomic.error_line("ledger", "periods", "close", "2026-10-31")
    assert "Must be after 2026-10-31" in error


def test_balance_is_explained_page_by_page(
    atomic: CommandRunner, application: Application, clock: ManualClock
) -> None:
    first = settle_payment(application, amount=5_000)
    clock.time += timedelta(days=2)
    second = settle_payment(application, amount=700)
    found = atomic.json("ledger", "explain", second.account_id, "--limit", 1)
    assert (found["openingBalance"], found["closingBalance"], found["change"]) == (0, 5_700, 5_700)
    [kind] = found["kinds"]
    assert (kind["entries"], kind["debit"], kind["credit"], kind["change"]) == (2, 0, 5_700, 5_700)
    assert [item["paymentId"] for item in found["items"]] == [str(second.id)]
    page = atomic.json("ledger", "explain", second.account_id, "--after", found["nextCursor"])
    assert [item["paymentId"] for item in page["items"]] == [str(first.id)]
    assert (page["kinds"], page["nextCursor"]) == (None, None)


def test_balance_is_explained_between_moments(
    atomic: CommandRunner, application: Application, clock: ManualClock
) -> None:
    settle_payment(application, amount=5_000)
    clock.time = datetime(2026, 11, 24, tzinfo=UTC)
    payment = settle_payment(application, amount=700)
    moments = ("--from", "2026-11-23", "--to", "2026-11-24T12:00:00Z")
    lines = atomic.lines("ledger", "explain", payment.account_id, *moments)
    assert lines[1:6] == [
        "From     2026-11-23 23:59:59Z",
        "To       2026-11-24 12:00:00Z",
        "Opening  50.00 USD",
        "Closing  57.00 USD",
        "Change   7.00 USD",
    ]
    assert lines[-1].split()[4:6] == ["7.00", "57.00"]
    assert str(payment.id) in lines[-1]
    reversed_moments = ("--from", "2026-11-24", "--to", "2026-11-23")
    error = atomic.error_line("ledger", "explain", payment.account_id, *reversed_moments, status=2)
    assert "Must not be before from." in error
