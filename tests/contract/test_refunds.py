"""Money given back, on both stores: never more than was captured, nor than is there."""

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


def test_refund_above_captured_amount_is_refused(shop: PaymentScenario) -> None:
    held = shop.pay(1_000, capture=MANUAL)
    shop.capture(held, 600)
    shop.settle(held)
    assert shop.refund_and_settle(held, 250) == (Status.SUCCESS, None)
    for amount in (351, 600, MAX_AMOUNT):
        with pytest.raises(Conflict, match="exceeds the refundable amount"):
            shop.create_refund(held, amount)
    with pytest.raises(ValidationFailed):
        shop.create_refund(held, 0)
    assert shop.refund_and_settle(held) == (Status.SUCCESS, None)
    with pytest.raises(Conflict):
        shop.create_refund(held)
    done = shop.settle(held)
    assert (done.amount_captured, done.amount_refunded, done.amount_refundable) == (600, 600, 0)
    assert shop.account.balance == 0
    shop.assert_ledger_is_clean()


def test_pending_refunds_reduce_refundable_amount(shop: PaymentScenario) -> None:
    paid = shop.pay(100)
    shop.create_refund(paid, 70)
    with pytest.raises(Conflict, match="exceeds the refundable amount") as conflict:
        shop.create_refund(paid, 31)
    assert conflict.value.details == {"amount": ["30 of 100 can still be refunded."]}
    assert shop.create_refund(paid).money.amount == 30
    assert shop.settle(paid).amount_refunded == 100


def test_refund_of_unsuccessful_payment_is_refused(shop: PaymentScenario) -> None:
    held = shop.pay(100, capture=MANUAL)
    failed = shop.pay(100, "tok_chargeDeclined")
    for payment in (held, failed):
        with pytest.raises(Conflict) as conflict:
            shop.create_refund(payment)
        assert conflict.value.details == {"status": [payment.status.value]}


def test_failed_refund_releases_reserved_amount(shop: PaymentScenario) -> None:
    paid = shop.pay(700, "tok_refundDeclined")
    assert shop.refund_and_settle(paid) == (Status.FAILED, "refund_declined")
    assert (shop.account.balance, shop.account.pending) == (700, (0, 0))
    assert shop.settle(paid).amount_refundable == 700
    faulty = shop.pay(300, "tok_refundProcessingError")
    assert shop.refund_and_settle(faulty) == (Status.FAILED, "processing_error")
    assert [call for call, _ in shop.network.calls] == ["refund"] * 4
    shop.assert_ledger_is_clean()


def test_refunds_use_available_balance_in_order_of_creation(shop: PaymentScenario) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(5_000, 0))
    one, other = shop.pay(100), shop.pay(100)
    refunds = [
        shop.create_refund(one, 60),
        shop.create_refund(other, 60),
        shop.create_refund(one, 40),
    ]
    shop.settle(one)
    ends = [shop.application.refunds.get(shop.merchant_id, refund.id) for refund in refunds]
    assert [end.failure_reason for end in ends] == [None, "insufficient_balance", None]
    assert shop.network.calls == [("refund", refunds[0].id), ("refund", refunds[2].id)]
    assert (shop.account.balance, shop.account.available) == (0, 0)
    shop.assert_ledger_is_clean()


def test_reservation_of_dead_worker_stays_unavailable(shop: PaymentScenario) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(5_000, 0))
    one, other = shop.pay(100), shop.pay(100)
    promised = shop.create_refund(one)
    shop.network.failing_call = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    assert (shop.account.balance, shop.account.available) == (100, 0)
    late = shop.create_refund(other, 1)
    batches: list[SettledBatch] = []
    shop.application.settlement.settle(on_batch=batches.append)
    # By the ledger itself: what stands behind it would only put it off.
    assert [id for batch in batches for id, _ in batch.rejected] == []
    ended = shop.application.refunds.get(shop.merchant_id, late.id)
    assert ended.failure_reason == "insufficient_balance"
    refund = shop.application.refunds.get(shop.merchant_id, promised.id)
    assert refund.status is Status.SUCCESS
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    shop.assert_ledger_is_clean()


def test_pending_hold_cannot_fund_refund(shop: PaymentScenario) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(10_000, 0))
    paid = shop.pay(100)
    shop.pay(100, capture=MANUAL)
    assert (shop.account.balance, shop.account.pending) == (0, (100, 0))
    assert shop.refund_and_settle(paid) == (Status.FAILED, "insufficient_balance")


def test_refund_above_maximum_count_is_refused(shop: PaymentScenario) -> None:
    paid = shop.pay(MAX_REFUNDS + 1)
    for _ in range(MAX_REFUNDS):
        shop.create_refund(paid, 1)
    with pytest.raises(Conflict, match="This payment has 100 refunds, the maximum"):
        shop.create_refund(paid, 1)
    shop.settle(paid)
    page = shop.application.refunds.list_by_payment(
        shop.merchant_id, RefundFilter(payment_id=paid.id), None, MAX_REFUNDS + 1
    )
    assert len(page.items) == MAX_REFUNDS
    timeline = shop.application.payments.get_timeline(shop.merchant_id, paid.id)
    assert len(timeline.events) == 3 + 4 * MAX_REFUNDS
    shop.assert_ledger_is_clean()


def test_refund_of_another_merchant_is_not_found(store: Store, shop: PaymentScenario) -> None:
    paid, stranger = shop.pay(100), add_merchant(store.begin)
    refund = shop.create_refund(paid, 1)
    with pytest.raises(NotFound):
        shop.application.refunds.get(stranger, refund.id)
    with pytest.raises(NotFound):
        shop.application.refunds.create(NewRefund(stranger, paid.id, 1))
    with pytest.raises(NotFound):
        shop.application.refunds.list_by_payment(
            stranger, RefundFilter(payment_id=paid.id), None, 1
        )
    with pytest.raises(NotFound):
        shop.application.payments.get_timeline(stranger, paid.id)
