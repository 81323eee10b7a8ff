"""GET /idempotency-keys/{key}."""

import hashlib
import json
from datetime import timedelta
from urllib.parse import quote

import pytest

from web.web_client import ACCOUNT, ACCOUNTS, ORDER, PAYMENTS, Caller, Web, error_code

KEYS = "/api/v1/idempotency-keys"
KEY = "sk_test_" + "0123456789abcdef" * 3

ODD = ["a/b", "/", "//", "a/", "..", ".", "../..", "%2F", "%", "?", "a?b=c", "#", "batch", "+", "&"]
ODD += ["~", "'\"\\", "{}", "[x]", ";a=b", ":", "x" * 255, "!" * 255, "a/../b", "a//b", "%00", "*"]


def path_of(key: str) -> str:
    return f"{KEYS}/{quote(key, safe='')}"


def test_it_tells_which_request_it_was_and_what_came_of_it(web: Web, merchant: Caller) -> None:
    first = merchant.pay("order-1")
    web.clock.time += timedelta(hours=1)
    told = merchant.get(path_of("order-1")).get_json()["data"]
    canonical = json.dumps(ORDER, sort_keys=True, separators=(",", ":"))
    payment = first.get_json()["data"]
    assert told == {
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


def test_every_kind_of_resource_is_named(web: Web, merchant: Caller) -> None:
    payment = merchant.pay(capture="manual").headers["Location"]
    web.application.settlement.settle()
    captured = merchant.post(f"{payment}/capture", {}, Idempotency_Key="c")
    assert captured.status_code == 202
    web.application.settlement.settle()
    refund = merchant.post(f"{payment}/refunds", {}, Idempotency_Key="r").headers["Location"]
    account = merchant.post(ACCOUNTS, ACCOUNT, Idempotency_Key="a").headers["Location"]
    for key, path in (("c", payment), ("r", refund), ("a", account)):
        told = merchant.get(path_of(key)).get_json()["data"]
        kind, id = path.split("/")[-2:]
        assert told["resources"] == [{"type": kind, "id": id, "path": path}]


def test_of_a_batch_every_payment_is_named(merchant: Caller) -> None:
    items = [{**ORDER, "idempotencyKey": "one/of"}, ORDER]
    batch = merchant.pay_all(*items, Idempotency_Key="batch").get_json()["data"]
    told = merchant.get(path_of("batch")).get_json()["data"]
    made = [payment["id"] for payment in batch["payments"]]
    assert [resource["path"] for resource in told["resources"]] == [
        f"{PAYMENTS}/{id}" for id in made
    ]
    one = merchant.get(path_of("one/of")).get_json()["data"]
    assert [resource["id"] for resource in one["resources"]] == made[:1]
    assert one["path"] == PAYMENTS
    assert one["response"]["body"]["data"] == batch["payments"][0]


@pytest.mark.parametrize("key", ODD)
def test_any_key_can_be_asked_for(merchant: Caller, key: str) -> None:
    header = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert merchant.pay(header).status_code == 202
    told = merchant.get(path_of(key))
    assert told.status_code == 200, key
    assert told.get_json()["data"]["key"] == key


def test_keys_that_look_alike_are_different_ones(merchant: Caller) -> None:
    merchant.pay("a/b")
    for other in ("a%2Fb", "a%252Fb", "a", "b", "a/b/", "/a/b", "A/b"):
        assert merchant.get(path_of(other)).status_code == 404


def test_what_is_not_in_use_is_not_there(web: Web, merchant: Caller, stranger: Caller) -> None:
    merchant.pay("mine")
    merchant.pay("refused", amount=0)
    nobodys, theirs = merchant.get(path_of("never")), stranger.get(path_of("mine"))
    assert nobodys.status_code == theirs.status_code == 404
    assert nobodys.get_json()["error"] == theirs.get_json()["error"]
    assert merchant.get(path_of("refused")).status_code == 404
    web.clock.time += timedelta(hours=24)
    assert merchant.get(path_of("mine")).status_code == 404


@pytest.mark.parametrize("key", ["é", " ", "a b", "\n", "\0", "a\x7f", "x" * 256, "%FF", KEY])
def test_what_can_be_no_key_is_refused(merchant: Caller, key: str) -> None:
    path = f"{KEYS}/{key}" if key == "%FF" else path_of(key)
    response = merchant.get(path)
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    assert list(response.get_json()["error"]["details"]) == ["key"]
    assert KEY[8:].encode() not in response.data


def test_it_takes_no_query_and_no_other_method(merchant: Caller) -> None:
    merchant.pay("k")
    assert merchant.get(f"{path_of('k')}?x=1").status_code == 400
    assert merchant.post(path_of("k"), {}).status_code == 405
    assert merchant.get(KEYS).status_code == 404
    assert merchant.get(f"{KEYS}/").status_code == 404
    assert merchant.client.get(path_of("k")).status_code == 401
