"""A payment's story, on both stores: in the order in which it happened."""

from atomic_core.domain.events import Event
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Capture, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import NewCapture
from payment_scenarios import Shop
from support import NOW, Store, application_over

MANUAL = Capture.MANUAL


def test_the_story_of_a_charge_that_was_tried_again(shop: Shop) -> None:
    failed = shop.pay(100, "tok_chargeDeclinedProcessingError")
    assert shop.told(failed) == [
        Event.CREATED,
        Event.PROCESSING,
        Event.RETRIED,
        Event.RETRIED,
        Event.FAILED,
    ]


def test_the_story_of_a_hold_that_expired(store: Store, shop: Shop) -> None:
    shop.application = application_over(store.begin, hold_for=NOW)
    held = shop.pay(100, capture=MANUAL)
    shop.application.settlement.expire_holds()
    shop.settled(held)
    assert shop.told(held) == [
        Event.CREATED,
        Event.PROCESSING,
        Event.AUTHORIZED,
        Event.EXPIRED,
        Event.CANCELED,
    ]


def test_a_story_is_of_one_payment(shop: Shop) -> None:
    one, other = shop.pay(100, capture=MANUAL), shop.pay(200, capture=MANUAL)
    shop.cancel(other)
    shop.settled(other)
    held = [Event.CREATED, Event.PROCESSING, Event.AUTHORIZED]
    assert shop.told(one) == held
    assert shop.told(other) == [*held, Event.CANCEL_REQUESTED, Event.CANCELED]


def test_who_waited_for_a_payment_comes_after_what_it_waited_for(store: Store, shop: Shop) -> None:
    """Units of work that began before what they then found."""
    asked = NewPayment(shop.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    held = shop.application.payments.accept(asked)
    with store.begin() as work:
        authorized = shop.settled(held)
        order = NewCapture(shop.merchant_id, held.id)
        captured = shop.application.payments.capture.within(work, order)
        work.commit()
    assert captured.updated_at >= authorized.updated_at
    with store.begin() as work:
        done = shop.settled(held)
        shop.application.refunds.create.within(work, NewRefund(shop.merchant_id, held.id))
        work.commit()
    assert shop.application.payments.get(shop.merchant_id, held.id).updated_at >= done.updated_at
    shop.settled(held)
    assert shop.told(held) == [
        Event.CREATED,
        Event.PROCESSING,
        Event.AUTHORIZED,
        Event.CAPTURE_REQUESTED,
        Event.SUCCEEDED,
        Event.REFUND_CREATED,
        Event.REFUND_PROCESSING,
        Event.REFUND_RESERVED,
        Event.REFUND_SUCCEEDED,
    ]
