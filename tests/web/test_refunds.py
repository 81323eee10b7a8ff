"""POST /payments/{id}/refunds and GET /refunds/{id}."""

from typing import Any

import pytest

from web.web_client import PAYMENTS, Caller, Web, error_code

REFUNDS = "/api/v1/refunds"


def paid(web: Web, merchant: Caller, **changes: Any) -> str:
    """The path of a payment of 1234 that succeeded."""
    path = merchant.pay(**changes).headers["Location"]
    web.application.settlement.settle()
    return path


def amount_refunded(caller: Caller, path: str) -> int:
    return caller.get(path).get_json()["data"]["payment"]["amountRefunded"]


def test_a_refund_is_accepted_settled_and_shown(web: Web, merchant: Caller) -> None:
    path = paid(web, merchant)
    asked = {"amount": 1000, "reason": "came back", "metadata": {"rma": "7"}}
    response = merchant.post(f"{path}/refunds", asked, Idempotency_Key="r-1")
    assert response.status_code == 202
    refund = response.get_json()["data"]
    assert response.headers["Location"] == f"{REFUNDS}/{refund['id']}"
    assert refund == asked | {
        "id": refund["id"],
        "paymentId": path.rsplit("/", 1)[1],
        "merchantId": str(merchant.merchant_id),
        "currency": "USD",
        "status": "PENDING",
        "failureReason": None,
        "idempotencyKey": "r-1",
        "createdAt": "2026-11-22T15:30:13.153Z",
        "updatedAt": "2026-11-22T15:30:13.153Z",
    }
    assert amount_refunded(merchant, path) == 0
    web.application.settlement.settle()
    shown = merchant.get(response.headers["Location"]).get_json()["data"]
    assert shown == refund | {"status": "SUCCESS"}
    assert amount_refunded(merchant, path) == 1000


def test_without_an_amount_all_that_is_left_is_given_back(web: Web, merchant: Caller) -> None:
    path = paid(web, merchant)
    merchant.post(f"{path}/refunds", {"amount": 234})
    response = merchant.client.post(f"{path}/refunds", headers=merchant.authorization)
    assert response.get_json()["data"]["amount"] == 1000
    web.application.settlement.settle()
    assert amount_refunded(merchant, path) == 1234
    nothing_left = merchant.post(f"{path}/refunds", {})
    assert nothing_left.status_code == 409
    assert nothing_left.get_json()["error"]["details"] == {
        "amount": ["0 of 1234 can still be refunded."]
    }


def test_refunds_under_way_count(web: Web, merchant: Caller) -> None:
    path = paid(web, merchant)
    assert merchant.post(f"{path}/refunds", {"amount": 1000}).status_code == 202
    response = merchant.post(f"{path}/refunds", {"amount": 235})
    assert (response.status_code, error_code(response)) == (409, "conflict")
    assert merchant.post(f"{path}/refunds", {"amount": 234}).status_code == 202


def test_a_refund_that_failed_can_be_asked_for_again(web: Web, merchant: Caller) -> None:
    path = paid(web, merchant, source="tok_refundDeclined")
    location = merchant.post(f"{path}/refunds", {}).headers["Location"]
    web.application.settlement.settle()
    refund = merchant.get(location).get_json()["data"]
    assert (refund["status"], refund["failureReason"]) == ("FAILED", "refund_declined")
    assert merchant.post(f"{path}/refunds", {}).status_code == 202


def test_only_a_success_is_refunded(web: Web, merchant: Caller) -> None:
    pending = merchant.pay().headers["Location"]
    response = merchant.post(f"{pending}/refunds", {})
    assert response.status_code == 409
    assert response.get_json()["error"]["details"] == {"status": ["PENDING"]}
    failed = paid(web, merchant, source="tok_chargeDeclined")
    assert merchant.post(f"{failed}/refunds", {}).status_code == 409


def test_what_the_balance_does_not_hold_is_not_given_back(web: Web, merchant: Caller) -> None:
    from atomic_core.domain.fees import FeeTerms

    web.application.fees.set(merchant.merchant_id, "USD", FeeTerms(basis_points=290, fixed=30))
    path = paid(web, merchant)
    payment = merchant.get(path).get_json()["data"]["payment"]
    assert payment["fee"] == 66  # 2.9 % of 1234 is 35.786, and 30
    location = merchant.post(f"{path}/refunds", {}).headers["Location"]
    web.application.settlement.settle()
    refund = merchant.get(location).get_json()["data"]
    assert (refund["status"], refund["failureReason"]) == ("FAILED", "insufficient_balance")
    assert merchant.post(f"{path}/refunds", {"amount": 1234 - 66}).status_code == 202
    web.application.settlement.settle()
    assert amount_refunded(merchant, path) == 1234 - 66


def test_a_repeat_gives_the_first_answer_and_no_second_refund(web: Web, merchant: Caller) -> None:
    path = paid(web, merchant)
    first, again = (
        merchant.post(f"{path}/refunds", {"amount": 7}, Idempotency_Key="r") for _ in range(2)
    )
    assert first.data == again.data
    assert again.headers["Idempotent-Replayed"] == "true"
    web.application.settlement.settle()
    assert amount_refunded(merchant, path) == 7


def test_another_merchants_payment_and_refund_are_unknown(
    web: Web, merchant: Caller, stranger: Caller
) -> None:
    path = paid(web, merchant)
    assert stranger.post(f"{path}/refunds", {}).status_code == 404
    location = merchant.post(f"{path}/refunds", {"amount": 1}).headers["Location"]
    assert stranger.get(location).status_code == 404
    assert merchant.get(f"{REFUNDS}/01999999-0000-7000-8000-000000000000").status_code == 404
    assert merchant.get(f"{REFUNDS}/{'9' * 3900}").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"amount": 5.0}',
        b'{"amount": 0}',
        b'{"amount": 9007199254740992}',
        b'{"reason": ""}',
        b'{"reason": 7}',
        b'{"reason": "\\ud800"}',
        b'{"metadata": []}',
        b'{"metadata": {"": "x"}}',
        b'{"metadata": {"a": 1}}',
        b'{"metadata": {"a": null}}',
        b'{"metadata": {"a": {"b": "c"}}}',
        b'{"metadata": {"a\\u0000": "c"}}',
        b'{"paymentId": "x"}',
    ],
)
def test_hostile_bodies_give_nothing_back(web: Web, merchant: Caller, body: bytes) -> None:
    path = paid(web, merchant)
    assert merchant.post(f"{path}/refunds", body).status_code == 400
    web.application.settlement.settle()
    assert amount_refunded(merchant, path) == 0


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ({f"k{n}": "v" for n in range(50)}, 202),
        ({f"k{n}": "v" for n in range(51)}, 400),
        ({"k" * 40: "v" * 500}, 202),
        ({"k" * 41: "v"}, 400),
        ({"k": "v" * 501}, 400),
        ({"k": ""}, 202),
    ],
)
def test_metadata_has_its_bounds(web: Web, merchant: Caller, pairs: object, status: int) -> None:
    assert merchant.pay(metadata=pairs).status_code == status
    path = paid(web, merchant)
    assert merchant.post(f"{path}/refunds", {"metadata": pairs}).status_code == status


def test_unknown_payments_are_not_refunded(merchant: Caller) -> None:
    nobodys = f"{PAYMENTS}/01999999-0000-7000-8000-000000000000/refunds"
    assert merchant.post(nobodys, {}).status_code == 404
