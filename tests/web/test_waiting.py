"""`?wait=5` and `Prefer: wait=5`: a request is answered when its payment or refund is settled."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from atomic_core.domain.errors import StorageUnavailable, TooManyWaiting, WaitingPlacesTaken
from processes import wait_until
from web.web_client import PAYMENT_BODY, PAYMENTS, MerchantClient, WebApp, error_code

WAIT = 30
"""Seconds that no test waits, because the wait ends before."""


class Waiting:
    """Requests that wait in threads, each with a client of its own."""

    def __init__(self, web: WebApp, merchant: MerchantClient) -> None:
        self.web, self.merchant = web, merchant
        self.threads = ThreadPoolExecutor(10)
        self.signal: Any = web.application.event_signal

    def start(
        self, send: Callable[[MerchantClient], TestResponse], count: int = 1
    ) -> "Future[TestResponse]":
        client = self.web.app.test_client(settings=self.web.settings)
        answer = self.threads.submit(send, replace(self.merchant, client=client))
        wait_until(lambda: self.signal._waiting == count, 60, f"{count} requests wait")
        return answer

    def settle(self) -> None:
        self.web.application.settlement.settle()

    def create(self, **changes: Any) -> str:
        path = self.merchant.pay(**changes).headers["Location"]
        self.settle()
        return path


@pytest.fixture
def waiting(web: WebApp, merchant: MerchantClient) -> Iterator[Waiting]:
    waiting = Waiting(web, merchant)
    yield waiting
    web.application.event_signal.stop()
    waiting.threads.shutdown()


def get_status(answer: "Future[TestResponse]") -> tuple[int, str]:
    response = answer.result(20)
    data = response.get_json()["data"]
    return response.status_code, data.get("payment", data)["status"]


@pytest.mark.parametrize(
    ("source", "capture", "status"),
    [
        ("tok_visa", "automatic", "SUCCESS"),
        ("tok_chargeDeclined", "automatic", "FAILED"),
        ("tok_visa", "manual", "AUTHORIZED"),
    ],
)
def test_payment_is_answered_when_it_is_settled(
    waiting: Waiting, source: str, capture: str, status: str
) -> None:
    body = PAYMENT_BODY | {"source": source, "capture": capture}
    answer = waiting.start(lambda caller: caller.post(f"{PAYMENTS}?wait={WAIT}", body))
    assert not answer.done()
    waiting.settle()
    assert get_status(answer) == (200, status)
    response = answer.result()
    assert response.headers["Location"] == f"{PAYMENTS}/{response.get_json()['data']['id']}"


@pytest.mark.parametrize(
    ("action", "capture", "status"),
    [
        ("capture", "manual", "SUCCESS"),
        ("cancel", "manual", "CANCELED"),
        ("refunds", "automatic", "SUCCESS"),
    ],
)
def test_capture_cancellation_and_refund_are_answered_when_settled(
    waiting: Waiting, action: str, capture: str, status: str
) -> None:
    path = waiting.create(capture=capture)
    answer = waiting.start(lambda caller: caller.post(f"{path}/{action}?wait={WAIT}", {}))
    waiting.settle()
    assert get_status(answer) == (200, status)


def test_reads_wait_for_open_payments_and_refunds_only(waiting: Waiting) -> None:
    path = waiting.merchant.pay().headers["Location"]
    answer = waiting.start(lambda caller: caller.get(f"{path}?wait={WAIT}"))
    waiting.settle()
    assert get_status(answer) == (200, "SUCCESS")
    refund = waiting.merchant.post(f"{path}/refunds", {}).headers["Location"]
    answer = waiting.start(lambda caller: caller.get(f"{refund}?wait={WAIT}"))
    waiting.settle()
    assert get_status(answer) == (200, "SUCCESS")
    for settled in (path, refund):
        assert waiting.merchant.get(f"{settled}?wait={WAIT}").status_code == 200


@pytest.mark.parametrize("preference", ["wait=30", 'respond-async, wait="30"', "Wait = 99999"])
def test_prefer_header_means_the_same(waiting: Waiting, preference: str) -> None:
    answer = waiting.start(lambda caller: caller.post(PAYMENTS, PAYMENT_BODY, Prefer=preference))
    waiting.settle()
    assert get_status(answer) == (200, "SUCCESS")


@pytest.mark.parametrize("preference", ["respond-async", "wait", "wait=x", "wait=-1", "xwait=30"])
def test_other_preferences_are_ignored(merchant: MerchantClient, preference: str) -> None:
    assert merchant.post(PAYMENTS, PAYMENT_BODY, Prefer=preference).status_code == 202


def test_payment_that_is_not_settled_in_time_is_answered_202(merchant: MerchantClient) -> None:
    response = merchant.post(f"{PAYMENTS}?wait=1", PAYMENT_BODY)
    assert (response.status_code, response.get_json()["data"]["status"]) == (202, "PENDING")


def test_waits_end_when_the_process_stops(waiting: Waiting) -> None:
    answer = waiting.start(lambda caller: caller.post(f"{PAYMENTS}?wait={WAIT}", PAYMENT_BODY))
    waiting.signal.stop()
    assert get_status(answer) == (202, "PENDING")


def test_replay_is_the_first_response_as_it_is_stored(waiting: Waiting) -> None:
    answer = waiting.start(
        lambda caller: caller.post(f"{PAYMENTS}?wait={WAIT}", PAYMENT_BODY, Idempotency_Key="k")
    )
    waiting.settle()
    assert get_status(answer) == (200, "SUCCESS")
    for path in (PAYMENTS, f"{PAYMENTS}?wait={WAIT}"):
        replay = waiting.merchant.post(path, PAYMENT_BODY, Idempotency_Key="k")
        assert (replay.status_code, replay.get_json()["data"]["status"]) == (202, "PENDING")
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.headers["Location"] == answer.result().headers["Location"]


@pytest.mark.parametrize("wait", ["31", "-1", "x", "", "1.5", "1&wait=1"])
def test_invalid_wait_is_refused_before_the_payment_is_created(
    web: WebApp, merchant: MerchantClient, wait: str
) -> None:
    response = merchant.post(f"{PAYMENTS}?wait={wait}", PAYMENT_BODY)
    assert (response.status_code, error_code(response)) == (400, "validation_failed")
    assert response.get_json()["error"]["param"] == "wait"
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("error", [TooManyWaiting, WaitingPlacesTaken, StorageUnavailable])
def test_accepted_payment_is_answered_202_if_it_cannot_be_waited_for(
    web: WebApp, merchant: MerchantClient, error: type[Exception]
) -> None:
    def refuse(*_arguments: object) -> None:
        raise error

    caller = web.with_use_cases({"payments.wait": refuse}).connect(merchant)
    response = caller.post(f"{PAYMENTS}?wait=5", PAYMENT_BODY)
    assert (response.status_code, response.get_json()["data"]["status"]) == (202, "PENDING")


def test_request_without_wait_does_not_touch_the_signal(
    web: WebApp, merchant: MerchantClient
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("waited")

    waits = {"payments.wait": refuse, "refunds.wait": refuse}
    caller = web.with_use_cases(waits).connect(merchant)
    path = caller.pay().headers["Location"]
    assert caller.get(path).status_code == 200
    assert caller.post(f"{PAYMENTS}?wait=0", PAYMENT_BODY).status_code == 202


def test_each_request_is_woken_by_its_own_payment_only(waiting: Waiting) -> None:
    slow = PAYMENT_BODY | {"source": "tok_undecided"}
    first = waiting.start(lambda caller: caller.post(f"{PAYMENTS}?wait={WAIT}", slow))
    waiting.settle()
    second = waiting.start(lambda caller: caller.post(f"{PAYMENTS}?wait={WAIT}", PAYMENT_BODY), 2)
    waiting.settle()
    assert get_status(second) == (200, "SUCCESS")
    assert not first.done()


def test_key_that_is_revoked_while_a_read_waits_gets_401(waiting: Waiting) -> None:
    path = waiting.merchant.pay().headers["Location"]
    answer = waiting.start(lambda caller: caller.get(f"{path}?wait={WAIT}"))
    waiting.web.application.api_keys.revoke(waiting.merchant.key_id)
    waiting.settle()
    assert answer.result(20).status_code == 401
