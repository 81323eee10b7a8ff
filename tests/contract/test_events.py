"""The stream of a merchant's events, on both stores."""

from uuid import UUID, uuid4

import pytest

from atomic_core.domain.events import Event, EventFilter, EventType, StreamEvent
from atomic_core.domain.money import Money
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.ledger import NewAccount
from payment_scenarios import PaymentScenario
from support import Store, add_merchant, build_application, build_payment

MANUAL = CaptureMethod.MANUAL


def list_stream(
    store: Store,
    merchant_id: UUID,
    filters: EventFilter = EventFilter(),  # noqa: B008  immutable
    limit: int = 1_000,
    *,
    is_oldest_first: bool = True,
) -> list[StreamEvent]:
    with store.begin() as work:
        return list(
            work.events.list_stream(merchant_id, filters, limit, is_oldest_first=is_oldest_first)
        )


def get_sequences(events: list[StreamEvent]) -> list[int]:
    return [event.sequence for event in events]


@pytest.fixture
def stream(store: Store, scenario: PaymentScenario) -> list[StreamEvent]:
    """1 account.created, 2 payment.succeeded, 3 payment.failed, 4 payment.authorized,
    5 payment.capture_requested, 6 payment.succeeded, 7 refund.created, 8 refund.succeeded."""
    scenario.pay(100)
    scenario.pay(200, "tok_chargeDeclined")
    held = scenario.pay(300, capture=MANUAL)
    scenario.capture(held, 250)
    scenario.settle(held)
    scenario.refund_and_settle(held, 50)
    return list_stream(store, scenario.merchant_id)


def test_stream_has_every_outcome_in_order_without_gaps(stream: list[StreamEvent]) -> None:
    assert [event.event.type for event in stream] == [
        EventType.ACCOUNT_CREATED,
        EventType.SUCCEEDED,
        EventType.FAILED,
        EventType.AUTHORIZED,
        EventType.CAPTURE_REQUESTED,
        EventType.SUCCEEDED,
        EventType.REFUND_CREATED,
        EventType.REFUND_SUCCEEDED,
    ]
    assert get_sequences(stream) == list(range(1, 9))
    assert [event.occurred_at for event in stream] == sorted(event.occurred_at for event in stream)
    assert len({event.id for event in stream}) == 8


def test_inner_steps_are_in_the_timeline_only(store: Store, scenario: PaymentScenario) -> None:
    payment = scenario.pay(100, "tok_answerLostOnce")
    assert EventType.IN_DOUBT in scenario.list_event_types(payment)
    types = [event.event.type for event in list_stream(store, scenario.merchant_id)]
    assert types == [EventType.ACCOUNT_CREATED, EventType.SUCCEEDED]


def test_data_is_the_payment_directly_after_the_event(
    store: Store, scenario: PaymentScenario, stream: list[StreamEvent]
) -> None:
    assert stream[1].event.data == {
        "id": str(stream[1].event.payment_id),
        "status": "SUCCESS",
        "amount": 100,
        "currency": "USD",
        "amountCaptured": 100,
        "fee": 0,
        "failureReason": None,
        "cancellationReason": None,
        "metadata": {},
    }
    authorized, requested, succeeded = (event.event.data or {} for event in stream[3:6])
    assert (authorized["status"], authorized["amountCaptured"]) == ("AUTHORIZED", 0)
    assert (requested["status"], requested["amountCaptured"]) == ("PROCESSING", 0)
    assert (succeeded["status"], succeeded["amountCaptured"]) == ("SUCCESS", 250)
    failed = stream[2].event.data or {}
    assert (failed["status"], failed["failureReason"]) == ("FAILED", "card_declined")


def test_data_of_refunds_and_accounts(scenario: PaymentScenario, stream: list[StreamEvent]) -> None:
    refund = stream[7].event
    assert refund.data == {
        "id": str(refund.refund_id),
        "paymentId": str(refund.payment_id),
        "status": "SUCCESS",
        "amount": 50,
        "currency": "USD",
        "reason": None,
        "failureReason": None,
        "metadata": {},
    }
    account = scenario.account
    assert stream[0].event.data == {
        "id": str(account.id),
        "name": account.name,
        "currency": "USD",
        "type": "liability",
        "status": "OPEN",
        "minBalance": 0,
        "maxBalance": None,
        "externalId": None,
        "metadata": {},
    }


def test_cancellation_does_not_change_the_event_before_it(
    store: Store, scenario: PaymentScenario
) -> None:
    held = scenario.pay(300, capture=MANUAL)
    origin = Origin(ActorType.KEY, uuid4(), "192.0.2.1", "request-1", uuid4())
    request = CancelRequest(scenario.merchant_id, held.id, "fraudulent", origin)
    scenario.application.payments.cancel(request)
    scenario.settle(held)
    authorized, requested, canceled = list_stream(store, scenario.merchant_id)[1:]
    reasons = [
        (event.event.data or {})["cancellationReason"]
        for event in (authorized, requested, canceled)
    ]
    assert reasons == [None, "fraudulent", "fraudulent"]
    assert [event.event.origin for event in (authorized, requested, canceled)] == [
        None,
        origin,
        None,
    ]
    assert (canceled.event.data or {})["status"] == "CANCELED"


def test_metadata_and_fee_are_in_the_data(store: Store, scenario: PaymentScenario) -> None:
    new_payment = NewPayment(
        scenario.merchant_id, Money(1_000, "USD"), "tok_visa", metadata={"order": "7"}
    )
    payment = scenario.settle(scenario.application.payments.record(new_payment))
    refund = NewRefund(scenario.merchant_id, payment.id, 10, "damaged", {"ticket": "8"})
    scenario.application.refunds.create(refund)
    succeeded, created = list_stream(store, scenario.merchant_id)[1:]
    assert (succeeded.event.data or {})["metadata"] == {"order": "7"}
    assert (created.event.data or {})["metadata"] == {"ticket": "8"}
    assert (created.event.data or {})["reason"] == "damaged"


def test_failed_refund_has_its_reason(store: Store, scenario: PaymentScenario) -> None:
    scenario.refund_and_settle(scenario.pay(100, "tok_refundDeclined"), 100)
    failed = list_stream(store, scenario.merchant_id)[-1].event
    assert failed.type is EventType.REFUND_FAILED
    assert (failed.data or {})["failureReason"] == "refund_declined"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (EventFilter(after=6), [7, 8]),
        (EventFilter(before=3), [1, 2]),
        (EventFilter(after=2, before=5), [3, 4]),
        (EventFilter(after=8), []),
        (EventFilter(types=frozenset({EventType.SUCCEEDED})), [2, 6]),
        (EventFilter(types=frozenset({EventType.SUCCEEDED, EventType.FAILED}), after=2), [3, 6]),
        (EventFilter(types=frozenset({EventType.REFUND_CREATED}), before=7), []),
    ],
)
@pytest.mark.parametrize("is_oldest_first", [True, False])
def test_filters_select_by_type_and_sequence(
    store: Store,
    scenario: PaymentScenario,
    stream: list[StreamEvent],
    filters: EventFilter,
    expected: list[int],
    is_oldest_first: bool,
) -> None:
    assert len(stream) == 8
    found = list_stream(store, scenario.merchant_id, filters, is_oldest_first=is_oldest_first)
    assert get_sequences(found) == (expected if is_oldest_first else expected[::-1])
    first = list_stream(store, scenario.merchant_id, filters, 1, is_oldest_first=is_oldest_first)
    assert first == found[:1]


def test_filter_by_payment(
    store: Store, scenario: PaymentScenario, stream: list[StreamEvent]
) -> None:
    payment_id = stream[3].event.payment_id

    def find(**more: object) -> list[int]:
        filters = EventFilter(payment_id=payment_id)._replace(**more)
        return get_sequences(list_stream(store, scenario.merchant_id, filters))

    assert find() == [4, 5, 6, 7, 8]
    assert find(types=frozenset({EventType.SUCCEEDED, EventType.REFUND_CREATED})) == [6, 7]
    assert find(after=5, before=8) == [6, 7]
    newest = list_stream(
        store,
        scenario.merchant_id,
        EventFilter(payment_id=payment_id),
        2,
        is_oldest_first=False,
    )
    assert get_sequences(newest) == [8, 7]


def test_events_belong_to_one_merchant(
    store: Store, scenario: PaymentScenario, stream: list[StreamEvent]
) -> None:
    other_id = add_merchant(store.begin)
    payment_id = stream[1].event.payment_id
    assert list_stream(store, other_id) == []
    assert list_stream(store, other_id, EventFilter(payment_id=payment_id)) == []
    with store.begin() as work:
        assert work.events.get(scenario.merchant_id, stream[1].id) == stream[1]
        assert work.events.get(other_id, stream[1].id) is None
        assert work.events.get(scenario.merchant_id, uuid4()) is None
        sequences = work.events.get_last_sequences([other_id, scenario.merchant_id])
    assert sequences == {scenario.merchant_id: 8}


def test_each_merchant_has_its_own_sequence(store: Store) -> None:
    application = build_application(store.begin)
    merchants = [add_merchant(store.begin) for _ in range(3)]
    for _ in range(2):
        for merchant_id in merchants:
            application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    for merchant_id in merchants:
        assert get_sequences(list_stream(store, merchant_id)) == [1, 2, 3]


def test_events_of_all_streams_are_counted(store: Store, stream: list[StreamEvent]) -> None:
    events = build_application(store.begin).events
    before = events.count()
    assert before == len(stream) == 8
    other = add_merchant(store.begin, "Other")
    build_application(store.begin).accounts.open(NewAccount(other, "Till", "USD"))
    assert events.count() == before + 1


def test_no_event_is_counted_at_first(store: Store) -> None:
    assert build_application(store.begin).events.count() == 0


def test_rolled_back_events_use_no_number(store: Store, scenario: PaymentScenario) -> None:
    held = scenario.pay(100, capture=MANUAL)
    with store.begin() as work:
        request = CaptureRequest(scenario.merchant_id, held.id)
        scenario.application.payments.capture.execute(work, request)
    assert len(list_stream(store, scenario.merchant_id)) == 2
    scenario.capture(held)
    assert get_sequences(list_stream(store, scenario.merchant_id)) == [1, 2, 3]


def test_event_is_stored_by_the_commit_only(store: Store, scenario: PaymentScenario) -> None:
    event = Event(
        scenario.merchant_id, EventType.FAILED, scenario.pay(100).id, Status.FAILED, reason="x"
    )
    with store.begin() as work:
        work.events.add([event])
        assert work.events.get_last_sequences([scenario.merchant_id]) == {scenario.merchant_id: 2}
        work.commit()
    assert get_sequences(list_stream(store, scenario.merchant_id)) == [1, 2, 3]


def test_every_way_to_open_an_account_has_its_event(store: Store) -> None:
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    application.accounts.open(NewAccount(merchant_id, "Till", "EUR"))
    application.payments.record(build_payment(merchant_id))
    currencies = [(event.event.data or {})["currency"] for event in list_stream(store, merchant_id)]
    assert currencies == ["EUR", "USD"]
