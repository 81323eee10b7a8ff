"""Which events are deleted, and what readers of the stream get then, on both stores."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest

from atomic_core.domain.errors import EventsPurged
from atomic_core.domain.events import EventFilter, EventType
from atomic_core.domain.merchants import Caller
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment
from atomic_core.domain.webhooks import EndpointChange, EndpointStatus
from atomic_core.use_cases.event_retention import PurgeEvents
from atomic_core.use_cases.webhook_endpoints import EndpointReference, EndpointUpdate
from support import Store
from webhook_scenarios import OK, REFUSED, Shop

RETENTION = timedelta(days=40)
AGE = timedelta(days=41)


def purge(shop: Shop) -> int:
    return PurgeEvents(shop.store.begin, RETENTION)()


def list_sequences(shop: Shop) -> list[int]:
    with shop.store.begin() as work:
        filters = EventFilter()
        events = work.events.list_stream(shop.merchant_id, filters, 1_000, is_oldest_first=True)
    return [event.sequence for event in events]


def age(shop: Shop, up_to: int) -> None:
    shop.store.tampering.age_events(shop.merchant_id, up_to, AGE)


def test_old_events_are_deleted_and_young_ones_kept(shop: Shop) -> None:
    shop.add_events(5)
    assert purge(shop) == 0
    age(shop, 3)
    assert purge(shop) == 3
    assert list_sequences(shop) == [4, 5]
    assert shop.application.events.count() == 5, "a counter never decreases"
    assert purge(shop) == 0


def test_retention_is_400_days_by_default(shop: Shop) -> None:
    shop.add_events(3)
    age(shop, 2)
    assert shop.application.maintenance.purge_events() == 0


def test_last_event_of_a_stream_is_kept(shop: Shop) -> None:
    shop.add_events(3)
    age(shop, 3)
    assert purge(shop) == 2
    assert list_sequences(shop) == [3]
    shop.add_events(1)
    assert list_sequences(shop) == [3, 4]
    assert purge(shop) == 1


def test_old_event_after_a_young_one_is_kept(shop: Shop) -> None:
    """The clock was set back between them."""
    shop.add_events(4)
    age(shop, 3)
    shop.store.tampering.age_events(shop.merchant_id, 2, -AGE)
    age(shop, 1)
    assert purge(shop) == 1
    assert purge(shop) == 0
    assert list_sequences(shop) == [2, 3, 4]


def test_batches_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atomic_core.use_cases.event_retention.PURGE_BATCH_SIZE", 2)
    monkeypatch.setattr("atomic_core.use_cases.event_retention.MAX_PURGE_BATCHES", 2)
    shop.add_events(10)
    age(shop, 9)
    assert purge(shop) == 4
    assert list_sequences(shop)[0] == 5
    assert purge(shop) == 4


def test_timelines_of_old_payments_are_deleted(shop: Shop) -> None:
    order = NewPayment(shop.merchant_id, Money(100, "USD"), "tok_answerLostOnce")
    payment_id = shop.application.payments.record(order).id
    shop.application.settlement.settle()

    def list_types() -> list[EventType]:
        timeline = shop.application.payments.get_timeline(shop.merchant_id, payment_id)
        return [event.event.type for event in timeline.events]

    types = list_types()
    assert EventType.IN_DOUBT in types
    assert purge(shop) == 0
    age(shop, 1_000)
    purge(shop)
    assert list_types() == [type for type in types if type is not EventType.IN_DOUBT]


# --- Webhooks -----------------------------------------------------------------------------------


def test_event_that_an_enabled_endpoint_has_not_passed_is_kept(shop: Shop) -> None:
    shop.add_endpoint()
    shop.add_events(4)
    age(shop, 3)
    assert purge(shop) == 0
    shop.deliver()
    assert len(shop.sender.requests) == 4


def test_event_of_a_delivery_is_kept_until_the_delivery_is_purged(shop: Shop, store: Store) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(4)
    second = shop.list_event_ids()[1]
    shop.answer = lambda request: REFUSED if request.id == second else OK
    shop.deliver()
    age(shop, 3)
    assert purge(shop) == 0
    with store.begin() as work:
        assert work.webhook_deliveries.purge(work.now() + timedelta(hours=1), 10) == 3
        work.commit()
    assert purge(shop) == 1, "the second one is retried"
    [pending] = shop.list_deliveries(endpoint)
    assert pending.delivery.sequence == list_sequences(shop)[0] == 2


@pytest.mark.parametrize("end", ["disabled", "deleted"])
def test_endpoint_that_gets_nothing_keeps_nothing(shop: Shop, end: str) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(4)
    if end == "disabled":
        change = EndpointChange(status=EndpointStatus.DISABLED)
        shop.webhooks.update_endpoint(EndpointUpdate(shop.merchant_id, endpoint.id, change))
    else:
        shop.webhooks.delete_endpoint(EndpointReference(shop.merchant_id, endpoint.id))
    age(shop, 3)
    assert purge(shop) == 3
    if end == "disabled":
        change = EndpointChange(status=EndpointStatus.ENABLED)
        shop.webhooks.update_endpoint(EndpointUpdate(shop.merchant_id, endpoint.id, change))
        shop.deliver()
        assert len(shop.sender.requests) == len(list_sequences(shop))


def test_endpoint_of_another_merchant_keeps_nothing(shop: Shop, store: Store) -> None:
    other = Shop(store)
    other.add_endpoint()
    other.add_events(3)
    shop.add_events(3)
    age(shop, 2)
    age(other, 2)
    assert purge(shop) == 2
    assert list_sequences(other) == [1, 2, 3]


# --- Readers ------------------------------------------------------------------------------------


def create_caller(shop: Shop) -> Caller:
    issued = shop.application.api_keys.issue(shop.merchant_id, "reader")
    return Caller(issued.key.id, shop.merchant_id)


@pytest.fixture
def caller(shop: Shop) -> Caller:
    """Of a stream from 4 to 6."""
    shop.add_events(6)
    age(shop, 3)
    assert purge(shop) == 3
    return create_caller(shop)


def read(
    shop: Shop, caller: Caller, filters: EventFilter, *, is_oldest_first: bool = True
) -> list[int]:
    page = shop.application.events.list(caller, filters, 10, is_oldest_first=is_oldest_first)
    return [event.sequence for event in page.items]


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("is_oldest_first", [True, False])
@pytest.mark.parametrize(
    "others", [{}, {"types": frozenset({EventType.SUCCEEDED})}, {"payment_id": uuid4()}]
)
def test_reader_that_would_miss_events_is_refused(
    shop: Shop, caller: Caller, after: int, is_oldest_first: bool, others: dict[str, object]
) -> None:
    filters = EventFilter(after=after)._replace(**others)
    with pytest.raises(EventsPurged) as caught:
        read(shop, caller, filters, is_oldest_first=is_oldest_first)
    assert caught.value.details == {"after": ["Must be 3 or more."]}


@pytest.mark.parametrize(("after", "sequences"), [(3, [4, 5, 6]), (5, [6]), (6, []), (99, [])])
def test_reader_that_misses_nothing_goes_on(
    shop: Shop, caller: Caller, after: int, sequences: list[int]
) -> None:
    assert read(shop, caller, EventFilter(after=after)) == sequences


def test_reader_without_a_number_gets_what_is_kept(shop: Shop, caller: Caller) -> None:
    assert read(shop, caller, EventFilter()) == [4, 5, 6]
    assert read(shop, caller, EventFilter(), is_oldest_first=False) == [6, 5, 4]
    assert read(shop, caller, EventFilter(before=5), is_oldest_first=False) == [4]


def test_stream_that_was_never_purged_begins_with_0(shop: Shop) -> None:
    caller = create_caller(shop)
    assert read(shop, caller, EventFilter(after=0)) == []
    shop.add_events(2)
    assert read(shop, caller, EventFilter(after=0)) == [1, 2]
    types = frozenset({EventType.SUCCEEDED})
    assert read(shop, caller, EventFilter(types=types, after=0)) == []


def test_concurrent_purges_delete_each_event_once(shop: Shop) -> None:
    shop.add_events(30)
    age(shop, 29)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(purge(shop))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 29
    assert list_sequences(shop) == [30]
