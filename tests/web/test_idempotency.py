import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.payments import InsertedPayment, Lookup, Payment, PaymentInsert
from atomic_core.use_cases.idempotency import PerformOnce
from atomic_web.access.idempotency import fingerprint_request
from web.web_client import ACCOUNT, ACCOUNTS, ORDER, PAYMENTS, Caller, Web, error_code


@pytest.mark.parametrize(("path", "body"), [(PAYMENTS, ORDER), (ACCOUNTS, ACCOUNT)])
def test_a_repeat_gets_the_first_answer_byte_for_byte(
    web: Web, merchant: Caller, path: str, body: object
) -> None:
    first = merchant.post(path, body, Idempotency_Key="k", X_Request_Id="one")
    web.clock.time += timedelta(minutes=5)
    after_first = web.effects
    second = merchant.post(path, body, Idempotency_Key="k", X_Request_Id="two")

    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert first.headers["Location"] == second.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (first.headers["X-Request-Id"], second.headers["X-Request-Id"]) == ("one", "two")
    assert web.effects == after_first


def test_without_a_key_a_repeat_is_another_payment(web: Web, merchant: Caller) -> None:
    assert merchant.pay().headers["Location"] != merchant.pay().headers["Location"]
    assert web.effects[0] == 2


def test_order_and_spacing_of_the_body_do_not_make_another_request(merchant: Caller) -> None:
    first = merchant.post(PAYMENTS, ORDER, Idempotency_Key="k")
    turned = dict(reversed(ORDER.items()))
    second = merchant.post(PAYMENTS, json.dumps(turned, indent=4).encode(), Idempotency_Key="k")
    assert second.data == first.data


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1235},
        {"currency": "EUR"},
        {"source": "tok_mastercard"},
        {"description": "API Payment"},
        {"webhookUrl": "https://example.com/"},
    ],
)
def test_the_same_key_with_another_body_is_refused(
    web: Web, merchant: Caller, change: dict[str, object]
) -> None:
    merchant.pay(key="k")
    before = web.effects
    response = merchant.pay(key="k", **change)
    assert response.status_code == 422
    assert error_code(response) == "idempotency_key_reused"
    assert web.effects == before


def test_the_same_key_on_another_path_is_refused(web: Web, merchant: Caller) -> None:
    merchant.pay(key="k")
    before = web.effects
    response = merchant.post(ACCOUNTS, ACCOUNT, Idempotency_Key="k")
    assert response.status_code == 422
    assert error_code(response) == "idempotency_key_reused"
    assert web.effects == before


def test_a_fingerprint_covers_method_path_and_content() -> None:
    requests = [
        ("POST", "/a", {"b": 1}),
        ("PUT", "/a", {"b": 1}),
        ("POST", "/b", {"b": 1}),
        ("POST", "/a", {"b": "1"}),
        ("POST", "/a", {"b": 1, "c": None}),
    ]
    assert len({fingerprint_request(*request) for request in requests}) == len(requests)
    assert all(len(fingerprint_request(*request)) == 32 for request in requests)


def test_another_merchants_keys_are_its_own(web: Web, merchant: Caller, stranger: Caller) -> None:
    mine, theirs = merchant.pay(key="k"), stranger.pay(key="k", amount=99)
    assert mine.status_code == theirs.status_code == 202
    assert "Idempotent-Replayed" not in theirs.headers
    assert theirs.get_json()["data"]["merchantId"] == str(stranger.merchant_id)
    assert web.effects[0] == 2


def test_a_second_key_of_the_merchant_meets_the_same_record(web: Web, merchant: Caller) -> None:
    other = web.application.api_keys.issue(merchant.merchant_id, "other").raw
    first = merchant.pay(key="k")
    second = merchant.post(PAYMENTS, ORDER, Idempotency_Key="k", Authorization=f"Bearer {other}")
    assert second.data == first.data


@pytest.mark.parametrize(
    ("status", "refuse"),
    [
        (400, lambda caller, web: caller.pay(key="k", amount=0)),
        (400, lambda caller, web: caller.post(PAYMENTS, b"{", Idempotency_Key="k")),
        (400, lambda caller, web: caller.post(f"{PAYMENTS}?a=1", ORDER, Idempotency_Key="k")),
        (
            401,
            lambda caller, web: caller.post(
                PAYMENTS, ORDER, Idempotency_Key="k", Authorization="x"
            ),
        ),
        (403, lambda caller, web: caller.pay(key="k", merchantId=str(web.merchant().merchant_id))),
        (413, lambda caller, web: caller.post(PAYMENTS, b" " * 70_000, Idempotency_Key="k")),
        (
            415,
            lambda caller, web: caller.post(PAYMENTS, ORDER, Idempotency_Key="k", Content_Type="x"),
        ),
    ],
)
def test_a_refused_request_leaves_its_key_unused(
    web: Web, merchant: Caller, status: int, refuse
) -> None:
    assert refuse(merchant, web).status_code == status
    response = merchant.pay(key="k")
    assert response.status_code == 202
    assert "Idempotent-Replayed" not in response.headers


def test_a_rate_limited_request_leaves_its_key_unused(web: Web, merchant: Caller) -> None:
    limited = web.configured(RATE_LIMIT_GLOBAL="off", RATE_LIMIT_PAYMENTS="1/60")
    caller = limited.seen_by(merchant)
    assert caller.pay().status_code == 202
    assert caller.pay(key="k").status_code == 429
    web.clock.time += timedelta(seconds=60)
    response = caller.pay(key="k")
    assert response.status_code == 202
    assert "Idempotent-Replayed" not in response.headers


def test_a_faulty_repeat_is_faulty_not_replayed(merchant: Caller) -> None:
    assert merchant.pay(key="k").status_code == 202
    assert merchant.pay(key="k", amount=0).status_code == 400


def test_a_key_is_new_again_after_its_retention(web: Web, merchant: Caller) -> None:
    first = merchant.pay(key="k")
    web.clock.time += web.settings.idempotency_retention
    second = merchant.pay(key="k", amount=2)
    assert second.status_code == 202
    assert second.headers["Location"] != first.headers["Location"]


def test_reading_takes_no_notice_of_keys(web: Web, merchant: Caller) -> None:
    location = merchant.pay().headers["Location"]
    before = web.effects
    assert merchant.get(location, Idempotency_Key="a,b").status_code == 200
    assert web.effects == before


def test_twenty_at_once_are_one_payment(web: Web, merchant: Caller) -> None:
    def pay(_number: int) -> tuple[int, bytes]:
        response = web.seen_by(merchant).pay(key="k")
        return response.status_code, response.data

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(pay, range(20)))
    assert len(answers) == 1
    assert answers.pop()[0] == 202
    assert web.effects == (1, 3, 1)


class Unusual:
    """A desk that sends everybody the long way."""

    def accept(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        return [None] * len(inserts)

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        return [None] * len(lookups)


def test_a_first_request_that_does_not_finish_makes_the_second_wait_and_leave(
    web: Web, merchant: Caller
) -> None:
    store = MemoryStore(web.clock, lock_timeout=timedelta(milliseconds=10))
    create = replace(
        web.application.payments.create,
        payment_store=Unusual(),
        perform_once=PerformOnce(store.begin),
    )
    door = web.with_use_cases({"payments.create": create})
    with store.begin() as first:
        first.now()
        response = door.seen_by(merchant).pay(key="k")
    assert response.status_code == 409
    assert error_code(response) == "idempotency_key_in_use"
    assert re.fullmatch(r"[1-9]\d*", response.headers["Retry-After"])
    assert web.effects == (0, 0, 0)


def test_a_store_that_cannot_be_reached_is_503_and_leaves_the_key_unused(
    web: Web, merchant: Caller
) -> None:
    def unreachable(*_arguments: object) -> None:
        raise StorageUnavailable

    response = web.with_use_cases({"payments.create": unreachable}).seen_by(merchant).pay(key="k")
    assert response.status_code == 503
    assert error_code(response) == "service_unavailable"
    assert re.fullmatch(r"[1-9]\d*", response.headers["Retry-After"])
    assert web.seen_by(merchant).pay(key="k").status_code == 202
