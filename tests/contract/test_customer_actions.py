"""Payments whose customers have to authenticate, on both stores."""

from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.card_networks import REDIRECT, Verdict
from atomic_core.domain.errors import PaymentNotCancelable, PaymentNotCapturable
from atomic_core.domain.events import EventFilter, EventType
from atomic_core.domain.money import Money
from atomic_core.domain.payments import (
    REASON_EXPIRED,
    CaptureMethod,
    NewPayment,
    Payment,
    Status,
    Step,
)
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from bookkeeping_network import UNKNOWN, BookkeepingNetwork
from contract.test_network_faults import get_balance, get_payment, pay, settle_again
from support import HOUR, NOW, Store, add_merchant, build_application

CONFIRMED = "tok_threeDSecureRequired"
NOT_CONFIRMED = "tok_threeDSecureFailed"
ABANDONED = "tok_threeDSecureAbandoned"


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def network() -> BookkeepingNetwork:
    return BookkeepingNetwork()


@pytest.fixture
def application(store: Store, network: BookkeepingNetwork) -> Application:
    return build_application(store.begin, card_network=network)


def list_event_types(store: Store, merchant_id: UUID) -> list[EventType]:
    with store.begin() as work:
        stream = work.events.list_stream(merchant_id, EventFilter(), 100, is_oldest_first=True)
    return [event.event.type for event in stream if event.event.payment_id]


@pytest.mark.parametrize(
    ("source", "capture", "status", "reason", "balance"),
    [
        (CONFIRMED, CaptureMethod.AUTOMATIC, Status.SUCCESS, None, (5_000, 0, 0)),
        (CONFIRMED, CaptureMethod.MANUAL, Status.AUTHORIZED, None, (0, 5_000, 0)),
        (
            NOT_CONFIRMED,
            CaptureMethod.AUTOMATIC,
            Status.FAILED,
            "authentication_required",
            (0, 0, 0),
        ),
    ],
)
def test_payment_waits_for_its_customer_until_the_network_decides(
    store: Store,
    application: Application,
    merchant_id: UUID,
    source: str,
    capture: CaptureMethod,
    status: Status,
    reason: str | None,
    balance: tuple[int, int, int],
) -> None:
    waiting = pay(application, merchant_id, capture, source=source)
    assert (waiting.status, waiting.network_state) == (Status.REQUIRES_ACTION, None)
    assert waiting.next_action
    assert waiting.next_action.type == REDIRECT
    assert str(waiting.id) in waiting.next_action.url
    assert waiting.held_until
    assert waiting.held_until > waiting.created_at
    assert get_balance(application, waiting) == (0, 0, 0)
    with pytest.raises(PaymentNotCapturable):
        application.payments.capture(CaptureRequest(merchant_id, waiting.id))
    # The first inquiry is not due.
    assert application.settlement.settle() == 0
    assert get_payment(application, waiting) == waiting
    settle_again(application, waiting.id)
    done = get_payment(application, waiting)
    assert (done.status, done.failure_reason, done.next_action) == (status, reason, None)
    assert get_balance(application, done) == balance
    types = list_event_types(store, merchant_id)
    assert types[0] is EventType.REQUIRES_ACTION
    assert len(types) == 2
    assert application.ledger.verify().is_clean


def test_inquiry_without_an_answer_changes_nothing(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    current = waiting = pay(application, merchant_id, source=ABANDONED)
    for _ in range(3):
        settle_again(application, waiting.id)
        current = get_payment(application, waiting)
        assert (current.status, current.next_action, current.expires_at) == (
            Status.REQUIRES_ACTION,
            waiting.next_action,
            waiting.expires_at,
        )
        assert not current.is_in_doubt
    assert current.attempt == waiting.attempt + 3
    assert list_event_types(store, merchant_id) == [EventType.REQUIRES_ACTION]


@pytest.mark.parametrize("capture", list(CaptureMethod))
@pytest.mark.parametrize("has_confirmed", [True, False])
def test_cancellation_leaves_no_money_at_the_network(
    application: Application,
    merchant_id: UUID,
    network: BookkeepingNetwork,
    capture: CaptureMethod,
    has_confirmed: bool,
) -> None:
    waiting = pay(application, merchant_id, capture, source=ABANDONED)
    if has_confirmed:
        # At the last moment, and Atomic does not know it.
        network.get_record(waiting.id).captured = 5_000
    application.payments.cancel(CancelRequest(merchant_id, waiting.id, "abandoned"))
    with pytest.raises(PaymentNotCancelable):
        application.payments.cancel(CancelRequest(merchant_id, waiting.id))
    canceling = get_payment(application, waiting)
    assert (canceling.status, canceling.step) == (Status.PROCESSING, Step.ABANDON)
    network.fault = lambda method, claim: UNKNOWN
    application.settlement.settle()
    assert get_payment(application, waiting).status is Status.PROCESSING
    network.fault = lambda method, claim: None
    settle_again(application, waiting.id)
    done = get_payment(application, waiting)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "abandoned")
    assert (done.next_action, done.held_until) == (None, None)
    record = network.get_record(waiting.id)
    assert (record.net, record.held) == (0, 0)
    assert get_balance(application, done) == (0, 0, 0)
    assert application.ledger.verify().is_clean


def test_wait_ends_with_the_customers_time(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin, action_period=NOW)
    patient = build_application(store.begin)
    waiting = pay(patient, merchant_id, source=ABANDONED)
    assert patient.settlement.expire_holds() == 0
    expiring = pay(application, merchant_id, source=ABANDONED)
    assert application.settlement.expire_holds() == 1
    application.settlement.settle()
    done = get_payment(application, expiring)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, REASON_EXPIRED)
    assert list_event_types(store, merchant_id)[-1] is EventType.CANCELED
    assert get_payment(application, waiting).status is Status.REQUIRES_ACTION


def make_due(store: Store, payments: list[Payment]) -> None:
    with store.begin() as work:
        ids = [payment.id for payment in payments]
        assert work.payments.request_inquiries(ids, "sandbox") == frozenset()
        work.commit()


def test_waiting_payments_take_no_places_of_a_batch(
    store: Store, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    application = build_application(store.begin, card_network=network, batch_size=2)
    waiting = [pay(application, merchant_id, source=ABANDONED) for _ in range(5)]
    make_due(store, waiting)
    network.calls.clear()
    batches: list[int] = []
    paid = [application.payments.record(_order(merchant_id)) for _ in range(4)]
    application.settlement.settle(on_batch=lambda batch: batches.append(batch.claimed))
    assert all(get_payment(application, payment).status is Status.SUCCESS for payment in paid)
    # One inquiry beside each batch of two; the others follow with the next ones.
    assert batches[:2] == [3, 3]
    assert max(batches) == 3


def _order(merchant_id: UUID) -> NewPayment:
    return NewPayment(merchant_id, Money(100, "USD"), "tok_visa")


def test_event_of_the_network_hastens_the_inquiry(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    waiting = pay(application, merchant_id, source=CONFIRMED)
    other = pay(application, merchant_id, source=CONFIRMED)
    with store.begin() as work:
        assert work.payments.request_inquiries([waiting.id], "stripe") == frozenset()
        assert work.payments.claim_awaited(10, HOUR) == []
    make_due(store, [waiting])
    with store.begin() as work:
        [claim] = work.payments.claim_awaited(10, HOUR)
        work.commit()
    assert (claim.id, claim.attempt, claim.needs_inquiry) == (waiting.id, 2, True)
    with store.begin() as work:
        # Its inquiry may have begun before the event: the event waits.
        assert work.payments.request_inquiries([waiting.id, other.id], "sandbox") == {waiting.id}
        assert work.payments.lock_claims([claim]) == [claim]
        work.commit()
    application.settlement.settle()
    assert get_payment(application, waiting).status is Status.REQUIRES_ACTION
    assert get_payment(application, other).status is Status.SUCCESS
    application.payments.cancel(CancelRequest(merchant_id, waiting.id))
    with store.begin() as work:
        assert work.payments.lock_claims([claim]) == []


def test_network_that_decides_later_is_waited_for(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    waiting = pay(application, merchant_id, source=CONFIRMED)
    pending = NetworkResponse(Verdict.PENDING)

    def decide_later(method: str, claim: Claim) -> NetworkResponse | None:
        return pending if method == "inquire" else None

    network.fault = decide_later
    settle_again(application, waiting.id)
    current = get_payment(application, waiting)
    assert (current.status, current.network_state) == (Status.PROCESSING, "pending")
    assert current.next_action is None
    network.fault = lambda method, claim: None
    settle_again(application, waiting.id)
    done = get_payment(application, waiting)
    # The same request returns the decision.
    assert done.status is Status.SUCCESS
    assert network.get_record(waiting.id).net == 5_000
