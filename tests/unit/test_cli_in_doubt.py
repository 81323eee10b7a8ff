"""The commands for payments and refunds that the card network has left open."""

import getpass

import pytest

from atomic_adapters.system import ManualClock
from atomic_core.application import Application
from atomic_core.domain.money import format_minor_units
from atomic_core.domain.payments import Payment
from atomic_core.use_cases.in_doubt import DEFAULT_IN_DOUBT_ALARM
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from support import build_payment
from unit.test_cli_operators import NOW, CommandRunner, application, atomic, clock

__all__ = ["application", "atomic", "clock"]
"""Fixtures that pytest finds here."""

OPTIONS = ("--as", "succeeded", "--reason", "ticket 7")


@pytest.fixture
def payment(application: Application) -> Payment:
    """In doubt: the network answers neither calls nor inquiries."""
    new_payment = build_payment(TEST_MERCHANT_ID, source="tok_noAnswer")
    payment = application.payments.record(new_payment)
    application.settlement.settle()
    return payment


def test_in_doubt_lists_open_steps(atomic: CommandRunner, payment: Payment) -> None:
    headings, row = atomic.lines("payments", "in-doubt")
    assert headings.split()[:4] == ["ID", "Kind", "Step", "Network"]
    assert row.split()[:4] == [str(payment.id), "payment", "charge", "unknown"]
    [listed] = atomic.json("payments", "in-doubt")["unresolved"]
    assert (listed["id"], listed["networkState"], listed["tries"]) == (
        str(payment.id),
        "unknown",
        1,
    )
    shown = atomic("payments", "show", payment.id).stdout
    assert f"Unresolved since  {NOW}" in shown


def test_totals_add_up_what_is_open(
    atomic: CommandRunner, application: Application, payment: Payment, clock: ManualClock
) -> None:
    clock.time += DEFAULT_IN_DOUBT_ALARM
    second = application.payments.record(
        build_payment(TEST_MERCHANT_ID, 700, source="tok_noAnswer")
    )
    application.settlement.settle()
    amount = payment.money.amount
    headings, row = atomic.lines("payments", "in-doubt", "--totals")
    assert headings.split()[:5] == ["Network", "State", "Currency", "Steps", "Amount"]
    assert row.split()[:7] == [
        *("sandbox", "unknown", "USD", "2", format_minor_units(amount + 700, "USD")),
        *("1", format_minor_units(amount, "USD")),
    ]
    [total] = atomic.json("payments", "in-doubt", "--totals")["totals"]
    assert (total["steps"], total["amount"], total["overdueAmount"]) == (2, amount + 700, amount)
    atomic.lines("payments", "resolve", second.id, *OPTIONS)
    [total] = atomic.json("payments", "in-doubt", "--totals")["totals"]
    assert (total["steps"], total["amount"]) == (1, amount)


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "SUCCESS"), ("failed", "FAILED")])
def test_resolve_ends_the_step(
    atomic: CommandRunner, application: Application, payment: Payment, outcome: str, status: str
) -> None:
    arguments = ("payments", "resolve", payment.id, "--as", outcome, "--reason", "ticket 7")
    [line] = atomic.lines(*arguments)
    assert line == f"The payment {payment.id} is {status} now."
    assert atomic.json("payments", "in-doubt") == {"unresolved": []}
    [event], _ = application.merchants.list_audit_events(TEST_MERCHANT_ID, None, 1)
    assert event.details["operator"] == getpass.getuser()
    assert (event.details["outcome"], event.details["reason"]) == (outcome, "ticket 7")


def test_resolve_records_the_given_operator(
    atomic: CommandRunner, application: Application, payment: Payment
) -> None:
    atomic.lines("payments", "resolve", payment.id, *OPTIONS, "--operator", "Ada")
    [event], _ = application.merchants.list_audit_events(TEST_MERCHANT_ID, None, 1)
    assert event.details["operator"] == "Ada"


def test_resolve_refuses_a_payment_that_is_not_open(
    atomic: CommandRunner, payment: Payment
) -> None:
    atomic.lines("payments", "resolve", payment.id, *OPTIONS)
    error = atomic.error_line("payments", "resolve", payment.id, *OPTIONS)
    assert error == "Error: The card network has not left this payment or refund open."
