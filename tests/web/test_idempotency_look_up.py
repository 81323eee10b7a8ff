"""GET /idempotency-keys/{key}."""

import hashlib
import json
from datetime import timedelta
from urllib.parse import quote

import pytest

from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    WebApp,
    error_code,
)

KEYS = "/api/v1/idempotency-keys"
KEY = "sk_test_" + "0123456789abcdef" * 3

ODD = ["a/b", "/", "//", "a/", "..", ".", "../..", "%2F", "%", "?", "a?b=c", "#", "batch", "+", "&"]
ODD += ["~", "'\"\\", "{}", "[x]", ";a=b", ":", "x" * 255, "!" * 255, "a/../b", "a//b", "%00", "*"]


def build_path(key: str) -> str:
    return f"{KEYS}/{quote(key, safe='')}"


def test_look_up_returns_the_request_and_its_result(web: WebApp, merchant: MerchantClient) -> None:
    first = merchant.pay("order-1")
    web.clock.time += timedelta(hours=1)
    record = merchant.get(build_path("order-1")).get_json()["data"]
    canonical = json.dumps(PAYMENT_BODY, sort_keys=True, separators=(",", ":"))
    payment = first.get_json()["data"]
    assert record == {
        "key": "order-1",
        "method": "POST",
        "path": PAYMENTS,
        "fingerprint": hashlib.sha256(f"POST {PAYMENTS}\n{canonical}".encode()).hexdigest(),
        "status": "completed",
        "response": {"status": 202, "body": first.get_json()},
        "resources": [
            {"type": "payments", "id": payment["id"], "path": f"{PAYMENTS}/{payment['id']}"}
        ],
        "createdAt": "2026-11-22T15:30:13.153Z",
        "expiresAt": "2026-11-23T15:30:13.153Z",
    }


def test_look_up_names_every_type_of_resource(web: WebApp, merchant: MerchantClient) -> None:
    payment = merchant.pay(capture="manual").headers["Location"]
    web.application.settlement.settle()
    captured = merchant.post(f"{payment}/capture", {}, Idempotency_Key="c")
    assert captured.status_code == 202
    web.application.settlement.settle()
    refund = merchant.post(f"{payment}/refunds", {}, Idempotency_Key="r").headers["Location"]
    account = merchant.post(ACCOUNTS, ACCOUNT_BODY, Idempotency_Key="a").headers["Location"]
    for key, path in (("c", payment), ("r", refund), ("a", account)):
        record = merchant.get(build_path(key)).get_json()["data"]
        kind, id = path.split("/")[-2:]
        assert record["resources"] == [{"type": kind, "id": id, "path": path}]


def test_look_up_of_a_batch_names_every_payment(merchant: MerchantClient) -> None:
    items = [{**PAYMENT_BODY, "idempotencyKey": "one/of"}, PAYMENT_BODY]
    batch = merchant.pay_batch(*items, Idempotency_Key="batch").get_json()["data"]
    record = merchant.get(build_path("batch")).get_json()["data"]
    made = [payment["id"] for payment in batch["payments"]]
    assert [resource["path"] for resource in record["resources"]] == [
        f"{PAYMENTS}/{id}" for id in made
    ]
    one = merchant.get(build_path("one/of")).get_json()["data"]
    assert [resource["id"] for resource in one["resources"]] == made[:1]
    assert one["path"] == PAYMENTS
    assert one["response"]["body"]["data"] == batch["payments"][0]


@pytest.mark.parametrize("key", ODD)
def test_every_valid_key_can_be_looked_up(merchant: MerchantClient, key: str) -> None:
    header = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert merchant.pay(header).status_code == 202
    response = merchant.get(build_path(key))
    assert response.status_code == 200, key
    assert response.get_json()["data"]["key"] == key


def test_similar_keys_are_different_keys(merchant: MerchantClient) -> None:
    merchant.pay("a/b")
    for other in ("a%2Fb", "a%252Fb", "a", "b", "a/b/", "/a/b", "A/b"):
        assert merchant.get(build_path(other)).status_code == 404


def test_unused_expired_or_foreign_key_returns_404(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    merchant.pay("mine")
    merchant.pay("refused", amount=0)
    unknown_key, others_key = (
        merchant.get(build_path("never")),
        other_merchant.get(build_path("mine")),
    )
    assert unknown_key.status_code == others_key.status_code == 404
    assert unknown_key.get_json()["error"] == others_key.get_json()["error"]
    assert merchant.get(build_path("refused")).status_code == 404
    web.clock.time += timedelta(hours=24)
    assert merchant.get(build_path("mine")).status_code == 404


@pytest.mark.parametrize("key", ["é", " ", "a b", "\n", "\0", "a\x7f", "x" * 256, "%FF", KEY])
def test_look_up_of_an_invalid_key_returns_400(merchant: MerchantClient, key: str) -> None:
    path = f"{KEYS}/{key}" if key == "%FF" else build_path(key)
    response = merchant.get(path)
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    assert list(response.get_json()["error"]["details"]) == ["key"]
    assert KEY[8:].encode() not in response.data


def test_look_up_takes_no_query_and_no_other_method(merchant: MerchantClient) -> None:
    merchant.pay("k")
    assert merchant.get(f"{build_path('k')}?x=1").status_code == 400
    assert merchant.post(build_path("k"), {}).status_code == 405
    assert merchant.get(KEYS).status_code == 404
    assert merchant.get(f"{KEYS}/").status_code == 404
    assert merchant.client.get(build_path("k")).status_code == 401
