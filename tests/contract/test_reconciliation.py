"""A card network's statement beside the ledger, on both stores: what differs is named, and nothing
else is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.errors import NetworkUnavailable, NotFound, ValidationFailed
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import CaptureMethod, Payment, Status
from atomic_core.domain.reconciliation import (
    Difference,
    DifferenceKind,
    LineKind,
    ReconciliationReport,
)
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim
from atomic_core.use_cases import reconciliation
from atomic_core.use_cases.holds import CaptureRequest
from statement_network import FEE, StatementNetwork
from support import NOW, Store, add_merchant, build_application, build_payment

SILENCE = NetworkResponse(Verdict.UNKNOWN, is_answered=False)
OPERATOR = Origin(ActorType.OPERATOR, operator="ada")
DAY = timedelta(days=1)


@pytest.fixture
def network() -> StatementNetwork:
    return StatementNetwork()


@pytest.fixture
def application(store: Store, network: StatementNetwork) -> Application:
    networks = {"stripe": network}
    return build_application(
        store.begin,
        card_networks=networks,
        statements=networks,
        default_network="stripe",
        lease=NOW,
    )


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def pay(application: Application, merchant_id: UUID) -> Callable[..., Payment]:
    def pay(amount: int = 5_000, **changes: object) -> Payment:
        payment = application.payments.record(
            replace(build_payment(merchant_id, amount), **changes)
        )
        application.settlement.settle()
        return payment

    return pay


def refund(application: Application, payment: Payment, amount: int) -> UUID:
    created = application.refunds.create(NewRefund(payment.merchant_id, payment.id, amount))
    application.settlement.settle()
    return created.id


def reconcile(application: Application, begin: datetime | None = None) -> ReconciliationReport:
    with application.reconciliation.run.begin_work() as work:
        end = work.now()
    return application.reconciliation.run("stripe", begin or end - DAY, end)


def get_only_difference(report: ReconciliationReport) -> Difference:
    [difference] = report.differences
    return difference


def test_equal_books_have_no_difference(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    paid, held = pay(), pay(7_000, capture=CaptureMethod.MANUAL)
    pay(source="tok_chargeDeclined")
    application.payments.capture(CaptureRequest(held.merchant_id, held.id, 3_000))
    application.settlement.settle()
    refund(application, paid, 2_000)
    network.add_line(LineKind.OTHER, -6_000, type="payout")
    report = reconcile(application)
    assert (report.is_clean, report.lines, report.matched) == (True, 4, 3)
    assert (report.other, report.fees) == ({"payout": 1}, {"USD": 2 * FEE})
    assert network.measured == [], "nothing needs a look-up"
    assert application.reconciliation.get(report.id) == report
    assert application.reconciliation.list(1) == [report]


def test_refund_outside_of_atomic_is_named(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    network.get_record(payment.id).refunded = 1
    line = network.add_line(LineKind.REFUND, -1, payment.id)
    report = reconcile(application)
    assert not report.is_clean
    assert get_only_difference(report) == Difference(
        DifferenceKind.AMOUNT,
        "USD",
        4_999,
        5_000,
        None,
        line.id,
        payment.id,
        payment.merchant_id,
        "SUCCESS",
    )


def test_refund_that_failed_later_is_named(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    refund_id = refund(application, payment, 2_000)
    network.get_record(payment.id).refunded = 0
    line = network.add_line(LineKind.REFUND, 2_000, payment.id, refund_id, "refund_failure")
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.payment_id) == (DifferenceKind.AMOUNT, payment.id)
    assert (difference.there, difference.here) == (5_000, 3_000)
    assert difference.line_id == line.id
    # Until an operator has decided, the books are as they were.
    assert application.refunds.get(payment.merchant_id, refund_id).status is Status.SUCCESS
    assert application.ledger.verify().is_clean


def test_charge_of_another_amount_is_named(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    network.get_record(payment.id).captured = 4_999
    network.lines[0] = network.lines[0]._replace(amount=4_999)
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.payment_id) == (DifferenceKind.AMOUNT, payment.id)
    assert (difference.there, difference.here) == (4_999, 5_000)


def test_line_in_another_currency_is_looked_up(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    network.lines[0] = network.lines[0]._replace(currency="EUR")
    assert reconcile(application).matched == 0
    assert network.measured == [payment.id]


def test_charge_that_is_not_ours_is_missing_here(
    application: Application, network: StatementNetwork
) -> None:
    line = network.add_line(LineKind.CHARGE, 900)
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.line_id) == (DifferenceKind.MISSING_HERE, line.id)
    assert (difference.there, difference.here) == (900, 0)


def test_money_of_a_failed_payment_is_missing_here(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay(source="tok_chargeDeclined")
    network.get_record(payment.id).captured = 5_000
    network.add_line(LineKind.CHARGE, 5_000, payment.id)
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.status) == (DifferenceKind.MISSING_HERE, "FAILED")


def test_second_charge_of_a_payment_is_named(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    network.get_record(payment.id).captured += 5_000
    line = network.add_line(LineKind.CHARGE, 5_000, payment.id)
    difference = get_only_difference(reconcile(application))
    assert (difference.there, difference.here) == (10_000, 5_000)
    assert difference.line_id == line.id


def test_posting_without_a_line_is_missing_there(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    network.lines.clear()
    network.records.clear()
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.payment_id) == (DifferenceKind.MISSING_THERE, payment.id)
    assert (difference.there, difference.here) == (0, 5_000)


def test_lines_beyond_the_period_are_no_difference(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    [line] = network.lines
    # The network has it on the day before, the ledger posted it later.
    network.lines[:] = [line._replace(created_at=line.created_at - 2 * DAY)]
    report = reconcile(application)
    assert report.is_clean
    assert network.measured == [payment.id]
    early = line.created_at - 3 * DAY
    with application.reconciliation.run.begin_work() as work:
        end = work.now() - DAY
    report = application.reconciliation.run("stripe", early, end)
    assert (report.is_clean, report.matched) == (True, 1)


def test_reversed_charge_is_no_difference(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay(source="tok_chargeDeclined")
    network.get_record(payment.id).captured = 5_000
    network.get_record(payment.id).refunded = 5_000
    network.add_line(LineKind.CHARGE, 5_000, payment.id)
    network.add_line(LineKind.REFUND, -5_000, payment.id)
    assert reconcile(application).is_clean


def test_what_is_in_doubt_explains_a_difference(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    def lose_answers(method: str, claim: Claim) -> NetworkResponse:
        return SILENCE

    network.fault = lose_answers
    payment = pay()
    report = reconcile(application)
    difference = get_only_difference(report)
    assert (report.is_clean, report.in_doubt_count) == (True, 1)
    assert (difference.kind, difference.open_ids) == (DifferenceKind.IN_DOUBT, (payment.id,))
    network.fault = lambda method, claim: None
    assert application.reconciliation.resolve_in_doubt(report, OPERATOR) == [payment.id]
    application.settlement.settle()
    assert application.payments.get(payment.merchant_id, payment.id).status is Status.SUCCESS
    [event], _ = application.merchants.list_audit_events(payment.merchant_id, None, 1)
    assert event.details["paymentId"] == str(payment.id)
    assert reconcile(application).differences == ()
    assert application.reconciliation.resolve_in_doubt(report, OPERATOR) == []


def test_refund_in_doubt_explains_a_difference(
    application: Application, network: StatementNetwork, pay: Callable[..., Payment]
) -> None:
    payment = pay()
    network.fault = lambda method, claim: SILENCE
    refund_id = refund(application, payment, 1_000)
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.open_ids) == (DifferenceKind.IN_DOUBT, (refund_id,))
    assert (difference.there, difference.here) == (4_000, 5_000)


def test_many_pages_of_postings_are_compared(
    application: Application,
    network: StatementNetwork,
    pay: Callable[..., Payment],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciliation, "PAGE", 2)
    payments = [pay() for _ in range(5)]
    network.lines.clear()
    assert reconcile(application).is_clean
    assert sorted(network.measured) == sorted(payment.id for payment in payments)


def test_payments_of_other_networks_need_no_line(
    application: Application, store: Store, network: StatementNetwork
) -> None:
    other = build_application(store.begin, default_network="sandbox", lease=NOW)
    other.payments.record(build_payment(add_merchant(store.begin)))
    other.settlement.settle()
    report = reconcile(application)
    assert (report.is_clean, network.measured) == (True, [])


def test_look_ups_are_bounded(
    application: Application,
    network: StatementNetwork,
    pay: Callable[..., Payment],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciliation, "MAX_SUSPECTS", 1)
    for _ in range(3):
        pay()
    network.lines.clear()
    report = reconcile(application)
    assert (report.is_clean, report.unchecked, len(network.measured)) == (False, 2, 1)


def test_kept_differences_are_bounded_and_all_are_counted(
    application: Application, network: StatementNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "MAX_DIFFERENCES", 2)
    for _ in range(3):
        network.add_line(LineKind.CHARGE, 900)
    report = reconcile(application)
    assert (report.difference_count, len(report.differences)) == (3, 2)


def test_last_day_is_reconciled_once(application: Application, network: StatementNetwork) -> None:
    use_cases = application.reconciliation
    assert use_cases.get_last_scheduled() == []
    [report] = use_cases.run_scheduled()
    assert report.end - report.begin == DAY
    assert (report.begin.hour, report.end.utcoffset()) == (0, timedelta())
    assert report.end <= datetime.now(UTC) - reconciliation.SCHEDULED_DELAY
    assert use_cases.run_scheduled() == []
    assert use_cases.get_last_scheduled() == [report]
    with use_cases.run.begin_work() as work:
        # By a second sweeper at the same time.
        assert not work.reconciliation.add(replace(report, id=UUID(int=7)))
        work.commit()
    assert use_cases.list(10) == [report]


def test_unavailable_network_leaves_no_report(
    application: Application, network: StatementNetwork
) -> None:
    network.is_available = False
    with pytest.raises(NetworkUnavailable):
        application.reconciliation.run_scheduled()
    assert application.reconciliation.list(1) == []


def test_period_must_be_past_and_short(application: Application) -> None:
    with application.reconciliation.run.begin_work() as work:
        now = work.now()
    run = application.reconciliation.run
    for begin, end in ((now - DAY, now + DAY), (now, now - DAY), (now - 32 * DAY, now)):
        with pytest.raises(ValidationFailed):
            run("stripe", begin, end)


def test_network_without_a_statement_is_not_found(application: Application) -> None:
    with application.reconciliation.run.begin_work() as work:
        now = work.now()
    with pytest.raises(NotFound):
        application.reconciliation.run("sandbox", now - DAY, now)
    with pytest.raises(NotFound):
        application.reconciliation.get(UUID(int=1))
