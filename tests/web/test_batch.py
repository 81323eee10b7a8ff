"""POST /payments/batch: each payment as if it had been posted alone, all or none."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from atomic_core.ports.rate_limiter import RateLimiterUnavailable
from atomic_web.views.batches import MAX_ITEMS
from web.web_client import BATCH, ORDER, PAYMENTS, Caller, Web, error_code


def item(amount: int = 1, key: str | None = None, **changes: object) -> dict[str, object]:
    keyed = {} if key is None else {"idempotencyKey": key}
    return ORDER | {"amount": amount} | keyed | changes


def payments(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 202, response.data
    return response.get_json()["data"]["payments"]


def faults(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 400, response.data
    assert error_code(response) == "validation_failed"
    return response.get_json()["error"]["details"]


def test_payments_come_back_in_order(web: Web, merchant: Caller) -> None:
    response = merchant.pay_all(item(1), item(2, "k", description="é"), item(3, currency="EUR"))
    made = payments(response)
    assert [payment["amount"] for payment in made] == [1, 2, 3]
    assert [payment["idempotencyKey"] for payment in made] == [None, "k", None]
    assert [payment["status"] for payment in made] == ["PENDING"] * 3
    assert response.get_json()["data"]["replayed"] == []
    assert "Location" not in response.headers
    assert web.effects[0] == 3
    for payment in made:
        shown = merchant.get(f"{PAYMENTS}/{payment['id']}").get_json()["data"]["payment"]
        assert shown == payment
    assert web.application.settlement.settle() == 3


def test_a_thousand_are_taken_and_one_more_is_not(web: Web, merchant: Caller) -> None:
    assert len(payments(merchant.pay_all(*[item(n + 1) for n in range(MAX_ITEMS)]))) == MAX_ITEMS
    before = web.effects
    assert list(faults(merchant.pay_all(*[item()] * (MAX_ITEMS + 1)))) == ["payments"]
    assert web.effects == before


@pytest.mark.parametrize("listed", [[], None, {}, "x", 5, {"0": ORDER}])
def test_what_is_no_list_of_payments_is_refused(web: Web, merchant: Caller, listed: object) -> None:
    assert list(faults(merchant.post(BATCH, {"payments": listed}))) == ["payments"]
    assert web.effects == (0, 0, 0)


def test_unknown_members_beside_the_list_are_refused(merchant: Caller) -> None:
    assert list(faults(merchant.post(BATCH, {"payments": [item()], "x": 1}))) == ["x"]
    assert list(faults(merchant.post(BATCH, {}))) == ["payments"]


def test_one_fault_refuses_all_and_names_its_place(web: Web, merchant: Caller) -> None:
    response = merchant.pay_all(item(), item(0), item(), item(source="visa", currency="XXX"), 5)
    assert set(faults(response)) == {
        "payments.1.amount",
        "payments.3.source",
        "payments.3.currency",
        "payments.4",
    }
    assert web.effects == (0, 0, 0)


def test_a_thousand_faults_are_not_a_thousand_lines(merchant: Caller) -> None:
    assert len(faults(merchant.pay_all(*[item(0, currency="XXX")] * MAX_ITEMS))) == 20


@pytest.mark.parametrize("key", ["", " ", "é", "a\n", "x" * 256, 5, None, ["k"]])
def test_an_unusable_key_is_refused(web: Web, merchant: Caller, key: object) -> None:
    response = merchant.pay_all(item(), item() | {"idempotencyKey": key})
    assert list(faults(response)) == ["payments.1.idempotencyKey"]
    assert web.effects == (0, 0, 0)


def test_a_key_twice_in_one_batch_is_refused(web: Web, merchant: Caller) -> None:
    told = faults(merchant.pay_all(item(1, "k"), item(2), item(1, "k")))
    assert list(told) == ["payments.2.idempotencyKey"]
    assert "payments.0" in told["payments.2.idempotencyKey"][0]
    assert web.effects == (0, 0, 0)


def test_the_key_of_the_call_is_none_of_its_payments(web: Web, merchant: Caller) -> None:
    response = merchant.pay_all(item(1, "k"), Idempotency_Key="k")
    assert list(faults(response)) == ["Idempotency-Key"]
    assert web.effects == (0, 0, 0)


def test_another_merchants_payment_is_forbidden(
    web: Web, merchant: Caller, stranger: Caller
) -> None:
    response = merchant.pay_all(item(), item(merchantId=str(stranger.merchant_id)))
    assert (response.status_code, error_code(response)) == (403, "forbidden")
    assert web.effects == (0, 0, 0)
    assert merchant.pay_all(item(merchantId=str(merchant.merchant_id))).status_code == 202


def test_a_payments_own_key_replays_it(web: Web, merchant: Caller) -> None:
    first = payments(merchant.pay_all(item(1, "a"), item(2, "b")))
    before = web.effects
    web.application.settlement.settle()
    again = merchant.pay_all(item(2, "b"), item(3, "c"), item(1, "a"))
    assert [payment["id"] for payment in payments(again)][::2] == [first[1]["id"], first[0]["id"]]
    assert payments(again)[0] == first[1], "as it was first told"
    assert again.get_json()["data"]["replayed"] == [0, 2]
    assert web.effects[0] == before[0] + 1


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_key_is_the_same_alone_and_in_a_batch(
    web: Web, merchant: Caller, batch_first: bool
) -> None:
    def alone() -> Any:
        return merchant.pay(key="k", amount=7).get_json()["data"]

    def in_batch() -> Any:
        return payments(merchant.pay_all(item(8), item(7, "k")))[1]

    first, second = (in_batch(), alone()) if batch_first else (alone(), in_batch())
    assert first == second
    assert merchant.pay(key="k", amount=7).headers["Idempotent-Replayed"] == "true"
    assert merchant.pay(key="k", amount=7).headers["Location"] == f"{PAYMENTS}/{first['id']}"
    assert web.effects[0] == 2


def test_a_key_of_another_request_refuses_all_and_is_named(web: Web, merchant: Caller) -> None:
    merchant.pay(key="k", amount=7)
    before = web.effects
    response = merchant.pay_all(item(1, "new"), item(8, "k"), item(2))
    assert (response.status_code, error_code(response)) == (422, "idempotency_key_reused")
    assert list(response.get_json()["error"]["details"]) == ["payments.1.idempotencyKey"]
    assert web.effects == before
    assert merchant.pay_all(item(2, "new")).status_code == 202, "its key was left unused"


def test_the_whole_call_is_replayed_byte_for_byte(web: Web, merchant: Caller) -> None:
    first = merchant.pay_all(item(1), item(2, "b"), Idempotency_Key="call")
    before = web.effects
    again = merchant.pay_all(item(1), item(2, "b"), Idempotency_Key="call")
    assert (again.status_code, again.data) == (202, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert web.effects == before
    other = merchant.pay_all(item(1), Idempotency_Key="call")
    assert error_code(other) == "idempotency_key_reused"


def test_a_refused_call_leaves_its_key_unused(web: Web, merchant: Caller) -> None:
    assert merchant.pay_all(item(0), Idempotency_Key="call").status_code == 400
    assert merchant.pay_all(item(1), Idempotency_Key="call").status_code == 202


def test_another_merchants_keys_are_their_own(merchant: Caller, stranger: Caller) -> None:
    mine = payments(merchant.pay_all(item(1, "k")))[0]
    theirs = payments(stranger.pay_all(item(2, "k")))[0]
    assert mine["id"] != theirs["id"]


def test_an_expired_key_is_new_again(web: Web, merchant: Caller) -> None:
    first = payments(merchant.pay_all(item(1, "k")))[0]
    web.clock.time += web.settings.idempotency_retention
    response = merchant.pay_all(item(2, "k"))
    assert payments(response)[0]["id"] != first["id"]
    assert response.get_json()["data"]["replayed"] == []


def test_the_limit_counts_payments_not_calls(web: Web) -> None:
    door = web.configured(RATE_LIMIT_GLOBAL="100/900", RATE_LIMIT_PAYMENTS="10/60")
    merchant = door.seen_by(web.merchant())
    response = merchant.pay_all(*[item()] * 7)
    assert response.headers["RateLimit"] == '"global";r=99;t=900, "payments";r=3;t=60'
    assert response.headers["RateLimit-Policy"] == '"global";q=100;w=900, "payments";q=10;w=60'
    before = web.effects
    refused = merchant.pay_all(*[item()] * 4)
    assert (refused.status_code, error_code(refused)) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["RateLimit"] == '"global";r=98;t=900, "payments";r=0;t=60'
    assert merchant.pay().status_code == 429, "the same window as single payments"
    assert web.effects == before


@pytest.mark.parametrize(("on_failure", "status"), [("allow", 202), ("refuse", 503)])
def test_without_a_limiter_it_goes_as_configured(web: Web, on_failure: str, status: int) -> None:
    class Away:
        def count(self, limits: object) -> None:
            raise RateLimiterUnavailable("away")

    merchant = web.merchant()
    door = web.configured(RATE_LIMIT_GLOBAL="off", RATE_LIMIT_ON_FAILURE=on_failure)
    asked = door.with_use_cases({"rate_limiter": Away()}).seen_by(merchant).pay_all(item())
    assert asked.status_code == status
    assert web.effects[0] == (1 if status == 202 else 0)


def test_its_body_has_a_limit_of_its_own(web: Web, merchant: Caller) -> None:
    large = item(description="x" * 500)
    over = [large] * (web.settings.body_limit // 500 + 1)
    assert merchant.pay_all(*over).status_code == 202
    limit = web.configured(BATCH_BODY_LIMIT_BYTES="2000").seen_by(merchant)
    response = limit.pay_all(*[large] * 4)
    assert (response.status_code, error_code(response)) == (413, "payload_too_large")
    assert limit.pay_all(*[large] * 3).status_code == 202


def test_other_ways_to_ask_are_refused(web: Web, merchant: Caller) -> None:
    assert merchant.post(f"{BATCH}?x=1", {"payments": [ORDER]}).status_code == 400
    read = merchant.get(BATCH)
    assert read.status_code == 405, "not a payment with a bad id"
    assert read.headers["Allow"] == "OPTIONS, POST"
    assert merchant.client.put(BATCH, headers=merchant.authorization).status_code == 405
    assert web.client.post(BATCH, json={"payments": [ORDER]}).status_code == 401
    plain = merchant.post(BATCH, {"payments": [ORDER]}, Content_Type="text/plain")
    assert plain.status_code == 415
    assert web.effects == (0, 0, 0)


def test_its_log_line_says_how_many_and_no_secret(merchant: Caller) -> None:
    with capture_logs() as logs:
        merchant.pay_all(item(1, "sesame"), item(2))
    [line] = logs
    assert (line["route"], line["payments"]) == (BATCH, 2)
    assert not any(secret in str(line) for secret in (merchant.key, "sesame", "tok_visa"))
