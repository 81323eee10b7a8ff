"""Money given back, on both stores: never more than was captured, nor than is there."""

import pytest

from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.lists import RefundFilter
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Capture, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.refunds import MAX_REFUNDS
from atomic_core.use_cases.settlement import Batch
from payment_scenarios import Shop
from support import Store, add_merchant

MANUAL = Capture.MANUAL


def test_refunds_never_exceed_what_was_captured(shop: Shop) -> None:
    held = shop.pay(1_000, capture=MANUAL)
    shop.capture(held, 600)
    shop.settled(held)
    assert shop.give_back(held, 250) == (Status.SUCCESS, None)
    for amount in (351, 600, MAX_AMOUNT):
        with pytest.raises(Conflict, match="More than is left"):
            shop.ask_back(held, amount)
    with pytest.raises(ValidationFailed):
        shop.ask_back(held, 0)
    assert shop.give_back(held) == (Status.SUCCESS, None)
    with pytest.raises(Conflict):
        shop.ask_back(held)
    done = shop.settled(held)
    assert (done.amount_captured, done.amount_refunded, done.refundable) == (600, 600, 0)
    assert shop.account.balance == 0
    shop.check_books()


def test_refunds_under_way_count(shop: Shop) -> None:
    paid = shop.pay(100)
    shop.ask_back(paid, 70)
    with pytest.raises(Conflict, match="More than is left") as conflict:
        shop.ask_back(paid, 31)
    assert conflict.value.details == {"amount": ["30 of 100 can still be refunded."]}
    assert shop.ask_back(paid).money.amount == 30
    assert shop.settled(paid).amount_refunded == 100


def test_only_a_success_is_refunded(shop: Shop) -> None:
    held = shop.pay(100, capture=MANUAL)
    failed = shop.pay(100, "tok_chargeDeclined")
    for payment in (held, failed):
        with pytest.raises(Conflict) as conflict:
            shop.ask_back(payment)
        assert conflict.value.details == {"status": [payment.status.value]}


def test_a_refund_that_failed_frees_what_it_reserved(shop: Shop) -> None:
    paid = shop.pay(700, "tok_refundDeclined")
    assert shop.give_back(paid) == (Status.FAILED, "refund_declined")
    assert (shop.account.balance, shop.account.pending) == (700, (0, 0))
    assert shop.settled(paid).refundable == 700
    faulty = shop.pay(300, "tok_refundProcessingError")
    assert shop.give_back(faulty) == (Status.FAILED, "processing_error")
    assert [call for call, _ in shop.network.asked] == ["refund"] * 4
    shop.check_books()


def test_the_balance_must_suffice_in_the_order_of_asking(shop: Shop) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(5_000, 0))
    one, other = shop.pay(100), shop.pay(100)
    refunds = [shop.ask_back(one, 60), shop.ask_back(other, 60), shop.ask_back(one, 40)]
    shop.settled(one)
    ends = [shop.application.refunds.get(shop.merchant_id, refund.id) for refund in refunds]
    assert [end.failure_reason for end in ends] == [None, "insufficient_balance", None]
    assert shop.network.asked == [("refund", refunds[0].id), ("refund", refunds[2].id)]
    assert (shop.account.balance, shop.account.available) == (0, 0)
    shop.check_books()


def test_what_a_dead_settler_promised_cannot_be_promised_again(shop: Shop) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(5_000, 0))
    one, other = shop.pay(100), shop.pay(100)
    promised = shop.ask_back(one)
    shop.network.fails = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    assert (shop.account.balance, shop.account.available) == (100, 0)
    late = shop.ask_back(other, 1)
    batches: list[Batch] = []
    shop.application.settlement.settle(done=batches.append)
    # By the ledger itself: what stands behind it would only put it off.
    assert [id for batch in batches for id, _ in batch.stuck] == []
    ended = shop.application.refunds.get(shop.merchant_id, late.id)
    assert ended.failure_reason == "insufficient_balance"
    refund = shop.application.refunds.get(shop.merchant_id, promised.id)
    assert refund.status is Status.SUCCESS
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    shop.check_books()


def test_what_is_on_hold_cannot_be_given_back(shop: Shop) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(10_000, 0))
    paid = shop.pay(100)
    shop.pay(100, capture=MANUAL)
    assert (shop.account.balance, shop.account.pending) == (0, (100, 0))
    assert shop.give_back(paid) == (Status.FAILED, "insufficient_balance")


def test_a_payment_has_a_bound_of_refunds(shop: Shop) -> None:
    paid = shop.pay(MAX_REFUNDS + 1)
    for _ in range(MAX_REFUNDS):
        shop.ask_back(paid, 1)
    with pytest.raises(Conflict, match="the most"):
        shop.ask_back(paid, 1)
    shop.settled(paid)
    page = shop.application.refunds.list.of_payment(
        shop.merchant_id, RefundFilter(payment_id=paid.id), None, MAX_REFUNDS + 1
    )
    assert len(page.items) == MAX_REFUNDS
    timeline = shop.application.payments.get_timeline(shop.merchant_id, paid.id)
    assert len(timeline.told) == 3 + 4 * MAX_REFUNDS
    shop.check_books()


def test_a_refund_is_its_merchants(store: Store, shop: Shop) -> None:
    paid, stranger = shop.pay(100), add_merchant(store.begin)
    refund = shop.ask_back(paid, 1)
    with pytest.raises(NotFound):
        shop.application.refunds.get(stranger, refund.id)
    with pytest.raises(NotFound):
        shop.application.refunds.create(NewRefund(stranger, paid.id, 1))
    with pytest.raises(NotFound):
        shop.application.refunds.list.of_payment(
            stranger, RefundFilter(payment_id=paid.id), None, 1
        )
    with pytest.raises(NotFound):
        shop.application.payments.get_timeline(stranger, paid.id)
