"""Holds on both stores: captured, let go of, expired, each once."""

from datetime import timedelta

import pytest

from atomic_core.domain.errors import Conflict, NotFound, StorageRefused, ValidationFailed
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import Capture, NewPayment, Status, Step
from atomic_core.domain.settlement import Settlement
from payment_scenarios import Shop
from support import HOUR, NOW, Store, add_merchant, application_over

MANUAL = Capture.MANUAL


def test_a_hold_counts_as_pending_and_is_no_balance(shop: Shop) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.expires_at
    assert held.expires_at - held.created_at > timedelta(days=6, hours=23)
    assert (shop.account.balance, shop.account.pending, shop.account.available) == (0, (700, 0), 0)
    assert shop.application.ledger.verify().holds == 1
    shop.check_books()


@pytest.mark.parametrize(("asked", "taken"), [(None, 700), (700, 700), (1, 1)])
def test_a_capture_takes_what_it_says_and_lets_go_of_the_rest(
    shop: Shop, asked: int | None, taken: int
) -> None:
    held = shop.pay(700, capture=MANUAL)
    capturing = shop.capture(held, asked)
    assert (capturing.status, capturing.step) == (Status.PROCESSING, Step.CAPTURE)
    done = shop.settled(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, taken)
    assert (shop.account.balance, shop.account.pending) == (taken, (0, 0))
    shop.check_books()


@pytest.mark.parametrize(
    ("amount", "refusal"), [(0, ValidationFailed), (-1, ValidationFailed), (701, Conflict)]
)
def test_no_more_than_is_held_is_captured(
    shop: Shop, amount: int, refusal: type[Exception]
) -> None:
    held = shop.pay(700, capture=MANUAL)
    with pytest.raises(refusal):
        shop.capture(held, amount)
    assert shop.settled(held) == held


def test_a_void_takes_nothing(shop: Shop) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert shop.cancel(held).step == Step.VOID
    done = shop.settled(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "requested_by_merchant")
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    assert shop.network.asked == [("void", held.id)]
    shop.check_books()


def test_a_hold_does_not_expire_early(shop: Shop) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert shop.application.settlement.expire_holds() == 0
    assert shop.settled(held) == held


def test_a_hold_that_has_ended_expires_once(store: Store, shop: Shop) -> None:
    shop.application = application_over(store.begin, network=shop.network, hold_for=NOW)
    held = shop.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert shop.application.settlement.expire_holds() == 1
    assert shop.application.settlement.expire_holds() == 0
    done = shop.settled(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "expired")
    assert shop.account.pending == (0, 0)
    assert shop.network.asked == [("void", held.id)]
    shop.check_books()


def test_a_hold_is_resolved_once_and_the_second_is_told_the_state(shop: Shop) -> None:
    for first, second in ((shop.capture, shop.cancel), (shop.cancel, shop.capture)):
        held = shop.pay(100, capture=MANUAL)
        first(held)
        with pytest.raises(Conflict) as conflict:
            second(held)
        assert conflict.value.details == {"status": ["PROCESSING"]}
        done = shop.settled(held)
        for late in (shop.capture, shop.cancel):
            with pytest.raises(Conflict) as conflict:
                late(held)
            assert conflict.value.details == {"status": [done.status.value]}
        assert shop.settled(held) == done


def test_what_is_not_held_can_be_neither_captured_nor_canceled(store: Store, shop: Shop) -> None:
    paid, failed = shop.pay(100), shop.pay(100, "tok_chargeDeclined", capture=MANUAL)
    assert failed.failure_reason == "card_declined"
    waiting = shop.application.payments.accept(
        NewPayment(shop.merchant_id, Money(1, "USD"), "tok_visa", capture=MANUAL)
    )
    for payment in (paid, failed, waiting):
        for resolve in (shop.capture, shop.cancel):
            with pytest.raises(Conflict):
                resolve(payment)
    stranger = Shop(shop.application, shop.network, add_merchant(store.begin), shop.account_id)
    held = shop.pay(100, capture=MANUAL)
    for resolve in (stranger.capture, stranger.cancel):
        with pytest.raises(NotFound):
            resolve(held)
    assert shop.settled(held) == held


def test_whoever_authorized_it_and_does_not_know_changes_nothing_later(
    store: Store, shop: Shop
) -> None:
    """A settler whose commit got no answer tries again: by then a capture was asked for."""
    order = NewPayment(shop.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    payment = shop.application.payments.accept(order)
    with store.begin() as work:
        stale = work.payments.claim(10, HOUR, NOW)
        work.commit()
    with store.begin() as work:
        work.payments.settle([Settlement(payment.id, Status.AUTHORIZED, None, 0, None)], HOUR)
        work.commit()
    shop.capture(payment)
    with store.begin() as work:
        assert work.payments.hold(stale) == frozenset()


def test_nothing_ends_while_its_money_is_held(store: Store, shop: Shop) -> None:
    """Nobody would come again to let go of it."""
    held, paid = shop.pay(700, capture=MANUAL), shop.pay(700)
    shop.capture(held)
    refund = shop.ask_back(paid)
    shop.network.fails = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    for status, reason in ((Status.SUCCESS, None), (Status.FAILED, "processing_error")):
        with pytest.raises(StorageRefused), store.begin() as work:
            work.payments.settle([Settlement(held.id, status, reason, 0, None)], HOUR)
        with pytest.raises(StorageRefused), store.begin() as work:
            ended = Settlement(paid.id, status, reason, 0, None, refund_id=refund.id)
            work.refunds.settle([ended])
    assert shop.settled(held).status is Status.SUCCESS
    assert shop.settled(paid).amount_refunded == 700
    shop.check_books()


@pytest.mark.parametrize("source", ["tok_captureDeclined", "tok_captureProcessingError"])
def test_a_hold_that_cannot_be_captured_is_let_go_of(shop: Shop, source: str) -> None:
    held = shop.pay(700, source, capture=MANUAL)
    shop.capture(held)
    done = shop.settled(held)
    reason = "capture_declined" if source == "tok_captureDeclined" else "processing_error"
    assert (done.status, done.failure_reason) == (Status.FAILED, reason)
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    attempts = 1 if source == "tok_captureDeclined" else 3
    assert shop.network.asked == [("capture", held.id)] * attempts
    shop.check_books()


def test_a_slow_card_is_asked_again_until_it_has_decided(shop: Shop) -> None:
    held = shop.pay(700, "tok_slow", capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.attempt == 3
    shop.capture(held, 500)
    done = shop.settled(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, 500)
    shop.check_books()


def test_what_may_come_in_must_find_room(shop: Shop) -> None:
    full = shop.pay(MAX_AMOUNT, capture=MANUAL)
    for capture in Capture:
        refused = shop.pay(1, capture=capture)
        assert (refused.status, refused.failure_reason) == (Status.FAILED, "balance_overflow")
    shop.capture(full, 1)
    assert shop.settled(full).status is Status.SUCCESS
    assert shop.pay(1).status is Status.SUCCESS
    shop.check_books()


@pytest.mark.parametrize("verb", ["capture", "void", "refund"])
def test_a_settler_that_dies_at_the_network_is_replaced(shop: Shop, verb: str) -> None:
    payment = shop.pay(700, capture=Capture.AUTOMATIC if verb == "refund" else MANUAL)
    ask = {"capture": shop.capture, "void": shop.cancel, "refund": shop.ask_back}[verb]
    ask(payment)
    shop.network.fails = verb
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    shop.check_books()
    if verb == "refund":
        assert shop.account.pending == (0, 700), "promised, and that is kept"
        assert shop.account.available == 0
    done = shop.settled(payment)
    assert len(shop.network.asked) == 2
    left = {"capture": (700, 0), "void": (0, 0), "refund": (0, 700)}[verb]
    assert (shop.account.balance, done.amount_refunded) == left
    assert shop.account.pending == (0, 0)
    shop.check_books()
