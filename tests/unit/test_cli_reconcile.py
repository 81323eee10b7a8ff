"""The commands of reconciliation, with text and JSON output and their exit status."""

from datetime import UTC, datetime, timedelta

import pytest

from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.payments import Payment
from atomic_core.domain.reconciliation import LineKind
from atomic_worker.commands.seed import TEST_MERCHANT_ID, TEST_MERCHANT_NAME
from statement_network import StatementNetwork
from support import build_payment, with_use_cases
from unit.test_cli_operators import CommandRunner, atomic

__all__ = ["atomic"]
"""A fixture that pytest finds here."""

TODAY = datetime.now(UTC).date()
PERIOD = ("--from", str(TODAY - timedelta(days=1)))


@pytest.fixture
def network() -> StatementNetwork:
    return StatementNetwork()


@pytest.fixture
def application(network: StatementNetwork) -> Application:
    """Its sandbox has a statement, under the name that the command has."""
    application = in_memory(card_network=network, statement=network)
    application.merchants.add(TEST_MERCHANT_NAME, TEST_MERCHANT_ID)
    run = application.reconciliation.run

    def run_sandbox(name: str, begin: datetime, end: datetime) -> object:
        assert name == "stripe"
        return run("sandbox", begin, end)

    return with_use_cases(application, {"reconciliation.run": run_sandbox})


@pytest.fixture
def payment(application: Application, network: StatementNetwork) -> Payment:
    """Of yesterday, by the network's statement."""
    payment = application.payments.record(build_payment(TEST_MERCHANT_ID, 5_000))
    application.settlement.settle()
    date_back(network)
    return payment


def date_back(network: StatementNetwork) -> None:
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    yesterday = midnight - timedelta(hours=1)
    network.lines[:] = [line._replace(created_at=yesterday) for line in network.lines]


def test_equal_books_exit_with_0(atomic: CommandRunner, payment: Payment) -> None:
    lines = atomic.lines("reconcile", "stripe")
    assert lines[0].endswith(": 1 lines, 1 matched, 0 differ, 0 in doubt.")
    assert lines[1:] == ["Fees of the network: 0.03 USD."]
    report = atomic.json("reconcile", "stripe", *PERIOD, "--to", str(TODAY))
    assert report["clean"]
    assert (report["from"], report["to"]) == (
        f"{TODAY - timedelta(days=1)}T00:00:00+00:00",
        f"{TODAY}T00:00:00+00:00",
    )
    assert (report["lines"], report["matched"], report["fees"]) == (1, 1, {"USD": 3})


def test_difference_is_named_and_exits_with_1(
    atomic: CommandRunner, network: StatementNetwork, payment: Payment
) -> None:
    network.get_record(payment.id).refunded = 1
    network.add_line(LineKind.REFUND, -1, payment.id)
    network.add_line(LineKind.OTHER, -5_000, type="payout")
    date_back(network)
    result = atomic("reconcile", "stripe", *PERIOD)
    assert result.exit_code == 1
    head, other, fees, blank, headings, row = result.stdout.splitlines()
    assert head.endswith(": 3 lines, 1 matched, 1 differ, 0 in doubt.")
    assert (other, blank) == ("Not compared: 1 of type payout.", "")
    assert fees.startswith("Fees")
    assert headings.split() == [
        *("Difference", "There", "Here", "Currency", "Status", "Payment", "Reference")
    ]
    assert row.split()[:6] == [
        *("amount_differs", "49.99", "50.00", "USD", "SUCCESS", str(payment.id))
    ]
    [listed] = atomic.json("reconcile", "list")["reports"]
    assert (listed["clean"], listed["differenceCount"]) == (False, 1)
    assert atomic.lines("reconcile")[1].split()[0] == listed["id"]
    shown = atomic.json("reconcile", "show", listed["id"])
    [difference] = shown["differences"]
    assert (difference["kind"], difference["there"]) == ("amount_differs", 4_999)
    assert atomic.lines("reconcile", "show", listed["id"]) == result.stdout.splitlines()


def test_apply_makes_what_is_in_doubt_due(
    atomic: CommandRunner, application: Application, network: StatementNetwork
) -> None:
    def raise_error(method: str, claim: object) -> None:
        raise TimeoutError

    network.fault = raise_error
    payment = application.payments.record(build_payment(TEST_MERCHANT_ID, 5_000))
    application.settlement.settle()
    date_back(network)
    assert atomic.json("reconcile", "stripe")["retried"] == []
    result = atomic("reconcile", "stripe", "--apply", "--operator", "ada")
    assert result.exit_code == 0, "what is in doubt is no difference"
    assert result.stdout.splitlines()[-1] == f"{payment.id} is due now."
    [event], _ = application.merchants.list_audit_events(TEST_MERCHANT_ID, None, 1)
    assert event.details["operator"] == "ada"


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-31T12:00:00", "2026-13-01", "1"])
def test_moment_must_be_a_day_or_have_an_offset(atomic: CommandRunner, moment: str) -> None:
    result = atomic("reconcile", "stripe", "--from", moment)
    assert result.exit_code == 2
    assert "Must be a date such as" in result.stderr


def test_unknown_report_and_future_period_are_refused(atomic: CommandRunner) -> None:
    assert "No reconciliation has this id." in atomic.error_line(
        "reconcile", "show", TEST_MERCHANT_ID
    )
    future = str(TODAY + timedelta(days=2))
    assert "Must be after" in atomic.error_line(
        "reconcile", "stripe", *PERIOD, "--to", future, status=2
    )


def test_deployment_without_stripe_says_so() -> None:
    atomic = CommandRunner(in_memory())
    assert "No card network" in atomic.error_line("reconcile", "stripe", *PERIOD)
