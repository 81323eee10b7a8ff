"""POST /payments/batch."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from atomic_core.ports.rate_limiter import RateLimiterUnavailable
from atomic_web.views import batches
from atomic_web.views.batches import MAX_ITEMS
from web.web_client import BATCH, PAYMENT_BODY, PAYMENTS, MerchantClient, WebApp, error_code


def build_item(amount: int = 1, key: str | None = None, **changes: object) -> dict[str, object]:
    keyed = {} if key is None else {"idempotencyKey": key}
    return PAYMENT_BODY | {"amount": amount} | keyed | changes


def get_payments(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 202, response.data
    return response.get_json()["data"]["payments"]


def get_details(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 400, response.data
    assert error_code(response) == "validation_failed"
    return response.get_json()["error"]["details"]


def test_batch_returns_payments_in_request_order(web: WebApp, merchant: MerchantClient) -> None:
    response = merchant.pay_batch(
        build_item(1), build_item(2, "k", description="é"), build_item(3, currency="EUR")
    )
    made = get_payments(response)
    assert [payment["amount"] for payment in made] == [1, 2, 3]
    assert [payment["idempotencyKey"] for payment in made] == [None, "k", None]
    assert [payment["status"] for payment in made] == ["PENDING"] * 3
    assert response.get_json()["data"]["replayed"] == []
    assert "Location" not in response.headers
    assert web.effects[0] == 3
    for payment in made:
        read_back = merchant.get(f"{PAYMENTS}/{payment['id']}").get_json()["data"]["payment"]
        assert read_back == payment
    assert web.application.settlement.settle() == 3


def test_batch_of_1000_is_accepted_and_of_1001_returns_400(
    web: WebApp, merchant: MerchantClient
) -> None:
    assert (
        len(get_payments(merchant.pay_batch(*[build_item(n + 1) for n in range(MAX_ITEMS)])))
        == MAX_ITEMS
    )
    before = web.effects
    assert list(get_details(merchant.pay_batch(*[build_item()] * (MAX_ITEMS + 1)))) == ["payments"]
    assert web.effects == before


def test_batch_of_too_many_values_is_refused_before_it_is_parsed(
    web: WebApp, merchant: MerchantClient
) -> None:
    """The text is no JSON, which only the parser would notice."""
    body = b'{"payments":[' + b",".join([b"{}"] * 690_000) + b"]"
    response = merchant.post(BATCH, body)
    assert response.status_code == 400
    assert "20000 values" in response.get_json()["error"]["message"]
    assert web.effects == (0, 0, 0)


def test_other_requests_run_while_a_batch_is_validated(
    merchant: MerchantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(batches.time, "sleep", pauses.append)
    assert merchant.pay_batch(*[build_item(n + 1) for n in range(MAX_ITEMS)]).status_code == 202
    assert pauses == [0] * (MAX_ITEMS // batches.ITEMS_PER_TURN - 1)


@pytest.mark.parametrize("listed", [[], None, {}, "x", 5, {"0": PAYMENT_BODY}])
def test_payments_that_are_no_list_return_400(
    web: WebApp, merchant: MerchantClient, listed: object
) -> None:
    assert list(get_details(merchant.post(BATCH, {"payments": listed}))) == ["payments"]
    assert web.effects == (0, 0, 0)


def test_unknown_batch_fields_return_400(merchant: MerchantClient) -> None:
    assert list(get_details(merchant.post(BATCH, {"payments": [build_item()], "x": 1}))) == ["x"]
    assert list(get_details(merchant.post(BATCH, {}))) == ["payments"]


def test_one_invalid_payment_refuses_the_batch_and_is_named_by_index(
    web: WebApp, merchant: MerchantClient
) -> None:
    response = merchant.pay_batch(
        build_item(), build_item(0), build_item(), build_item(source="visa", currency="XXX"), 5
    )
    assert set(get_details(response)) == {
        "payments.1.amount",
        "payments.3.source",
        "payments.3.currency",
        "payments.4",
    }
    assert web.effects == (0, 0, 0)


def test_reported_errors_of_a_batch_are_limited(merchant: MerchantClient) -> None:
    assert len(get_details(merchant.pay_batch(*[build_item(0, currency="XXX")] * MAX_ITEMS))) == 20


@pytest.mark.parametrize("key", ["", " ", "é", "a\n", "x" * 256, 5, None, ["k"]])
def test_invalid_idempotency_key_of_a_payment_returns_400(
    web: WebApp, merchant: MerchantClient, key: object
) -> None:
    response = merchant.pay_batch(build_item(), build_item() | {"idempotencyKey": key})
    assert list(get_details(response)) == ["payments.1.idempotencyKey"]
    assert web.effects == (0, 0, 0)


def test_duplicate_idempotency_key_in_a_batch_returns_400(
    web: WebApp, merchant: MerchantClient
) -> None:
    errors = get_details(merchant.pay_batch(build_item(1, "k"), build_item(2), build_item(1, "k")))
    assert list(errors) == ["payments.2.idempotencyKey"]
    assert "payments.0" in errors["payments.2.idempotencyKey"][0]
    assert web.effects == (0, 0, 0)


def test_batch_key_that_is_also_a_payment_key_returns_400(
    web: WebApp, merchant: MerchantClient
) -> None:
    response = merchant.pay_batch(build_item(1, "k"), Idempotency_Key="k")
    assert list(get_details(response)) == ["Idempotency-Key"]
    assert web.effects == (0, 0, 0)


def test_batch_payment_for_another_merchant_returns_403(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    response = merchant.pay_batch(
        build_item(), build_item(merchantId=str(other_merchant.merchant_id))
    )
    assert (response.status_code, error_code(response)) == (403, "forbidden")
    assert web.effects == (0, 0, 0)
    assert merchant.pay_batch(build_item(merchantId=str(merchant.merchant_id))).status_code == 202


def test_payment_key_in_a_batch_replays_the_payment(web: WebApp, merchant: MerchantClient) -> None:
    first = get_payments(merchant.pay_batch(build_item(1, "a"), build_item(2, "b")))
    before = web.effects
    web.application.settlement.settle()
    again = merchant.pay_batch(build_item(2, "b"), build_item(3, "c"), build_item(1, "a"))
    assert [payment["id"] for payment in get_payments(again)][::2] == [
        first[1]["id"],
        first[0]["id"],
    ]
    assert get_payments(again)[0] == first[1], "as it was first errors"
    assert again.get_json()["data"]["replayed"] == [0, 2]
    assert web.effects[0] == before[0] + 1


@pytest.mark.parametrize("batch_first", [True, False])
def test_idempotency_key_is_shared_by_single_payments_and_batches(
    web: WebApp, merchant: MerchantClient, batch_first: bool
) -> None:
    def alone() -> Any:
        return merchant.pay(key="k", amount=7).get_json()["data"]

    def in_batch() -> Any:
        return get_payments(merchant.pay_batch(build_item(8), build_item(7, "k")))[1]

    first, second = (in_batch(), alone()) if batch_first else (alone(), in_batch())
    assert first == second
    assert merchant.pay(key="k", amount=7).headers["Idempotent-Replayed"] == "true"
    assert merchant.pay(key="k", amount=7).headers["Location"] == f"{PAYMENTS}/{first['id']}"
    assert web.effects[0] == 2


def test_reused_payment_key_returns_422_and_is_named(web: WebApp, merchant: MerchantClient) -> None:
    merchant.pay(key="k", amount=7)
    before = web.effects
    response = merchant.pay_batch(build_item(1, "new"), build_item(8, "k"), build_item(2))
    assert (response.status_code, error_code(response)) == (422, "idempotency_key_reused")
    assert list(response.get_json()["error"]["details"]) == ["payments.1.idempotencyKey"]
    assert web.effects == before
    assert merchant.pay_batch(build_item(2, "new")).status_code == 202, "its key was left unused"


def test_replayed_batch_returns_the_first_response_byte_for_byte(
    web: WebApp, merchant: MerchantClient
) -> None:
    first = merchant.pay_batch(build_item(1), build_item(2, "b"), Idempotency_Key="call")
    before = web.effects
    again = merchant.pay_batch(build_item(1), build_item(2, "b"), Idempotency_Key="call")
    assert (again.status_code, again.data) == (202, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert web.effects == before
    other = merchant.pay_batch(build_item(1), Idempotency_Key="call")
    assert error_code(other) == "idempotency_key_reused"


def test_refused_batch_leaves_its_key_unused(web: WebApp, merchant: MerchantClient) -> None:
    assert merchant.pay_batch(build_item(0), Idempotency_Key="call").status_code == 400
    assert merchant.pay_batch(build_item(1), Idempotency_Key="call").status_code == 202


def test_batch_keys_are_scoped_to_the_merchant(
    merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    own_payment = get_payments(merchant.pay_batch(build_item(1, "k")))[0]
    others_payment = get_payments(other_merchant.pay_batch(build_item(2, "k")))[0]
    assert own_payment["id"] != others_payment["id"]


def test_expired_payment_key_can_be_used_again(web: WebApp, merchant: MerchantClient) -> None:
    first = get_payments(merchant.pay_batch(build_item(1, "k")))[0]
    web.clock.time += web.settings.idempotency_retention
    response = merchant.pay_batch(build_item(2, "k"))
    assert get_payments(response)[0]["id"] != first["id"]
    assert response.get_json()["data"]["replayed"] == []


def test_payments_limit_counts_every_payment_of_a_batch(web: WebApp) -> None:
    configured_web = web.with_settings(RATE_LIMIT_GLOBAL="100/900", RATE_LIMIT_PAYMENTS="10/60")
    merchant = configured_web.connect(web.create_merchant())
    response = merchant.pay_batch(*[build_item()] * 7)
    assert response.headers["RateLimit"] == '"global";r=99;t=900, "payments";r=3;t=60'
    assert response.headers["RateLimit-Policy"] == '"global";q=100;w=900, "payments";q=10;w=60'
    before = web.effects
    refused = merchant.pay_batch(*[build_item()] * 4)
    assert (refused.status_code, error_code(refused)) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["RateLimit"] == '"global";r=98;t=900, "payments";r=0;t=60'
    assert merchant.pay().status_code == 429, "the same window as single payments"
    assert web.effects == before


@pytest.mark.parametrize(("on_failure", "status"), [("allow", 202), ("refuse", 503)])
def test_batch_follows_the_setting_for_an_unavailable_rate_limiter(
    web: WebApp, on_failure: str, status: int
) -> None:
    class Away:
        def count(self, limits: object) -> None:
            raise RateLimiterUnavailable("away")

    merchant = web.create_merchant()
    configured_web = web.with_settings(RATE_LIMIT_GLOBAL="off", RATE_LIMIT_ON_FAILURE=on_failure)
    response = (
        configured_web.with_use_cases({"rate_limiter": Away()})
        .connect(merchant)
        .pay_batch(build_item())
    )
    assert response.status_code == status
    assert web.effects[0] == (1 if status == 202 else 0)


def test_batch_has_its_own_body_limit(web: WebApp, merchant: MerchantClient) -> None:
    large = build_item(description="x" * 500)
    over = [large] * (web.settings.body_limit // 500 + 1)
    assert merchant.pay_batch(*over).status_code == 202
    limit = web.with_settings(BATCH_BODY_LIMIT_BYTES="2000").connect(merchant)
    response = limit.pay_batch(*[large] * 4)
    assert (response.status_code, error_code(response)) == (413, "payload_too_large")
    assert limit.pay_batch(*[large] * 3).status_code == 202


def test_batch_with_query_key_or_media_type_errors_is_refused(
    web: WebApp, merchant: MerchantClient
) -> None:
    assert merchant.post(f"{BATCH}?x=1", {"payments": [PAYMENT_BODY]}).status_code == 400
    read = merchant.get(BATCH)
    assert read.status_code == 405, "not a payment with a bad id"
    assert read.headers["Allow"] == "OPTIONS, POST"
    assert merchant.client.put(BATCH, headers=merchant.authorization).status_code == 405
    assert web.client.post(BATCH, json={"payments": [PAYMENT_BODY]}).status_code == 401
    plain = merchant.post(BATCH, {"payments": [PAYMENT_BODY]}, Content_Type="text/plain")
    assert plain.status_code == 415
    assert web.effects == (0, 0, 0)


def test_batch_log_line_has_the_payment_count_and_no_secret(merchant: MerchantClient) -> None:
    with capture_logs() as logs:
        merchant.pay_batch(build_item(1, "sesame"), build_item(2))
    [line] = logs
    assert (line["route"], line["payments"]) == (BATCH, 2)
    assert not any(secret in str(line) for secret in (merchant.key, "sesame", "tok_visa"))
