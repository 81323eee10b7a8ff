"""Limits of refunds, on both stores: the captured amount and the available balance."""

import pytest

from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.lists import RefundFilter
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import CaptureMethod, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.refunds import MAX_REFUNDS
from atomic_core.use_cases.settlement import SettledBatch
from payment_scenarios import PaymentScenario
from support import Store, add_merchant

MANUAL = CaptureMethod.MANUAL


def test_refund_above_captured_amount_is_refused(scenario: PaymentScenario) -> None:
    held = scenario.pay(1_000, capture=MANUAL)
    scenario.capture(held, 600)
    scenario.settle(held)
    assert scenario.refund_and_settle(held, 250) == (Status.SUCCESS, None)
    for amount in (351, 600, MAX_AMOUNT):
        with pytest.raises(Conflict, match="exceeds what can still be refunded"):
            scenario.create_refund(held, amount)
    with pytest.raises(ValidationFailed):
        scenario.create_refund(held, 0)
    assert scenario.refund_and_settle(held) == (Status.SUCCESS, None)
    with pytest.raises(Conflict):
        scenario.create_refund(held)
    done = scenario.settle(held)
    assert (done.amount_captured, done.amount_refunded, done.amount_refundable) == (600, 600, 0)
    assert scenario.account.balance == 0
    scenario.assert_ledger_is_clean()


def test_pending_refunds_reduce_refundable_amount(scenario: PaymentScenario) -> None:
    paid = scenario.pay(100)
    scenario.create_refund(paid, 70)
    with pytest.raises(Conflict, match="exceeds what can still be refunded") as conflict:
        scenario.create_refund(paid, 31)
    assert conflict.value.details == {"amount": ["30 of 100 can still be refunded."]}
    assert scenario.create_refund(paid).money.amount == 30
    assert scenario.settle(paid).amount_refunded == 100


def test_refund_of_unsuccessful_payment_is_refused(scenario: PaymentScenario) -> None:
    held = scenario.pay(100, capture=MANUAL)
    failed = scenario.pay(100, "tok_chargeDeclined")
    for payment in (held, failed):
        with pytest.raises(Conflict) as conflict:
            scenario.create_refund(payment)
        assert conflict.value.details == {"status": [payment.status.value]}


def test_failed_refund_releases_reserved_amount(scenario: PaymentScenario) -> None:
    paid = scenario.pay(700, "tok_refundDeclined")
    assert scenario.refund_and_settle(paid) == (Status.FAILED, "refund_declined")
    assert (scenario.account.balance, scenario.account.pending) == (700, (0, 0))
    assert scenario.settle(paid).amount_refundable == 700
    faulty = scenario.pay(300, "tok_refundProcessingError")
    assert scenario.refund_and_settle(faulty) == (Status.FAILED, "processing_error")
    assert [call for call, _ in scenario.network.calls] == ["refund"] * 2
    scenario.assert_ledger_is_clean()


def test_refunds_use_available_balance_in_order_of_creation(scenario: PaymentScenario) -> None:
    scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(5_000, 0))
    first, second = scenario.pay(100), scenario.pay(100)
    refunds = [
        scenario.create_refund(first, 60),
        scenario.create_refund(second, 60),
        scenario.create_refund(first, 40),
    ]
    scenario.settle(first)
    settled = [
        scenario.application.refunds.get(scenario.merchant_id, refund.id) for refund in refunds
    ]
    assert [refund.failure_reason for refund in settled] == [None, "insufficient_balance", None]
    assert scenario.network.calls == [("refund", refunds[0].id), ("refund", refunds[2].id)]
    assert (scenario.account.balance, scenario.account.available) == (0, 0)
    scenario.assert_ledger_is_clean()


def test_reservation_of_dead_worker_stays_unavailable(scenario: PaymentScenario) -> None:
    scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(5_000, 0))
    first, second = scenario.pay(100), scenario.pay(100)
    reserved = scenario.create_refund(first)
    scenario.network.failing_call = "refund"
    with pytest.raises(KeyboardInterrupt):
        scenario.application.settlement.settle()
    assert (scenario.account.balance, scenario.account.available) == (100, 0)
    late = scenario.create_refund(second, 1)
    batches: list[SettledBatch] = []
    scenario.application.settlement.settle(on_batch=batches.append)
    # The use case refuses the refund. A refusal of the database would only postpone it.
    assert [id for batch in batches for id, _ in batch.rejected] == []
    refused = scenario.application.refunds.get(scenario.merchant_id, late.id)
    assert refused.failure_reason == "insufficient_balance"
    refund = scenario.application.refunds.get(scenario.merchant_id, reserved.id)
    assert refund.status is Status.SUCCESS
    assert (scenario.account.balance, scenario.account.pending) == (0, (0, 0))
    scenario.assert_ledger_is_clean()


def test_pending_hold_cannot_fund_refund(scenario: PaymentScenario) -> None:
    scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(10_000, 0))
    paid = scenario.pay(100)
    scenario.pay(100, capture=MANUAL)
    assert (scenario.account.balance, scenario.account.pending) == (0, (100, 0))
    assert scenario.refund_and_settle(paid) == (Status.FAILED, "insufficient_balance")


def test_refund_above_maximum_count_is_refused(scenario: PaymentScenario) -> None:
    paid = scenario.pay(MAX_REFUNDS + 1)
    for _ in range(MAX_REFUNDS):
        scenario.create_refund(paid, 1)
    with pytest.raises(Conflict, match="This payment has 100 refunds, the maximum"):
        scenario.create_refund(paid, 1)
    scenario.settle(paid)
    page = scenario.application.refunds.list_by_payment(
        scenario.merchant_id, RefundFilter(payment_id=paid.id), None, MAX_REFUNDS + 1
    )
    assert len(page.items) == MAX_REFUNDS
    timeline = scenario.application.payments.get_timeline(scenario.merchant_id, paid.id)
    assert len(timeline.events) == 3 + 4 * MAX_REFUNDS
    scenario.assert_ledger_is_clean()


def test_refund_of_another_merchant_is_not_found(store: Store, scenario: PaymentScenario) -> None:
    paid, other_merchant_id = scenario.pay(100), add_merchant(store.begin)
    refund = scenario.create_refund(paid, 1)
    with pytest.raises(NotFound):
        scenario.application.refunds.get(other_merchant_id, refund.id)
    with pytest.raises(NotFound):
        scenario.application.refunds.create(NewRefund(other_merchant_id, paid.id, 1))
    with pytest.raises(NotFound):
        scenario.application.refunds.list_by_payment(
            other_merchant_id, RefundFilter(payment_id=paid.id), None, 1
        )
    with pytest.raises(NotFound):
        scenario.application.payments.get_timeline(other_merchant_id, paid.id)
