"""What is sent to webhook endpoints, and sent again after failures, on both stores."""

from datetime import timedelta

import pytest

from atomic_core.domain.events import EventType
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.webhooks import (
    BREAKER_FAILURES,
    RETRY_DELAYS,
    DeliveryStatus,
    EndpointChange,
    EndpointStatus,
    RoundRecord,
    WebhookRequest,
    WebhookResult,
)
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.webhook_deliveries import DeliveryReference
from atomic_core.use_cases.webhook_endpoints import EndpointUpdate
from atomic_worker.webhooks import delivery_log
from atomic_worker.webhooks.delivery_log import deliver_and_log
from support import Store
from webhook_scenarios import OK, REFUSED, URL, Shop


def test_endpoint_gets_the_events_after_its_creation_once(shop: Shop) -> None:
    shop.add_events(2)
    endpoint = shop.add_endpoint()
    assert (endpoint.position, endpoint.status) == (2, EndpointStatus.ENABLED)
    assert shop.deliver() == 0
    shop.add_events(3)
    assert shop.deliver() == 3
    assert sorted(shop.sent_ids) == sorted(shop.list_event_ids()[2:])
    assert shop.deliver() == 0
    assert shop.get(endpoint).position == 5
    deliveries = shop.list_deliveries(endpoint)
    assert [each.delivery.sequence for each in deliveries] == [3, 4, 5]
    for each in deliveries:
        assert each.delivery.status is DeliveryStatus.SUCCEEDED
        [attempt] = each.attempts
        assert (attempt.number, attempt.status_code, attempt.response) == (1, 200, "thanks")


def test_body_is_the_event_as_the_api_shows_it(shop: Shop) -> None:
    shop.add_endpoint()
    shop.pay()
    shop.deliver()
    bodies = [request.body for request in shop.sender.requests]
    assert any(b'"type":"payment.succeeded"' in body for body in bodies)
    assert all(request.id.encode() in request.body for request in shop.sender.requests)


def test_types_are_filtered(shop: Shop) -> None:
    endpoint = shop.add_endpoint(event_types=("refund.*", "payment.succeeded"))
    payment_id = shop.pay()
    shop.application.refunds.create(NewRefund(shop.merchant_id, payment_id, 10))
    shop.application.settlement.settle()
    shop.add_events(2)
    shop.deliver()
    types = [each.delivery.type for each in shop.list_deliveries(endpoint)]
    assert types == [EventType.SUCCEEDED, EventType.REFUND_CREATED, EventType.REFUND_SUCCEEDED]
    assert shop.get(endpoint).position == 6


def test_more_events_than_a_round_has_are_all_sent(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(230)
    assert shop.deliver() == 230
    assert sorted(shop.sent_ids) == sorted(shop.list_event_ids())
    assert shop.get(endpoint).position == 230


def test_failure_is_retried_with_the_same_id_and_does_not_hold_up_others(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(3)
    refused = shop.list_event_ids()[0]
    shop.answer = lambda request: REFUSED if request.id == refused else OK
    assert shop.deliver() == 3
    first, second, third = shop.list_deliveries(endpoint)
    assert first.delivery.status is DeliveryStatus.PENDING
    assert {second.delivery.status, third.delivery.status} == {DeliveryStatus.SUCCEEDED}
    assert first.delivery.next_attempt_at
    delay = first.delivery.next_attempt_at - first.attempts[0].at
    assert RETRY_DELAYS[0] <= delay <= RETRY_DELAYS[0] * 1.1
    assert shop.deliver() == 0, "it is not due yet"
    shop.answer = lambda _: OK
    shop.make_retries_due(endpoint)
    assert shop.deliver() == 1
    assert shop.sent_ids.count(refused) == 2
    first = shop.list_deliveries(endpoint)[0]
    assert first.delivery.status is DeliveryStatus.SUCCEEDED
    assert [attempt.status_code for attempt in first.attempts] == [500, 200]


def test_delivery_on_which_the_sender_raises_is_a_failed_attempt_and_stops_no_other(
    shop: Shop,
) -> None:
    poisonous, other = shop.add_endpoint(), shop.add_endpoint("https://other.example/")
    shop.add_events(3)
    ids = shop.list_event_ids()

    def answer(request: WebhookRequest) -> WebhookResult:
        if request.url == URL and request.id == ids[1]:
            raise ValueError("secret of the receiver")
        return OK

    shop.answer = answer
    records: list[RoundRecord] = []
    with pytest.MonkeyPatch.context() as patch:
        errors: list[dict[str, object]] = []
        patch.setattr(delivery_log._log, "error", lambda _, **fields: errors.append(fields))
        sent = deliver_and_log(shop.application, "worker", lambda: False, on_round=records.append)
    assert sent == 6
    assert {str(each.delivery.status) for each in shop.list_deliveries(other)} == {"succeeded"}
    first, second, third = shop.list_deliveries(poisonous)
    assert [each.delivery.status for each in (first, second, third)] == [
        DeliveryStatus.SUCCEEDED,
        DeliveryStatus.PENDING,
        DeliveryStatus.SUCCEEDED,
    ]
    [attempt] = second.attempts
    assert (attempt.status_code, attempt.error) == (None, "could not be sent")
    [logged] = errors
    assert logged["problem"] == "ValueError('secret of the receiver')"


def test_failure_is_retried_at_the_present_url_of_the_endpoint(shop: Shop) -> None:
    endpoint = shop.add_endpoint("https://wrong.example/")
    shop.add_events(1)
    shop.answer = lambda request: REFUSED if request.url == "https://wrong.example/" else OK
    shop.deliver()
    change = EndpointChange(url="https://right.example/")
    shop.webhooks.update_endpoint(EndpointUpdate(shop.merchant_id, endpoint.id, change))
    shop.make_retries_due(endpoint)
    shop.deliver()
    [details] = shop.list_deliveries(endpoint)
    assert details.delivery.status is DeliveryStatus.SUCCEEDED
    assert details.delivery.url == "https://right.example/"


def test_failure_is_retried_at_the_url_of_its_payment(shop: Shop) -> None:
    shop.answer = lambda _: REFUSED
    shop.pay("https://one.example/")
    shop.deliver()
    [default] = shop.webhooks.list_endpoints(shop.merchant_id)
    shop.make_retries_due(default)
    shop.deliver()
    assert [request.url for request in shop.sender.requests] == ["https://one.example/"] * 2


def test_ordered_endpoint_waits_at_a_failure(shop: Shop) -> None:
    endpoint = shop.add_endpoint(is_ordered=True)
    shop.add_events(4)
    ids = shop.list_event_ids()
    shop.answer = lambda request: REFUSED if request.id == ids[1] else OK
    shop.deliver()
    assert shop.sent_ids == ids[:2]
    assert shop.get(endpoint).position == 1
    shop.add_events(1)
    assert shop.deliver() == 0, "what comes later waits for it"
    shop.answer = lambda _: OK
    shop.make_retries_due(endpoint)
    shop.deliver()
    assert shop.sent_ids == [*ids[:2], *shop.list_event_ids()[1:]]
    assert shop.get(endpoint).position == 5


def test_last_retry_ends_in_a_dead_letter_that_can_be_sent_again(shop: Shop) -> None:
    endpoint = shop.add_endpoint(is_ordered=True)
    shop.add_events(2)
    shop.answer = lambda request: REFUSED if request.id == shop.list_event_ids()[0] else OK
    shop.deliver()
    # A retry that is requested early does not end the others, so that nothing overtakes.
    for _ in RETRY_DELAYS:
        [waiting] = shop.list_deliveries(endpoint)
        assert waiting.delivery.status is DeliveryStatus.PENDING
        shop.make_retries_due(endpoint)
        shop.deliver()
    [dead] = shop.list_deliveries(endpoint)
    attempts = 1 + len(RETRY_DELAYS)
    assert (dead.delivery.status, dead.delivery.attempts) == (DeliveryStatus.FAILED, attempts)
    assert shop.get(endpoint).position == 1
    assert shop.list_deliveries(endpoint, statuses=frozenset({DeliveryStatus.FAILED})) == [dead]
    # Sent once: nothing waits for it again.
    reference = DeliveryReference(shop.merchant_id, dead.delivery.id)
    shop.webhooks.retry_delivery(reference)
    shop.deliver()
    assert shop.list_deliveries(endpoint)[0].delivery.status is DeliveryStatus.FAILED
    shop.answer = lambda _: OK
    shop.webhooks.retry_delivery(reference)
    assert shop.queue.notified_jobs >= {Job.DELIVER}
    shop.deliver()
    assert [each.delivery.status for each in shop.list_deliveries(endpoint)] == [
        DeliveryStatus.SUCCEEDED,
        DeliveryStatus.SUCCEEDED,
    ]
    assert shop.get(endpoint).position == 2


def test_breaker_pauses_an_endpoint_that_keeps_failing(shop: Shop) -> None:
    failing, other = shop.add_endpoint(), shop.add_endpoint("https://other.example/")
    shop.answer = lambda request: REFUSED if request.url == URL else OK
    shop.add_events(50)
    shop.deliver()
    sent = [request.url for request in shop.sender.requests]
    assert sent.count(other.url or "") == 50
    # Those in flight when the breaker opened are finished.
    assert BREAKER_FAILURES <= sent.count(URL) < 20
    assert shop.get(failing).position < 50
    assert shop.deliver() == 0


def test_payments_own_urls_get_their_events_only(shop: Shop) -> None:
    shop.pay()
    paid = shop.pay("https://one.example/")
    shop.application.refunds.create(NewRefund(shop.merchant_id, paid, 10))
    shop.application.settlement.settle()
    shop.pay("https://two.example/")
    shop.deliver()
    sent = [(request.url, request.id) for request in shop.sender.requests]
    assert sorted(url for url, _ in sent) == ["https://one.example/"] * 3 + ["https://two.example/"]
    [default] = shop.webhooks.list_endpoints(shop.merchant_id)
    assert default.url is None
    types = [each.delivery.type for each in shop.list_deliveries(default)]
    assert types == [
        EventType.SUCCEEDED,
        EventType.REFUND_CREATED,
        EventType.REFUND_SUCCEEDED,
        EventType.SUCCEEDED,
    ]


def test_failing_url_of_one_payment_does_not_hold_up_others(shop: Shop) -> None:
    shop.answer = lambda request: REFUSED if "broken" in request.url else OK
    for _ in range(3 * BREAKER_FAILURES):
        shop.pay("https://broken.example/")
    shop.pay("https://good.example/")
    shop.deliver()
    assert [request.url for request in shop.sender.requests].count("https://good.example/") == 1
    [default] = shop.webhooks.list_endpoints(shop.merchant_id)
    assert default.status is EndpointStatus.ENABLED


def test_purge_deletes_what_ended_before(shop: Shop, store: Store) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(3)
    refused = shop.list_event_ids()[0]
    shop.answer = lambda request: REFUSED if request.id == refused else OK
    shop.deliver()
    with store.begin() as work:
        assert work.webhook_deliveries.purge(work.now() - timedelta(hours=1), 10) == 0
        assert work.webhook_deliveries.purge(work.now() + timedelta(hours=1), 1) == 1
        assert work.webhook_deliveries.purge(work.now() + timedelta(hours=1), 10) == 1
        work.commit()
    [pending] = shop.list_deliveries(endpoint)
    assert pending.delivery.status is DeliveryStatus.PENDING
