"""POST /payments/{id}/refunds and GET /refunds/{id}."""

from typing import Any

import pytest

from web.web_client import PAYMENTS, MerchantClient, WebApp, error_code

REFUNDS = "/api/v1/refunds"


def create_settled_payment(web: WebApp, merchant: MerchantClient, **changes: Any) -> str:
    """The path of a payment of 1234 that succeeded."""
    path = merchant.pay(**changes).headers["Location"]
    web.application.settlement.settle()
    return path


def get_amount_refunded(caller: MerchantClient, path: str) -> int:
    return caller.get(path).get_json()["data"]["payment"]["amountRefunded"]


def find_account_id(caller: MerchantClient, path: str) -> str:
    return caller.get(path).get_json()["data"]["payment"]["accountId"]


def test_refund_is_accepted_settled_and_returned(web: WebApp, merchant: MerchantClient) -> None:
    path = create_settled_payment(web, merchant)
    refund_body = {"amount": 1000, "reason": "came back", "metadata": {"rma": "7"}}
    response = merchant.post(f"{path}/refunds", refund_body, Idempotency_Key="r-1")
    assert response.status_code == 202
    refund = response.get_json()["data"]
    assert response.headers["Location"] == f"{REFUNDS}/{refund['id']}"
    assert refund == refund_body | {
        "id": refund["id"],
        "paymentId": path.rsplit("/", 1)[1],
        "merchantId": str(merchant.merchant_id),
        "accountId": find_account_id(merchant, path),
        "currency": "USD",
        "status": "PENDING",
        "failureReason": None,
        "idempotencyKey": "r-1",
        "inDoubt": False,
        "inDoubtSince": None,
        "networkReference": None,
        "createdAt": "2026-11-22T15:30:13.153Z",
        "updatedAt": "2026-11-22T15:30:13.153Z",
    }
    assert get_amount_refunded(merchant, path) == 0
    web.application.settlement.settle()
    settled = merchant.get(response.headers["Location"]).get_json()["data"]
    assert settled == refund | {"status": "SUCCESS"}
    assert get_amount_refunded(merchant, path) == 1000


def test_refund_without_an_amount_refunds_the_rest(web: WebApp, merchant: MerchantClient) -> None:
    path = create_settled_payment(web, merchant)
    merchant.post(f"{path}/refunds", {"amount": 234})
    response = merchant.client.post(f"{path}/refunds", headers=merchant.authorization)
    assert response.get_json()["data"]["amount"] == 1000
    web.application.settlement.settle()
    assert get_amount_refunded(merchant, path) == 1234
    nothing_left = merchant.post(f"{path}/refunds", {})
    assert nothing_left.status_code == 409
    assert nothing_left.get_json()["error"]["details"] == {
        "amount": ["0 of 1234 can still be refunded."],
        "remaining": 0,
        "captured": 1234,
        "disputed": 0,
    }


def test_unsettled_refunds_count_against_the_refundable_amount(
    web: WebApp, merchant: MerchantClient
) -> None:
    path = create_settled_payment(web, merchant)
    assert merchant.post(f"{path}/refunds", {"amount": 1000}).status_code == 202
    response = merchant.post(f"{path}/refunds", {"amount": 235})
    assert (response.status_code, error_code(response)) == (409, "refund_exceeds_remaining")
    assert merchant.post(f"{path}/refunds", {"amount": 234}).status_code == 202


def test_failed_refund_can_be_requested_again(web: WebApp, merchant: MerchantClient) -> None:
    path = create_settled_payment(web, merchant, source="tok_refundDeclined")
    location = merchant.post(f"{path}/refunds", {}).headers["Location"]
    web.application.settlement.settle()
    refund = merchant.get(location).get_json()["data"]
    assert (refund["status"], refund["failureReason"]) == ("FAILED", "refund_declined")
    assert merchant.post(f"{path}/refunds", {}).status_code == 202


def test_refund_of_an_unsuccessful_payment_returns_409(
    web: WebApp, merchant: MerchantClient
) -> None:
    pending = merchant.pay().headers["Location"]
    response = merchant.post(f"{pending}/refunds", {})
    assert response.status_code == 409
    assert response.get_json()["error"]["details"] == {"status": ["PENDING"]}
    failed = create_settled_payment(web, merchant, source="tok_chargeDeclined")
    assert merchant.post(f"{failed}/refunds", {}).status_code == 409


def test_refund_above_the_available_balance_fails(web: WebApp, merchant: MerchantClient) -> None:
    from atomic_core.domain.fees import FeeTerms

    web.application.fees.set(merchant.merchant_id, "USD", FeeTerms(basis_points=290, fixed=30))
    path = create_settled_payment(web, merchant)
    payment = merchant.get(path).get_json()["data"]["payment"]
    assert payment["fee"] == 66  # 2.9 % of 1234 is 35.786, and 30
    location = merchant.post(f"{path}/refunds", {}).headers["Location"]
    web.application.settlement.settle()
    refund = merchant.get(location).get_json()["data"]
    assert (refund["status"], refund["failureReason"]) == ("FAILED", "insufficient_balance")
    assert merchant.post(f"{path}/refunds", {"amount": 1234 - 66}).status_code == 202
    web.application.settlement.settle()
    assert get_amount_refunded(merchant, path) == 1234 - 66


def test_replayed_refund_returns_the_first_response(web: WebApp, merchant: MerchantClient) -> None:
    path = create_settled_payment(web, merchant)
    first, again = (
        merchant.post(f"{path}/refunds", {"amount": 7}, Idempotency_Key="r") for _ in range(2)
    )
    assert first.data == again.data
    assert again.headers["Idempotent-Replayed"] == "true"
    web.application.settlement.settle()
    assert get_amount_refunded(merchant, path) == 7


def test_another_merchants_payment_and_refund_return_404(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    path = create_settled_payment(web, merchant)
    assert other_merchant.post(f"{path}/refunds", {}).status_code == 404
    location = merchant.post(f"{path}/refunds", {"amount": 1}).headers["Location"]
    assert other_merchant.get(location).status_code == 404
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
def test_invalid_refund_bodies_return_400_without_effects(
    web: WebApp, merchant: MerchantClient, body: bytes
) -> None:
    path = create_settled_payment(web, merchant)
    assert merchant.post(f"{path}/refunds", body).status_code == 400
    web.application.settlement.settle()
    assert get_amount_refunded(merchant, path) == 0


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
def test_metadata_is_bounded(
    web: WebApp, merchant: MerchantClient, pairs: object, status: int
) -> None:
    assert merchant.pay(metadata=pairs).status_code == status
    path = create_settled_payment(web, merchant)
    assert merchant.post(f"{path}/refunds", {"metadata": pairs}).status_code == status


def test_refund_of_an_unknown_payment_returns_404(merchant: MerchantClient) -> None:
    unknown = f"{PAYMENTS}/01999999-0000-7000-8000-000000000000/refunds"
    assert merchant.post(unknown, {}).status_code == 404
