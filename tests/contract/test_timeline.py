"""A payment's story, on both stores: in the order in which it happened."""

from atomic_core.domain.events import PaymentEventType
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CaptureRequest
from payment_scenarios import PaymentScenario
from support import NOW, Store, build_application

MANUAL = CaptureMethod.MANUAL


def test_timeline_of_retried_charge(shop: PaymentScenario) -> None:
    failed = shop.pay(100, "tok_chargeDeclinedProcessingError")
    assert shop.list_event_types(failed) == [
        PaymentEventType.CREATED,
        PaymentEventType.PROCESSING,
        PaymentEventType.RETRIED,
        PaymentEventType.RETRIED,
        PaymentEventType.FAILED,
    ]


def test_timeline_of_expired_hold(store: Store, shop: PaymentScenario) -> None:
    shop.application = build_application(store.begin, hold_period=NOW)
    held = shop.pay(100, capture=MANUAL)
    shop.application.settlement.expire_holds()
    shop.settle(held)
    assert shop.list_event_types(held) == [
        PaymentEventType.CREATED,
        PaymentEventType.PROCESSING,
        PaymentEventType.AUTHORIZED,
        PaymentEventType.EXPIRED,
        PaymentEventType.CANCELED,
    ]


def test_timeline_contains_one_payment(shop: PaymentScenario) -> None:
    one, other = shop.pay(100, capture=MANUAL), shop.pay(200, capture=MANUAL)
    shop.cancel(other)
    shop.settle(other)
    held = [PaymentEventType.CREATED, PaymentEventType.PROCESSING, PaymentEventType.AUTHORIZED]
    assert shop.list_event_types(one) == held
    assert shop.list_event_types(other) == [
        *held,
        PaymentEventType.CANCEL_REQUESTED,
        PaymentEventType.CANCELED,
    ]


def test_events_are_ordered_by_commit_not_by_begin(store: Store, shop: PaymentScenario) -> None:
    """Units of work that began before what they then found."""
    asked = NewPayment(shop.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    held = shop.application.payments.record(asked)
    with store.begin() as work:
        authorized = shop.settle(held)
        order = CaptureRequest(shop.merchant_id, held.id)
        captured = shop.application.payments.capture.execute(work, order)
        work.commit()
    assert captured.updated_at >= authorized.updated_at
    with store.begin() as work:
        done = shop.settle(held)
        shop.application.refunds.create.execute(work, NewRefund(shop.merchant_id, held.id))
        work.commit()
    assert shop.application.payments.get(shop.merchant_id, held.id).updated_at >= done.updated_at
    shop.settle(held)
    assert shop.list_event_types(held) == [
        PaymentEventType.CREATED,
        PaymentEventType.PROCESSING,
        PaymentEventType.AUTHORIZED,
        PaymentEventType.CAPTURE_REQUESTED,
        PaymentEventType.SUCCEEDED,
        PaymentEventType.REFUND_CREATED,
        PaymentEventType.REFUND_PROCESSING,
        PaymentEventType.REFUND_RESERVED,
        PaymentEventType.REFUND_SUCCEEDED,
    ]
