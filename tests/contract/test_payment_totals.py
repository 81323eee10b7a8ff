"""Totals of payments, on both stores: each change of a payment changes them in the same unit of
work, and verification finds those that are not the sum of their payments."""

from datetime import UTC

import pytest

from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.payments import CaptureMethod, HoldResolution, Payment, Status, Step
from payment_scenarios import PaymentScenario
from support import Store, build_payment


def build_subject(payment: Payment, status: str) -> str:
    day = payment.created_at.astimezone(UTC).date()
    return f"{payment.merchant_id}/{day}/{payment.money.currency}/{status}"


def find_wrong_totals(store: Store) -> list[str]:
    with store.begin() as work:
        findings = work.ledger.verify().findings
    assert {finding.check for finding in findings} <= {LedgerCheck.TOTAL_IS_SUM}
    return [finding.subject for finding in findings]


def test_totals_follow_the_whole_life_of_payments(store: Store, scenario: PaymentScenario) -> None:
    paid = scenario.pay(1_000)
    scenario.assert_ledger_is_clean()
    scenario.refund_and_settle(paid, 400)
    scenario.assert_ledger_is_clean()
    scenario.pay(30, "tok_chargeDeclined")
    held = scenario.pay(500, capture=CaptureMethod.MANUAL)
    scenario.assert_ledger_is_clean()
    scenario.settle(scenario.capture(held, 50))
    canceled = scenario.pay(70, capture=CaptureMethod.MANUAL)
    scenario.settle(scenario.cancel(canceled))
    scenario.application.payments.record(build_payment(scenario.merchant_id))
    scenario.assert_ledger_is_clean()


def test_changed_total_is_found(store: Store, scenario: PaymentScenario) -> None:
    payment = scenario.pay(1_000)
    store.tampering.change_total(scenario.merchant_id, Status.SUCCESS, refunded=1)
    assert find_wrong_totals(store) == [build_subject(payment, "SUCCESS")]


def test_missing_totals_are_found(store: Store, scenario: PaymentScenario) -> None:
    payment = scenario.pay(1_000)
    scenario.pay(20, "tok_chargeDeclined")
    store.tampering.delete_totals(scenario.merchant_id)
    assert find_wrong_totals(store) == [
        build_subject(payment, status) for status in ("FAILED", "SUCCESS")
    ]


@pytest.mark.parametrize("tamper", ["status", "amount", "fee", "refunded"])
def test_changed_payment_differs_from_its_total(
    store: Store, scenario: PaymentScenario, tamper: str
) -> None:
    payment = scenario.pay(1_000)
    match tamper:
        case "status":
            store.tampering.set_status(payment.id, Status.FAILED)
        case "amount":
            store.tampering.set_amount(payment.id, 999)
        case "fee":
            store.tampering.set_fee(payment.id, 1)
        case _:
            store.tampering.set_refunded(payment.id, 1, 1)
    with store.begin() as work:
        checks = {finding.check for finding in work.ledger.verify().findings}
    assert LedgerCheck.TOTAL_IS_SUM in checks


def test_unit_of_work_without_commit_changes_no_total(
    store: Store, scenario: PaymentScenario
) -> None:
    held = scenario.pay(500, capture=CaptureMethod.MANUAL)
    with store.begin() as work:
        work.payments.resolve_hold(HoldResolution(held.id, Step.CAPTURE, 500))
    scenario.assert_ledger_is_clean()
