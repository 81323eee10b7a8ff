"""POST /payments/{id}/capture and /cancel."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from web.web_client import PAYMENTS, MerchantClient, WebApp, error_code, error_type

INVALID_BODIES = [
    b"[]",
    b"null",
    b'{"amount": 5.0}',
    b'{"amount": "5"}',
    b'{"amount": true}',
    b'{"amount": null}',
    b'{"amount": 0}',
    b'{"amount": -1}',
    b'{"amount": 9007199254740992}',
    b'{"amount": 1, "amount": 2}',
    b'{"amount": 1e3}',
    b'{"amont": 1}',
    b'{"reason": "because"}',
    b'{"reason": "\\u0000"}',
    b'{"reason": null}',
    b"{",
    b"\xff",
]


def create_hold(web: WebApp, merchant: MerchantClient, **changes: Any) -> str:
    """The path of an authorized payment of 1234."""
    path = merchant.pay(capture="manual", **changes).headers["Location"]
    web.application.settlement.settle()
    return path


def get_payment(caller: MerchantClient, path: str) -> dict[str, object]:
    return caller.get(path).get_json()["data"]["payment"]


def get_conflicting_status(response: TestResponse) -> list[str]:
    assert response.status_code == 409
    assert error_type(response) == "conflict"
    assert error_code(response) in {"payment_not_capturable", "payment_not_cancelable"}
    assert "Retry-After" not in response.headers
    return response.get_json()["error"]["details"]["status"]


def test_manual_capture_payment_is_authorized_and_waits(
    web: WebApp, merchant: MerchantClient
) -> None:
    payment = get_payment(merchant, create_hold(web, merchant))
    assert (payment["status"], payment["capture"]) == ("AUTHORIZED", "manual")
    assert payment["expiresAt"] == "2026-11-29T15:30:13.153Z"
    assert payment["amountCaptured"] == 0
    web.application.settlement.settle()
    assert get_payment(merchant, create_hold(web, merchant))["status"] == "AUTHORIZED"


def test_capture_of_the_full_or_a_partial_amount_succeeds(
    web: WebApp, merchant: MerchantClient
) -> None:
    for body, captured in (({}, 1234), ({"amount": 1000}, 1000)):
        path = create_hold(web, merchant)
        response = merchant.post(f"{path}/capture", body)
        assert response.status_code == 202
        assert response.headers["Location"] == path
        assert response.get_json()["data"]["status"] == "PROCESSING"
        web.application.settlement.settle()
        payment = get_payment(merchant, path)
        assert (payment["status"], payment["amountCaptured"]) == ("SUCCESS", captured)


def test_capture_and_cancel_accept_an_empty_request(web: WebApp, merchant: MerchantClient) -> None:
    for action, final_status in (("capture", "SUCCESS"), ("cancel", "CANCELED")):
        path = create_hold(web, merchant)
        response = merchant.client.post(f"{path}/{action}", headers=merchant.authorization)
        assert response.status_code == 202
        web.application.settlement.settle()
        assert get_payment(merchant, path)["status"] == final_status


def test_cancellation_stores_its_reason(web: WebApp, merchant: MerchantClient) -> None:
    path = create_hold(web, merchant)
    response = merchant.post(f"{path}/cancel", {"reason": "fraudulent"})
    assert response.get_json()["data"]["cancellationReason"] == "fraudulent"
    web.application.settlement.settle()
    payment = get_payment(merchant, path)
    assert (payment["status"], payment["cancellationReason"]) == ("CANCELED", "fraudulent")
    assert payment["failureReason"] is None


def test_second_capture_or_cancellation_returns_409_with_the_status(
    web: WebApp, merchant: MerchantClient
) -> None:
    path = create_hold(web, merchant)
    assert merchant.post(f"{path}/cancel", {}).status_code == 202
    assert get_conflicting_status(merchant.post(f"{path}/capture", {})) == ["PROCESSING"]
    web.application.settlement.settle()
    assert get_conflicting_status(merchant.post(f"{path}/capture", {})) == ["CANCELED"]
    assert get_conflicting_status(merchant.post(f"{path}/cancel", {})) == ["CANCELED"]


def test_capture_of_an_unauthorized_payment_returns_409(
    web: WebApp, merchant: MerchantClient
) -> None:
    path = merchant.pay().headers["Location"]
    assert get_conflicting_status(merchant.post(f"{path}/capture", {})) == ["PENDING"]
    web.application.settlement.settle()
    assert get_conflicting_status(merchant.post(f"{path}/cancel", {})) == ["SUCCESS"]


def test_capture_above_hold_returns_409(web: WebApp, merchant: MerchantClient) -> None:
    path = create_hold(web, merchant)
    response = merchant.post(f"{path}/capture", {"amount": 1235})
    assert response.status_code == 409
    assert "1234" in response.get_json()["error"]["details"]["amount"][0]
    assert merchant.post(f"{path}/capture", {"amount": 1234}).status_code == 202


def test_replayed_capture_returns_the_first_response(web: WebApp, merchant: MerchantClient) -> None:
    path = create_hold(web, merchant)
    first, again = (
        merchant.post(f"{path}/capture", {"amount": 7}, Idempotency_Key="c-1") for _ in range(2)
    )
    assert first.status_code == again.status_code == 202
    assert first.data == again.data
    assert again.headers["Idempotent-Replayed"] == "true"
    other = merchant.post(f"{path}/capture", {"amount": 8}, Idempotency_Key="c-1")
    assert other.status_code == 422
    elsewhere = merchant.post(f"{path}/cancel", {}, Idempotency_Key="c-1")
    assert elsewhere.status_code == 422


@pytest.mark.parametrize("action", ["capture", "cancel"])
def test_refused_capture_leaves_its_key_unused(
    web: WebApp, merchant: MerchantClient, action: str
) -> None:
    path = merchant.pay(capture="manual").headers["Location"]
    assert merchant.post(f"{path}/{action}", {}, Idempotency_Key="early").status_code == 409
    web.application.settlement.settle()
    assert merchant.post(f"{path}/{action}", {}, Idempotency_Key="early").status_code == 202


@pytest.mark.parametrize("action", ["capture", "cancel"])
def test_another_merchants_hold_returns_404(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient, action: str
) -> None:
    path = create_hold(web, merchant)
    before = web.effects
    assert other_merchant.post(f"{path}/{action}", {}).status_code == 404
    unknown = f"{PAYMENTS}/01999999-0000-7000-8000-000000000000/{action}"
    assert merchant.post(unknown, {}).status_code == 404
    assert merchant.post(f"{PAYMENTS}/not-an-id/{action}", {}).status_code == 400
    assert web.effects == before
    assert get_payment(merchant, path)["status"] == "AUTHORIZED"


@pytest.mark.parametrize("body", INVALID_BODIES)
@pytest.mark.parametrize("action", ["capture", "cancel"])
def test_invalid_capture_or_cancellation_bodies_return_400_without_effects(
    web: WebApp, merchant: MerchantClient, action: str, body: bytes
) -> None:
    path = create_hold(web, merchant)
    response = merchant.post(f"{path}/{action}", body)
    assert response.status_code == 400
    assert merchant.get(f"{path}?x=1").status_code == 400
    assert get_payment(merchant, path)["status"] == "AUTHORIZED"
