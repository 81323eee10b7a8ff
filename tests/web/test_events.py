"""GET /events and GET /events/{id}."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.events import STREAM_TYPES, StreamRead
from atomic_web.schemas.event_filters import MAX_SEQUENCE
from processes import wait_until
from web.web_client import ACCOUNT_BODY, ACCOUNTS, MerchantClient, WebApp, error_code

EVENTS = "/api/v1/events"
UNKNOWN = "01999999-0000-7000-8000-000000000000"
WAIT = 30
"""Seconds that no test waits, because the wait ends before: longer than the tests' guards."""


@pytest.fixture
def payment_id(web: WebApp, merchant: MerchantClient) -> str:
    """A payment with a refund, and after it a payment that failed. The first payment opens the
    account."""
    web.clock.time += timedelta(seconds=1)
    path = merchant.pay(metadata={"order": "1"}).headers["Location"]
    web.application.settlement.settle()
    merchant.post(f"{path}/refunds", {"amount": 234, "reason": "broken"}, X_Request_Id="refund-1")
    web.application.settlement.settle()
    merchant.pay(source="tok_chargeDeclined")
    web.application.settlement.settle()
    return path.rsplit("/", 1)[1]


TYPES = [
    *("account.created", "payment.succeeded", "refund.created", "refund.succeeded"),
    "payment.failed",
]
"""Of the fixture's events, oldest first."""


def list_events(caller: MerchantClient, **query: Any) -> dict[str, Any]:
    response = caller.get(f"{EVENTS}?{urlencode(query, doseq=True)}")
    assert response.status_code == 200, response.text
    return response.get_json()["data"]


def list_sequences(caller: MerchantClient, **query: Any) -> list[int]:
    return [event["sequence"] for event in list_events(caller, **query)["items"]]


def test_events_have_the_payment_and_refund_as_they_were(
    merchant: MerchantClient, payment_id: str
) -> None:
    events = list_events(merchant, order="asc")["items"]
    assert [event["type"] for event in events] == TYPES
    assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5]
    opened, succeeded, created, refunded, failed = events
    assert opened["data"] == {
        "id": opened["data"]["id"],
        "name": "USD",
        "currency": "USD",
        "type": "liability",
        "status": "OPEN",
        "minBalance": 0,
        "maxBalance": None,
        "externalId": None,
        "metadata": {},
    }
    assert (opened["paymentId"], opened["refundId"]) == (None, None)
    assert opened["requestId"] == opened["serverRequestId"], "that of the first payment"
    assert succeeded["data"] == {
        "id": payment_id,
        "status": "SUCCESS",
        "amount": 1234,
        "currency": "USD",
        "amountCaptured": 1234,
        "fee": 0,
        "failureReason": None,
        "cancellationReason": None,
        "metadata": {"order": "1"},
    }
    assert (succeeded["paymentId"], succeeded["refundId"]) == (payment_id, None)
    assert succeeded["occurredAt"] == "2026-11-22T15:30:14.153Z"
    assert created["data"] == {
        "id": created["refundId"],
        "paymentId": payment_id,
        "status": "PENDING",
        "amount": 234,
        "currency": "USD",
        "reason": "broken",
        "failureReason": None,
        "metadata": {},
    }
    assert (created["paymentId"], created["requestId"]) == (payment_id, "refund-1")
    assert created["actor"] == {"type": "key", "id": str(merchant.key_id)}
    assert UUID(created["serverRequestId"])
    assert (succeeded["actor"], succeeded["serverRequestId"]) == (None, None)
    assert refunded["data"] == {**created["data"], "status": "SUCCESS"}
    assert (failed["data"]["status"], failed["data"]["failureReason"]) == (
        "FAILED",
        "card_declined",
    )


def test_one_event_is_read_by_its_id(merchant: MerchantClient, payment_id: str) -> None:
    for listed in list_events(merchant)["items"]:
        response = merchant.get(f"{EVENTS}/{listed['id']}")
        assert response.get_json()["data"] == listed
    assert payment_id


def test_unknown_and_other_merchants_events_return_404(
    merchant: MerchantClient, other_merchant: MerchantClient, payment_id: str
) -> None:
    listed = list_events(merchant, paymentId=payment_id)["items"][0]
    for caller, id in ((other_merchant, listed["id"]), (merchant, UNKNOWN)):
        response = caller.get(f"{EVENTS}/{id}")
        assert (response.status_code, error_code(response)) == (404, "not_found")
        assert response.get_json()["error"]["message"] == "No event has this id."
    assert list_events(other_merchant)["items"] == []
    assert list_events(other_merchant, paymentId=payment_id)["items"] == []
    for path in (f"{EVENTS}/x", f"{EVENTS}/{listed['id'].upper()}", f"{EVENTS}/%00"):
        assert merchant.get(path).status_code == 400
    assert merchant.get(f"{EVENTS}/{listed['id']}?wait=1").status_code == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"order": "desc"}, [5, 4, 3, 2, 1]),
        ({"order": "asc"}, [1, 2, 3, 4, 5]),
        ({"after": 0}, [1, 2, 3, 4, 5]),
        ({"after": 3}, [4, 5]),
        ({"after": 3, "order": "desc"}, [5, 4]),
        ({"after": 5}, []),
        ({"after": MAX_SEQUENCE}, []),
        ({"before": 3}, [2, 1]),
        ({"before": 3, "order": "asc"}, [1, 2]),
        ({"before": 1}, []),
        ({"before": 0}, []),
        ({"after": 1, "before": 4}, [2, 3]),
        ({"after": 4, "before": 1}, []),
        ({"limit": 1}, [5]),
        ({"type": "payment.succeeded"}, [2]),
        ({"type": ["payment.failed", "refund.created"], "order": "asc"}, [3, 5]),
        ({"type": ["refund.created", "refund.created"]}, [3]),
        ({"type": "payment.*"}, [5, 2]),
        ({"type": "refund.*", "order": "asc"}, [3, 4]),
        ({"type": "account.*"}, [1]),
        ({"type": ["refund.*", "payment.failed"], "after": 3}, [4, 5]),
        ({"type": ["refund.*", "payment.*", "account.created"]}, [5, 4, 3, 2, 1]),
        ({"type": "payment.canceled"}, []),
        ({"paymentId": "own"}, [4, 3, 2]),
        ({"paymentId": "own", "type": "payment.*"}, [2]),
        ({"paymentId": "own", "after": 2}, [3, 4]),
        ({"paymentId": UNKNOWN}, []),
        ({"after": 0, "wait": 0}, [1, 2, 3, 4, 5]),
        ({"after": 4, "wait": WAIT}, [5]),
        ({"after": 0, "wait": WAIT, "order": "asc", "limit": 2}, [1, 2]),
    ],
)
def test_filters_select_events(
    merchant: MerchantClient, payment_id: str, query: dict[str, Any], expected: list[int]
) -> None:
    if query.get("paymentId") == "own":
        query = {**query, "paymentId": payment_id}
    assert list_sequences(merchant, **query) == expected


@pytest.mark.usefixtures("payment_id")
@pytest.mark.parametrize("query", [{}, {"after": 0}, {"type": ["payment.*", "refund.*"]}])
@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_pages_contain_each_event_once_while_events_are_added(
    web: WebApp, merchant: MerchantClient, query: dict[str, Any], limit: int
) -> None:
    expected = list_sequences(merchant, **query)
    seen: list[int] = []
    page = list_events(merchant, **query, limit=limit)
    while len(seen) < len(expected):
        seen += [event["sequence"] for event in page["items"]]
        merchant.pay()
        web.application.settlement.settle()
        if page["nextCursor"]:
            page = list_events(merchant, **query, limit=limit, cursor=page["nextCursor"])
    assert seen[: len(expected)] == expected


@pytest.mark.usefixtures("payment_id")
def test_cursor_of_other_filters_order_or_merchant_returns_400(
    merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    cursor = list_events(merchant, limit=1)["nextCursor"]
    assert list_sequences(merchant, limit=2, cursor=cursor) == [4, 3]
    others: list[dict[str, Any]] = [
        *({"order": "asc"}, {"after": 0}, {"before": 4}, {"type": "payment.*"}),
        *({"paymentId": UNKNOWN}, {"type": "refund.created"}),
    ]
    for query in others:
        response = merchant.get(f"{EVENTS}?{urlencode({**query, 'cursor': cursor})}")
        assert response.status_code == 400, query
        assert list(response.get_json()["error"]["details"]) == ["cursor"]
    assert other_merchant.get(f"{EVENTS}?cursor={cursor}").status_code == 400
    assert merchant.get(f"/api/v1/payments?cursor={cursor}").status_code == 400
    # The order that is implied is the same list.
    cursor = list_events(merchant, after=0, limit=1)["nextCursor"]
    assert list_sequences(merchant, after=0, order="asc", cursor=cursor) == [2, 3, 4, 5]


@pytest.mark.parametrize("name", ["after", "before", "wait", "limit"])
@pytest.mark.parametrize(
    "value",
    [
        *("", "-1", "+1", "1.0", "1e1", "01", "00", "0x1", "٣", "%201", "1%20", "1%0a", "null"),
        *("9007199254740992", "9" * 20, "9" * 5_000, "%00", "1,2", "true", "%31%zz", "'1'"),
    ],
)
def test_invalid_number_returns_400(merchant: MerchantClient, name: str, value: str) -> None:
    response = merchant.get(f"{EVENTS}?{name}={value}")
    assert (response.status_code, error_code(response)) == (400, "validation_failed")
    assert list(response.get_json()["error"]["details"]) == [name]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *(("limit=0", "limit"), ("limit=101", "limit"), ("wait=31&after=0", "wait")),
        *(("after=1&after=2", "after"), ("before=1&before=1", "before"), ("order=", "order")),
        *(("wait=1&wait=1&after=0", "wait"), ("limit=1&limit=1", "limit"), ("order=ASC", "order")),
        *(("order=asc&order=desc", "order"), ("order=newest", "order"), ("type=", "type")),
        *(("type=payment.created", "type"), ("type=payment.retried", "type"), ("type=*", "type")),
        *(("type=payment.", "type"), ("type=refund.*.*", "type"), ("type=PAYMENT.*", "type")),
        *(("type=payment.succeeded,payment.failed", "type"), ("type=succeeded", "type")),
        *(("type=payment.succeeded&type=x", "type"), ("type=payment.succeeded%0a", "type")),
        *(("type=%00", "type"), ("type=" + "x" * 3_000, "type"), ("types=payment.*", "types")),
        *(
            ("type[]=payment.*", "type[]"),
            ("paymentId=", "paymentId"),
            ("paymentId=x", "paymentId"),
        ),
        *(("paymentId=" + UNKNOWN.upper().replace("7", "A"), "paymentId"), ("x=1", "x")),
        *(
            (f"paymentId={UNKNOWN}&paymentId={UNKNOWN}", "paymentId"),
            ("paymentId=%ff", "paymentId"),
        ),
        *(("cursor=", "cursor"), ("cursor=x", "cursor"), ("cursor=" + "A" * 23, "cursor")),
        *(("cursor=" + "_" * 32, "cursor"), ("cursor=" + "A" * 4_000, "cursor")),
        *(("cursor=AQ%0a", "cursor"), ("cursor=" + "A" * 24 + "&cursor=A", "cursor")),
        *(
            ("sequence=1", "sequence"),
            ("AFTER=1", "AFTER"),
            ("createdFrom=2026-01-01", "createdFrom"),
        ),
    ],
)
def test_invalid_query_names_its_parameter(merchant: MerchantClient, query: str, name: str) -> None:
    response = merchant.get(f"{EVENTS}?{query}")
    assert (response.status_code, error_code(response)) == (400, "validation_failed")
    assert list(response.get_json()["error"]["details"]) == [name]


def test_only_types_of_the_stream_are_accepted(merchant: MerchantClient) -> None:
    for type in STREAM_TYPES:
        assert list_events(merchant, type=type.value)["items"] == []
    error = merchant.get(f"{EVENTS}?type=payment.created").get_json()["error"]
    assert "payment.succeeded" in error["details"]["type"][0]


class Waiting:
    """Requests that wait in threads, each with a client of its own."""

    def __init__(self, web: WebApp) -> None:
        self.web = web
        self.threads = ThreadPoolExecutor(20)

    def start(self, merchant: MerchantClient, query: str) -> "Future[TestResponse]":
        caller = replace(merchant, client=self.web.app.test_client(settings=self.web.settings))
        return self.threads.submit(caller.get, f"{EVENTS}?{query}")

    def await_count(self, count: int) -> None:
        signal: Any = self.web.application.event_signal
        wait_until(lambda: signal._waiting == count, 60, f"{count} requests wait")


@pytest.fixture
def waiting(web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient) -> Any:
    """The first event of both merchants is that of their account."""
    waiting = Waiting(web)
    for caller in (merchant, other_merchant):
        assert caller.post(ACCOUNTS, ACCOUNT_BODY).status_code == 201
    yield waiting
    web.application.event_signal.stop()
    waiting.threads.shutdown()


def get_types(future: "Future[TestResponse]") -> list[str]:
    response = future.result(20)
    assert response.status_code == 200, response.text
    return [event["type"] for event in response.get_json()["data"]["items"]]


def test_number_before_the_first_kept_event_is_answered_410(
    web: WebApp, merchant: MerchantClient
) -> None:
    for _ in range(2):
        merchant.pay()
        web.application.settlement.settle()
    [latest, *_] = list_events(merchant)["items"]
    web.clock.time += timedelta(days=401)
    merchant.pay()
    web.application.settlement.settle()
    assert web.application.maintenance.purge_events() > 0
    for after in (0, latest["sequence"] - 1):
        response = merchant.get(f"/api/v1/events?after={after}")
        assert response.status_code == 410
        assert error_code(response) == "events_purged"
        details = response.get_json()["error"]["details"]
        least = latest["sequence"]
        assert details == {"after": [f"Must be {least} or more."], "minimum": least}
    assert len(list_events(merchant, after=latest["sequence"])["items"]) == 1
    assert len(list_events(merchant)["items"]) == 1


def test_waiting_request_gets_the_next_event(
    web: WebApp, merchant: MerchantClient, waiting: Waiting
) -> None:
    answers = [waiting.start(merchant, f"after=1&wait={WAIT}") for _ in range(3)]
    waiting.await_count(3)
    merchant.pay()
    assert not any(answer.done() for answer in answers)
    web.application.settlement.settle()
    assert [get_types(answer) for answer in answers] == [["payment.succeeded"]] * 3
    waiting.await_count(0)


def test_waiting_request_ignores_events_that_do_not_match(
    web: WebApp,
    merchant: MerchantClient,
    other_merchant: MerchantClient,
    waiting: Waiting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader: Any = web.application.events.list.reader
    read, reads = reader.read, []

    def record_read(page: StreamRead) -> object:
        if page.filters.types:
            reads.append(page)
        return read(page)

    monkeypatch.setattr(reader, "read", record_read)
    answer = waiting.start(merchant, f"after=1&type=payment.failed&wait={WAIT}")
    waiting.await_count(1)
    other_merchant.pay(source="tok_chargeDeclined")
    for count in (2, 3):
        merchant.pay()
        web.application.settlement.settle()
        wait_until(lambda count=count: len(reads) == count, 60, "the event has been read")
        waiting.await_count(1)
        assert not answer.done()
    merchant.pay(source="tok_chargeDeclined")
    web.application.settlement.settle()
    assert get_types(answer) == ["payment.failed"]


def test_wait_without_an_event_ends_with_an_empty_page(merchant: MerchantClient) -> None:
    assert list_events(merchant, after=1, wait=1) == {"items": [], "nextCursor": None}


@pytest.mark.parametrize("query", ["after=1&before=9", "after=1&order=desc", "type=refund.failed"])
def test_page_without_room_for_an_event_to_come_is_not_waited_for(
    merchant: MerchantClient, waiting: Waiting, query: str
) -> None:
    answer = waiting.start(merchant, f"{query}&wait={WAIT}")
    assert get_types(answer) == []
    waiting.await_count(0)


def test_requests_that_wait_are_limited_per_merchant_and_process(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient, waiting: Waiting
) -> None:
    answers = [waiting.start(merchant, f"after=1&wait={WAIT}") for _ in range(3)]
    waiting.await_count(3)
    refused = merchant.get(f"{EVENTS}?after=1&wait={WAIT}")
    assert (refused.status_code, error_code(refused)) == (429, "too_many_waiting")
    assert int(refused.headers["Retry-After"]) >= 1
    answers += [waiting.start(other_merchant, f"after=1&wait={WAIT}") for _ in range(3)]
    waiting.await_count(6)
    third = web.create_merchant("Third")
    refused = third.get(f"{EVENTS}?after=1&wait={WAIT}")
    assert (refused.status_code, error_code(refused)) == (503, "service_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert list_sequences(third, after=1) == [], "only waiting is refused"
    for caller in (merchant, other_merchant):
        caller.pay()
    web.application.settlement.settle()
    assert [get_types(answer) for answer in answers] == [["payment.succeeded"]] * 6
    assert list_sequences(merchant, after=1, wait=WAIT) == [2]


def test_key_that_is_revoked_while_waiting_gets_401(
    web: WebApp, merchant: MerchantClient, waiting: Waiting
) -> None:
    issued = web.application.api_keys.issue(merchant.merchant_id, "second")
    answer = waiting.start(replace(merchant, key=issued.raw), f"after=1&wait={WAIT}")
    waiting.await_count(1)
    web.application.api_keys.revoke(issued.key.id)
    merchant.pay()
    web.application.settlement.settle()
    assert answer.result(20).status_code == 401
    assert error_code(answer.result()) == "unauthorized"


def test_stopping_process_answers_waiting_requests(
    web: WebApp, merchant: MerchantClient, waiting: Waiting
) -> None:
    answer = waiting.start(merchant, f"after=1&wait={WAIT}")
    waiting.await_count(1)
    web.application.event_signal.stop()
    assert get_types(answer) == []
    # Others are answered soon, and not after their wait.
    assert get_types(waiting.start(merchant, f"after=1&wait={WAIT}")) == []


def test_unavailable_storage_returns_503_after_the_wait(
    web: WebApp, merchant: MerchantClient, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader: Any = web.application.events.list.reader

    def fail() -> None:
        raise StorageUnavailable

    answer = waiting.start(merchant, "after=1&wait=1")
    waiting.await_count(1)
    monkeypatch.setattr(reader, "_begin", fail)
    response = answer.result(20)
    assert (response.status_code, error_code(response)) == (503, "service_unavailable")
    assert response.headers["Retry-After"] == "1"
