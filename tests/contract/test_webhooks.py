"""Webhook endpoints and deliveries, on both stores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest

from atomic_adapters.memory.services import MemoryJobQueue, MemoryWebhookSender
from atomic_core.application import Application, Webhooks
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import EventFilter, EventType, StreamEvent
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.webhooks import (
    BREAKER_FAILURES,
    MAX_ENDPOINTS,
    RETRY_DELAYS,
    DeliveryFilter,
    DeliveryStatus,
    DisabledReason,
    EndpointChange,
    EndpointStatus,
    Health,
    RoundRecord,
    WebhookEndpoint,
    WebhookRequest,
    WebhookResult,
)
from atomic_core.ports.job_queue import Job
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.webhook_deliveries import (
    DeliveryDetails,
    DeliveryReference,
    ReplayRequest,
)
from atomic_core.use_cases.webhook_endpoints import (
    EndpointReference,
    EndpointRequest,
    EndpointUpdate,
)
from atomic_worker.webhooks import delivery_log
from atomic_worker.webhooks.delivery_log import deliver_and_log
from support import IDS, Store, add_merchant, build_application

URL = "https://shop.example/hook"

OK = WebhookResult(200, None, 3, "thanks", None)
REFUSED = WebhookResult(500, "status 500", 3, "no", None)


@dataclass
class Shop:
    """A merchant whose webhooks are recorded, and answered as each test says."""

    store: Store
    answer: Callable[[WebhookRequest], WebhookResult] = lambda _: OK
    sender: MemoryWebhookSender = field(default_factory=MemoryWebhookSender)
    queue: MemoryJobQueue = field(default_factory=MemoryJobQueue)

    def __post_init__(self) -> None:
        self.sender.answer = self._answer
        self.merchant_id = add_merchant(self.store.begin)
        self.application: Application = build_application(
            self.store.begin, job_queue=self.queue, webhook_sender=self.sender
        )
        self.names = (f"Account {number}" for number in count())

    def _answer(self, request: WebhookRequest) -> WebhookResult:
        return self.answer(request)

    @property
    def webhooks(self) -> Webhooks:
        return self.application.webhooks

    def add_endpoint(self, url: str = URL, **details: object) -> WebhookEndpoint:
        request = EndpointRequest(self.merchant_id, url)._replace(**details)
        return self.webhooks.create_endpoint(request).endpoint

    def add_events(self, number: int = 1) -> None:
        """Accounts: the quickest events."""
        for _ in range(number):
            self.application.accounts.open(NewAccount(self.merchant_id, next(self.names), "USD"))

    def pay(self, webhook_url: str | None = None) -> UUID:
        if webhook_url:
            self.webhooks.ensure_default_endpoint(self.merchant_id)
        order = NewPayment(self.merchant_id, Money(100, "USD"), "tok_visa", webhook_url=webhook_url)
        payment = self.application.payments.record(order)
        self.application.settlement.settle()
        return payment.id

    def deliver(self) -> int:
        return self.webhooks.deliver()

    def get(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        return self.webhooks.get_endpoint(self.merchant_id, endpoint.id)

    def list_deliveries(
        self, endpoint: WebhookEndpoint, **filters: frozenset[object]
    ) -> list[DeliveryDetails]:
        """Oldest first, with attempts."""
        chosen = DeliveryFilter()._replace(**filters)
        page = self.webhooks.list_deliveries(self.merchant_id, endpoint.id, chosen, 100)
        details = [self.webhooks.get_delivery(self.merchant_id, item.id) for item in page.items]
        return sorted(details, key=lambda each: each.delivery.sequence)

    def make_retries_due(self, endpoint: WebhookEndpoint) -> None:
        """As if the time of each pending delivery had come."""
        for details in self.list_deliveries(endpoint):
            if details.delivery.status is DeliveryStatus.PENDING:
                self.webhooks.retry_delivery(
                    DeliveryReference(self.merchant_id, details.delivery.id)
                )

    @property
    def sent_ids(self) -> list[str]:
        return [request.id for request in self.sender.requests]

    def list_event_ids(self) -> list[str]:
        with self.store.begin() as work:
            return [str(event.id) for event in _list_stream(work, self.merchant_id)]


def _list_stream(work: UnitOfWork, merchant_id: UUID) -> Sequence[StreamEvent]:
    return work.events.list_stream(merchant_id, EventFilter(), 1_000, is_oldest_first=True)


@pytest.fixture
def shop(store: Store) -> Shop:
    return Shop(store)


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
    shop.answer = lambda _: REFUSED
    shop.deliver()
    # Of an ordered endpoint, a requested retry is the last.
    shop.make_retries_due(endpoint)
    shop.answer = lambda request: REFUSED if request.id == shop.list_event_ids()[0] else OK
    shop.deliver()
    dead, following = shop.list_deliveries(endpoint)
    assert (dead.delivery.status, dead.delivery.attempts) == (DeliveryStatus.FAILED, 2)
    assert following.delivery.status is DeliveryStatus.SUCCEEDED
    assert shop.get(endpoint).position == 2
    assert shop.list_deliveries(endpoint, statuses=frozenset({DeliveryStatus.FAILED})) == [dead]
    shop.answer = lambda _: OK
    shop.webhooks.retry_delivery(DeliveryReference(shop.merchant_id, dead.delivery.id))
    assert shop.queue.notified_jobs >= {Job.DELIVER}
    shop.deliver()
    assert {each.delivery.status for each in shop.list_deliveries(endpoint)} == {
        DeliveryStatus.SUCCEEDED
    }


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


def test_gone_endpoint_is_disabled_with_an_event(shop: Shop) -> None:
    endpoint, other = shop.add_endpoint(), shop.add_endpoint("https://other.example/")
    gone = WebhookResult(410, "status 410", 1, "", None)
    shop.answer = lambda request: gone if request.url == URL else OK
    shop.add_events(1)
    shop.deliver()
    disabled = shop.get(endpoint)
    assert (disabled.status, disabled.disabled_reason) == (
        EndpointStatus.DISABLED,
        DisabledReason.GONE,
    )
    assert [each.delivery.status for each in shop.list_deliveries(endpoint)] == [
        DeliveryStatus.FAILED
    ]
    shop.deliver()
    types = [each.delivery.type for each in shop.list_deliveries(other)]
    assert types == [EventType.ACCOUNT_CREATED, EventType.WEBHOOK_ENDPOINT_DISABLED]
    audited, _ = shop.application.merchants.list_audit_events(shop.merchant_id, None, 100)
    assert "webhook_endpoint_disabled" in {str(event.type) for event in audited}


def test_disabled_endpoint_goes_on_where_it_stopped(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    shop.deliver()
    change = EndpointChange(status=EndpointStatus.DISABLED)
    disabled = shop.webhooks.update_endpoint(EndpointUpdate(shop.merchant_id, endpoint.id, change))
    assert disabled.disabled_reason is DisabledReason.REQUESTED
    shop.add_events(2)
    assert shop.deliver() == 0
    enabled = shop.webhooks.update_endpoint(
        EndpointUpdate(shop.merchant_id, endpoint.id, EndpointChange(status=EndpointStatus.ENABLED))
    )
    assert enabled.disabled_reason is None
    assert shop.deliver() == 2


def test_replay_sends_again_with_the_same_ids(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(4)
    shop.deliver()
    shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=3))
    assert shop.deliver() == 2
    assert sorted(shop.sent_ids[4:]) == sorted(shop.list_event_ids()[2:])
    since = shop.application.events.get(
        shop.merchant_id, UUID(shop.list_event_ids()[1])
    ).occurred_at
    shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, since=since))
    assert shop.deliver() == 3
    attempts = [each.delivery.attempts for each in shop.list_deliveries(endpoint)]
    assert attempts == [1, 2, 3, 3]
    with pytest.raises(ValidationFailed):
        shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=6))


def test_replay_of_what_is_retried_sends_it_once(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(3)
    refused = shop.list_event_ids()[1]
    shop.answer = lambda request: REFUSED if request.id == refused else OK
    shop.deliver()
    shop.make_retries_due(endpoint)
    shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=1))
    shop.answer = lambda _: OK
    assert shop.deliver() == 3
    assert shop.sent_ids.count(refused) == 2
    assert [each.delivery.attempts for each in shop.list_deliveries(endpoint)] == [2, 2, 2]
    assert shop.get(endpoint).position == 3


def test_replay_during_a_round_is_not_undone_by_its_record(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    replay = ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=1)

    def answer(_: WebhookRequest) -> WebhookResult:
        if len(shop.sender.requests) == 1:
            shop.webhooks.replay(replay)
        return OK

    shop.answer = answer
    assert shop.deliver() == 2
    assert shop.get(endpoint).position == 1


def test_deleted_endpoint_gets_nothing_and_is_invisible(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    shop.deliver()
    [details] = shop.list_deliveries(endpoint)
    shop.webhooks.delete_endpoint(EndpointReference(shop.merchant_id, endpoint.id))
    shop.add_events(1)
    assert shop.deliver() == 0
    assert shop.webhooks.list_endpoints(shop.merchant_id) == []
    with pytest.raises(NotFound):
        shop.get(endpoint)
    with pytest.raises(NotFound):
        shop.webhooks.get_delivery(shop.merchant_id, details.delivery.id)


def test_record_of_a_claim_that_ended_changes_nothing(shop: Shop, store: Store) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    no_time = timedelta(0)
    with store.begin() as work:
        work.webhook_deliveries.plan(10)
        [first] = work.webhook_deliveries.claim(10, no_time, no_time)
        work.commit()
    with store.begin() as work:
        [second] = work.webhook_deliveries.claim(10, timedelta(minutes=1), no_time)
        work.commit()
    assert (first.number, second.number) == (1, 2)
    with store.begin() as work:
        assert work.webhook_deliveries.claim(10, no_time, no_time) == []
    with store.begin() as work:
        assert not work.webhook_deliveries.record(RoundRecord(first, [], 1, Health()))
        work.commit()
    assert shop.get(endpoint).position == 0
    with store.begin() as work:
        assert work.webhook_deliveries.record(RoundRecord(second, [], 1, Health()))
        work.commit()
    assert shop.get(endpoint).position == 1


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


def test_rotated_secret_signs_beside_the_former_one(shop: Shop) -> None:
    issued = shop.webhooks.create_endpoint(EndpointRequest(shop.merchant_id, URL))
    reference = EndpointReference(shop.merchant_id, issued.endpoint.id)
    rotated = shop.webhooks.rotate_secret(reference)
    assert rotated.secret != issued.secret
    shop.add_events(1)
    shop.deliver()
    assert shop.sender.requests[-1].secrets == (rotated.secret, issued.secret)
    result = shop.webhooks.ping(shop.merchant_id, issued.endpoint.id)
    assert result == OK
    assert shop.sender.requests[-1].secrets == (rotated.secret, issued.secret)
    assert b'"type":"ping"' in shop.sender.requests[-1].body


def test_merchant_has_a_bounded_number_of_endpoints(shop: Shop) -> None:
    for number in range(MAX_ENDPOINTS):
        shop.add_endpoint(f"https://shop.example/{number}")
    with pytest.raises(Conflict, match="delete one"):
        shop.add_endpoint()
    assert len(shop.webhooks.list_endpoints(shop.merchant_id)) == MAX_ENDPOINTS


@pytest.mark.parametrize(
    "wrong",
    [
        *({"url": "https://user:pw@shop.example/"}, {"url": "ftp://shop.example"}),
        *({"url": "http://127.0.0.1/"}, {"event_types": ("payment.unknown",)}),
        *({"event_types": ("payment.*", "payment.*")}, {"description": "x" * 201}),
        {"event_types": ("payment.processing",)},
    ],
)
def test_invalid_endpoint_is_refused(shop: Shop, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationFailed):
        shop.add_endpoint(**{"url": URL, **wrong})


def test_other_merchants_see_nothing(shop: Shop, store: Store) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    shop.deliver()
    [details] = shop.list_deliveries(endpoint)
    stranger = add_merchant(store.begin, "Other")
    for action in (
        lambda: shop.webhooks.get_endpoint(stranger, endpoint.id),
        lambda: shop.webhooks.rotate_secret(EndpointReference(stranger, endpoint.id)),
        lambda: shop.webhooks.delete_endpoint(EndpointReference(stranger, endpoint.id)),
        lambda: shop.webhooks.ping(stranger, endpoint.id),
        lambda: shop.webhooks.get_delivery(stranger, details.delivery.id),
        lambda: shop.webhooks.retry_delivery(DeliveryReference(stranger, details.delivery.id)),
        lambda: shop.webhooks.replay(ReplayRequest(stranger, endpoint.id, 1)),
        lambda: shop.webhooks.get_endpoint(shop.merchant_id, IDS.new_id()),
    ):
        with pytest.raises(NotFound):
            action()


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
