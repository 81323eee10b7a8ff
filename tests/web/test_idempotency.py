import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup
from atomic_core.use_cases.idempotency import PerformOnce
from atomic_web import metrics
from atomic_web.access.idempotency import fingerprint_request
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    WebApp,
    error_code,
)


@pytest.mark.parametrize(("path", "body"), [(PAYMENTS, PAYMENT_BODY), (ACCOUNTS, ACCOUNT_BODY)])
def test_replay_returns_the_first_response_byte_for_byte(
    web: WebApp, merchant: MerchantClient, path: str, body: object
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


def test_repeat_without_a_key_creates_another_payment(
    web: WebApp, merchant: MerchantClient
) -> None:
    assert merchant.pay().headers["Location"] != merchant.pay().headers["Location"]
    assert web.effects[0] == 2


def test_member_order_and_white_space_do_not_change_the_request(
    merchant: MerchantClient,
) -> None:
    first = merchant.post(PAYMENTS, PAYMENT_BODY, Idempotency_Key="k")
    turned = dict(reversed(PAYMENT_BODY.items()))
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
def test_key_with_another_body_returns_422(
    web: WebApp, merchant: MerchantClient, change: dict[str, object]
) -> None:
    merchant.pay(key="k")
    before = web.effects
    response = merchant.pay(key="k", **change)
    assert response.status_code == 422
    assert error_code(response) == "idempotency_key_reused"
    assert web.effects == before


def test_key_on_another_path_returns_422(web: WebApp, merchant: MerchantClient) -> None:
    merchant.pay(key="k")
    before = web.effects
    response = merchant.post(ACCOUNTS, ACCOUNT_BODY, Idempotency_Key="k")
    assert response.status_code == 422
    assert error_code(response) == "idempotency_key_reused"
    assert web.effects == before


def test_fingerprint_covers_method_path_and_content() -> None:
    requests = [
        ("POST", "/a", {"b": 1}),
        ("PUT", "/a", {"b": 1}),
        ("POST", "/b", {"b": 1}),
        ("POST", "/a", {"b": "1"}),
        ("POST", "/a", {"b": 1, "c": None}),
    ]
    assert len({fingerprint_request(*request) for request in requests}) == len(requests)
    assert all(len(fingerprint_request(*request)) == 32 for request in requests)


def test_idempotency_keys_are_scoped_to_the_merchant(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    own_payment, others_payment = merchant.pay(key="k"), other_merchant.pay(key="k", amount=99)
    assert own_payment.status_code == others_payment.status_code == 202
    assert "Idempotent-Replayed" not in others_payment.headers
    assert others_payment.get_json()["data"]["merchantId"] == str(other_merchant.merchant_id)
    assert web.effects[0] == 2


def test_api_keys_of_one_merchant_share_idempotency_keys(
    web: WebApp, merchant: MerchantClient
) -> None:
    other = web.application.api_keys.issue(merchant.merchant_id, "other").raw
    first = merchant.pay(key="k")
    second = merchant.post(
        PAYMENTS, PAYMENT_BODY, Idempotency_Key="k", Authorization=f"Bearer {other}"
    )
    assert second.data == first.data


@pytest.mark.parametrize(
    ("status", "refuse"),
    [
        (400, lambda caller, web: caller.pay(key="k", amount=0)),
        (400, lambda caller, web: caller.post(PAYMENTS, b"{", Idempotency_Key="k")),
        (
            400,
            lambda caller, web: caller.post(f"{PAYMENTS}?a=1", PAYMENT_BODY, Idempotency_Key="k"),
        ),
        (
            401,
            lambda caller, web: caller.post(
                PAYMENTS, PAYMENT_BODY, Idempotency_Key="k", Authorization="x"
            ),
        ),
        (
            403,
            lambda caller, web: caller.pay(
                key="k", merchantId=str(web.create_merchant().merchant_id)
            ),
        ),
        (413, lambda caller, web: caller.post(PAYMENTS, b" " * 70_000, Idempotency_Key="k")),
        (
            415,
            lambda caller, web: caller.post(
                PAYMENTS, PAYMENT_BODY, Idempotency_Key="k", Content_Type="x"
            ),
        ),
    ],
)
def test_refused_request_leaves_its_key_unused(
    web: WebApp, merchant: MerchantClient, status: int, refuse
) -> None:
    assert refuse(merchant, web).status_code == status
    response = merchant.pay(key="k")
    assert response.status_code == 202
    assert "Idempotent-Replayed" not in response.headers


def test_rate_limited_request_leaves_its_key_unused(web: WebApp, merchant: MerchantClient) -> None:
    limited = web.with_settings(RATE_LIMIT_GLOBAL="off", RATE_LIMIT_PAYMENTS="1/60")
    caller = limited.connect(merchant)
    assert caller.pay().status_code == 202
    assert caller.pay(key="k").status_code == 429
    web.clock.time += timedelta(seconds=60)
    response = caller.pay(key="k")
    assert response.status_code == 202
    assert "Idempotent-Replayed" not in response.headers


def test_invalid_repeat_returns_400_and_no_replay(merchant: MerchantClient) -> None:
    assert merchant.pay(key="k").status_code == 202
    assert merchant.pay(key="k", amount=0).status_code == 400


def test_key_can_be_used_again_after_its_retention(web: WebApp, merchant: MerchantClient) -> None:
    first = merchant.pay(key="k")
    web.clock.time += web.settings.idempotency_retention
    second = merchant.pay(key="k", amount=2)
    assert second.status_code == 202
    assert second.headers["Location"] != first.headers["Location"]


def test_reads_ignore_idempotency_keys(web: WebApp, merchant: MerchantClient) -> None:
    location = merchant.pay().headers["Location"]
    before = web.effects
    assert merchant.get(location, Idempotency_Key="a,b").status_code == 200
    assert web.effects == before


def test_twenty_concurrent_requests_with_one_key_create_one_payment(
    web: WebApp, merchant: MerchantClient
) -> None:
    def pay(_number: int) -> tuple[int, bytes]:
        response = web.connect(merchant).pay(key="k")
        return response.status_code, response.data

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(pay, range(20)))
    assert len(answers) == 1
    assert answers.pop()[0] == 202
    assert web.effects == (1, 3, 1)


class RefusingPaymentStore:
    """Accepts no payment, so that each is created in a unit of work."""

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        return [None] * len(inserts)

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        return [None] * len(lookups)


def test_unfinished_first_request_makes_the_second_wait_and_return_409(
    web: WebApp, merchant: MerchantClient
) -> None:
    store = MemoryStore(web.clock, lock_timeout=timedelta(milliseconds=10))
    create = replace(
        web.application.payments.create,
        payment_store=RefusingPaymentStore(),
        perform_once=PerformOnce(store.begin),
    )
    configured_web = web.with_use_cases({"payments.create": create})
    with store.begin() as first:
        first.now()
        response = configured_web.connect(merchant).pay(key="k")
    assert response.status_code == 409
    assert error_code(response) == "idempotency_key_in_use"
    assert re.fullmatch(r"[1-9]\d*", response.headers["Retry-After"])
    assert web.effects == (0, 0, 0)


def test_replays_and_conflicts_are_counted(web: WebApp, merchant: MerchantClient) -> None:
    def read() -> list[float]:
        conflicts = metrics.IDEMPOTENCY_CONFLICTS
        reused = conflicts.labels("idempotency_key_reused")
        in_use = conflicts.labels("idempotency_key_in_use")
        return [each._value.get() for each in (metrics.IDEMPOTENCY_REPLAYS, reused, in_use)]

    before = read()
    merchant.post(PAYMENTS, PAYMENT_BODY, Idempotency_Key="k")
    assert read() == before
    merchant.post(PAYMENTS, PAYMENT_BODY, Idempotency_Key="k")
    reused = merchant.post(PAYMENTS, {**PAYMENT_BODY, "amount": 1}, Idempotency_Key="k")
    assert error_code(reused) == "idempotency_key_reused"
    assert read() == [before[0] + 1, before[1] + 1, before[2]]


def test_unavailable_storage_returns_503_and_leaves_the_key_unused(
    web: WebApp, merchant: MerchantClient
) -> None:
    def unreachable(*_arguments: object) -> None:
        raise StorageUnavailable

    response = web.with_use_cases({"payments.create": unreachable}).connect(merchant).pay(key="k")
    assert response.status_code == 503
    assert error_code(response) == "service_unavailable"
    assert re.fullmatch(r"[1-9]\d*", response.headers["Retry-After"])
    assert web.connect(merchant).pay(key="k").status_code == 202
