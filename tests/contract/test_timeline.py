"""Timelines of payments, on both stores: events in the order of their commits."""

import pytest

from atomic_core.domain.events import EventType
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CaptureRequest
from payment_scenarios import PaymentScenario
from support import NOW, Store, build_application

MANUAL = CaptureMethod.MANUAL


@pytest.mark.parametrize(
    ("token", "event_type"),
    [
        ("tok_answerLost", EventType.IN_DOUBT),
        ("tok_slow", EventType.PENDING_AT_NETWORK),
    ],
)
def test_timeline_of_charge_without_final_response_records_it_once(
    scenario: PaymentScenario, token: str, event_type: EventType
) -> None:
    paid = scenario.pay(100, token)
    assert scenario.list_event_types(paid) == [
        EventType.CREATED,
        EventType.PROCESSING,
        event_type,
        EventType.SUCCEEDED,
    ]


def test_timeline_of_expired_hold(store: Store, scenario: PaymentScenario) -> None:
    scenario.application = build_application(store.begin, hold_period=NOW)
    held = scenario.pay(100, capture=MANUAL)
    scenario.application.settlement.expire_holds()
    scenario.settle(held)
    assert scenario.list_event_types(held) == [
        EventType.CREATED,
        EventType.PROCESSING,
        EventType.AUTHORIZED,
        EventType.EXPIRED,
        EventType.CANCELED,
    ]


def test_timeline_contains_one_payment(scenario: PaymentScenario) -> None:
    first, second = scenario.pay(100, capture=MANUAL), scenario.pay(200, capture=MANUAL)
    scenario.cancel(second)
    scenario.settle(second)
    held = [EventType.CREATED, EventType.PROCESSING, EventType.AUTHORIZED]
    assert scenario.list_event_types(first) == held
    assert scenario.list_event_types(second) == [
        *held,
        EventType.CANCEL_REQUESTED,
        EventType.CANCELED,
    ]


def test_events_are_ordered_by_commit_not_by_begin(store: Store, scenario: PaymentScenario) -> None:
    """A unit of work that begins first but writes last gets the later time."""
    new_payment = NewPayment(scenario.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    held = scenario.application.payments.record(new_payment)
    with store.begin() as work:
        authorized = scenario.settle(held)
        request = CaptureRequest(scenario.merchant_id, held.id)
        captured = scenario.application.payments.capture.execute(work, request)
        work.commit()
    assert captured.updated_at >= authorized.updated_at
    with store.begin() as work:
        done = scenario.settle(held)
        scenario.application.refunds.create.execute(work, NewRefund(scenario.merchant_id, held.id))
        work.commit()
    assert (
        scenario.application.payments.get(scenario.merchant_id, held.id).updated_at
        >= done.updated_at
    )
    scenario.settle(held)
    assert scenario.list_event_types(held) == [
        EventType.CREATED,
        EventType.PROCESSING,
        EventType.AUTHORIZED,
        EventType.CAPTURE_REQUESTED,
        EventType.SUCCEEDED,
        EventType.REFUND_CREATED,
        EventType.REFUND_PROCESSING,
        EventType.REFUND_RESERVED,
        EventType.REFUND_SUCCEEDED,
    ]
