"""Holds on both stores: captured, let go of, expired, each once."""

from datetime import timedelta

import pytest

from atomic_core.domain.errors import Conflict, NotFound, StorageRefused, ValidationFailed
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status, Step
from atomic_core.domain.settlement import Settlement
from payment_scenarios import PaymentScenario
from support import HOUR, NOW, Store, add_merchant, build_application

MANUAL = CaptureMethod.MANUAL


def test_hold_counts_as_pending_and_not_as_balance(shop: PaymentScenario) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.expires_at
    assert held.expires_at - held.created_at > timedelta(days=6, hours=23)
    assert (shop.account.balance, shop.account.pending, shop.account.available) == (0, (700, 0), 0)
    assert shop.application.ledger.verify().holds == 1
    shop.assert_ledger_is_clean()


@pytest.mark.parametrize(("asked", "taken"), [(None, 700), (700, 700), (1, 1)])
def test_capture_posts_its_amount_and_releases_the_rest(
    shop: PaymentScenario, asked: int | None, taken: int
) -> None:
    held = shop.pay(700, capture=MANUAL)
    capturing = shop.capture(held, asked)
    assert (capturing.status, capturing.step) == (Status.PROCESSING, Step.CAPTURE)
    done = shop.settle(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, taken)
    assert (shop.account.balance, shop.account.pending) == (taken, (0, 0))
    shop.assert_ledger_is_clean()


@pytest.mark.parametrize(
    ("amount", "refusal"), [(0, ValidationFailed), (-1, ValidationFailed), (701, Conflict)]
)
def test_capture_of_zero_or_above_hold_is_refused(
    shop: PaymentScenario, amount: int, refusal: type[Exception]
) -> None:
    held = shop.pay(700, capture=MANUAL)
    with pytest.raises(refusal):
        shop.capture(held, amount)
    assert shop.settle(held) == held


def test_void_posts_nothing(shop: PaymentScenario) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert shop.cancel(held).step == Step.VOID
    done = shop.settle(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "requested_by_merchant")
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    assert shop.network.calls == [("void", held.id)]
    shop.assert_ledger_is_clean()


def test_hold_does_not_expire_before_its_end(shop: PaymentScenario) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert shop.application.settlement.expire_holds() == 0
    assert shop.settle(held) == held


def test_hold_expires_once_after_its_end(store: Store, shop: PaymentScenario) -> None:
    shop.application = build_application(store.begin, card_network=shop.network, hold_period=NOW)
    held = shop.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert shop.application.settlement.expire_holds() == 1
    assert shop.application.settlement.expire_holds() == 0
    done = shop.settle(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "expired")
    assert shop.account.pending == (0, 0)
    assert shop.network.calls == [("void", held.id)]
    shop.assert_ledger_is_clean()


def test_second_resolution_of_hold_raises_conflict_with_status(shop: PaymentScenario) -> None:
    for first, second in ((shop.capture, shop.cancel), (shop.cancel, shop.capture)):
        held = shop.pay(100, capture=MANUAL)
        first(held)
        with pytest.raises(Conflict) as conflict:
            second(held)
        assert conflict.value.details == {"status": ["PROCESSING"]}
        done = shop.settle(held)
        for late in (shop.capture, shop.cancel):
            with pytest.raises(Conflict) as conflict:
                late(held)
            assert conflict.value.details == {"status": [done.status.value]}
        assert shop.settle(held) == done


def test_payment_without_hold_is_neither_captured_nor_canceled(
    store: Store, shop: PaymentScenario
) -> None:
    paid, failed = shop.pay(100), shop.pay(100, "tok_chargeDeclined", capture=MANUAL)
    assert failed.failure_reason == "card_declined"
    waiting = shop.application.payments.record(
        NewPayment(shop.merchant_id, Money(1, "USD"), "tok_visa", capture=MANUAL)
    )
    for payment in (paid, failed, waiting):
        for resolve in (shop.capture, shop.cancel):
            with pytest.raises(Conflict):
                resolve(payment)
    stranger = PaymentScenario(
        shop.application, shop.network, add_merchant(store.begin), shop.account_id
    )
    held = shop.pay(100, capture=MANUAL)
    for resolve in (stranger.capture, stranger.cancel):
        with pytest.raises(NotFound):
            resolve(held)
    assert shop.settle(held) == held


def test_claim_of_authorization_is_lost_after_capture_request(
    store: Store, shop: PaymentScenario
) -> None:
    """A settler whose commit got no answer tries again: by then a capture was asked for."""
    order = NewPayment(shop.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    payment = shop.application.payments.record(order)
    with store.begin() as work:
        stale = work.payments.claim(10, HOUR, NOW)
        work.commit()
    with store.begin() as work:
        work.payments.settle([Settlement(payment.id, Status.AUTHORIZED, None, 0, None)], HOUR)
        work.commit()
    shop.capture(payment)
    with store.begin() as work:
        assert work.payments.lock_claims(stale) == frozenset()


def test_settling_with_live_hold_is_refused(store: Store, shop: PaymentScenario) -> None:
    """Nobody would come again to let go of it."""
    held, paid = shop.pay(700, capture=MANUAL), shop.pay(700)
    shop.capture(held)
    refund = shop.create_refund(paid)
    shop.network.failing_call = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    for status, reason in ((Status.SUCCESS, None), (Status.FAILED, "processing_error")):
        with pytest.raises(StorageRefused), store.begin() as work:
            work.payments.settle([Settlement(held.id, status, reason, 0, None)], HOUR)
        with pytest.raises(StorageRefused), store.begin() as work:
            ended = Settlement(paid.id, status, reason, 0, None, refund_id=refund.id)
            work.refunds.settle([ended])
    assert shop.settle(held).status is Status.SUCCESS
    assert shop.settle(paid).amount_refunded == 700
    shop.assert_ledger_is_clean()


@pytest.mark.parametrize("source", ["tok_captureDeclined", "tok_captureProcessingError"])
def test_failed_capture_releases_hold(shop: PaymentScenario, source: str) -> None:
    held = shop.pay(700, source, capture=MANUAL)
    shop.capture(held)
    done = shop.settle(held)
    reason = "capture_declined" if source == "tok_captureDeclined" else "processing_error"
    assert (done.status, done.failure_reason) == (Status.FAILED, reason)
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    attempts = 1 if source == "tok_captureDeclined" else 3
    assert shop.network.calls == [("capture", held.id)] * attempts
    shop.assert_ledger_is_clean()


def test_undecided_network_is_called_until_it_decides(shop: PaymentScenario) -> None:
    held = shop.pay(700, "tok_slow", capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.attempt == 3
    shop.capture(held, 500)
    done = shop.settle(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, 500)
    shop.assert_ledger_is_clean()


def test_hold_beyond_maximum_balance_is_refused(shop: PaymentScenario) -> None:
    full = shop.pay(MAX_AMOUNT, capture=MANUAL)
    for capture in CaptureMethod:
        refused = shop.pay(1, capture=capture)
        assert (refused.status, refused.failure_reason) == (Status.FAILED, "balance_overflow")
    shop.capture(full, 1)
    assert shop.settle(full).status is Status.SUCCESS
    assert shop.pay(1).status is Status.SUCCESS
    shop.assert_ledger_is_clean()


@pytest.mark.parametrize("verb", ["capture", "void", "refund"])
def test_next_worker_settles_after_worker_died_in_network_call(
    shop: PaymentScenario, verb: str
) -> None:
    payment = shop.pay(700, capture=CaptureMethod.AUTOMATIC if verb == "refund" else MANUAL)
    ask = {"capture": shop.capture, "void": shop.cancel, "refund": shop.create_refund}[verb]
    ask(payment)
    shop.network.failing_call = verb
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    shop.assert_ledger_is_clean()
    if verb == "refund":
        assert shop.account.pending == (0, 700), "promised, and that is kept"
        assert shop.account.available == 0
    done = shop.settle(payment)
    assert len(shop.network.calls) == 2
    left = {"capture": (700, 0), "void": (0, 0), "refund": (0, 700)}[verb]
    assert (shop.account.balance, done.amount_refunded) == left
    assert shop.account.pending == (0, 0)
    shop.assert_ledger_is_clean()
