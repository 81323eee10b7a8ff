"""POST /payments/{id}/capture and /cancel."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from web.web_client import PAYMENTS, MerchantClient, WebApp, error_code

HOSTILE = [
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


def held(web: WebApp, merchant: MerchantClient, **changes: Any) -> str:
    """The path of an authorized payment of 1234."""
    path = merchant.pay(capture="manual", **changes).headers["Location"]
    web.application.settlement.settle()
    return path


def payment_at(caller: MerchantClient, path: str) -> dict[str, object]:
    return caller.get(path).get_json()["data"]["payment"]


def state_conflict(response: TestResponse) -> list[str]:
    assert response.status_code == 409
    assert error_code(response) == "conflict"
    assert "Retry-After" not in response.headers
    return response.get_json()["error"]["details"]["status"]


def test_manual_capture_payment_is_authorized_and_waits(
    web: WebApp, merchant: MerchantClient
) -> None:
    payment = payment_at(merchant, held(web, merchant))
    assert (payment["status"], payment["capture"]) == ("AUTHORIZED", "manual")
    assert payment["expiresAt"] == "2026-11-29T15:30:13.153Z"
    assert payment["amountCaptured"] == 0
    web.application.settlement.settle()
    assert payment_at(merchant, held(web, merchant))["status"] == "AUTHORIZED"


def test_capture_of_the_full_or_a_partial_amount_succeeds(
    web: WebApp, merchant: MerchantClient
) -> None:
    for body, taken in (({}, 1234), ({"amount": 1000}, 1000)):
        path = held(web, merchant)
        response = merchant.post(f"{path}/capture", body)
        assert response.status_code == 202
        assert response.headers["Location"] == path
        assert response.get_json()["data"]["status"] == "PROCESSING"
        web.application.settlement.settle()
        payment = payment_at(merchant, path)
        assert (payment["status"], payment["amountCaptured"]) == ("SUCCESS", taken)


def test_capture_and_cancel_accept_an_empty_request(web: WebApp, merchant: MerchantClient) -> None:
    for verb, end in (("capture", "SUCCESS"), ("cancel", "CANCELED")):
        path = held(web, merchant)
        response = merchant.client.post(f"{path}/{verb}", headers=merchant.authorization)
        assert response.status_code == 202
        web.application.settlement.settle()
        assert payment_at(merchant, path)["status"] == end


def test_cancellation_stores_its_reason(web: WebApp, merchant: MerchantClient) -> None:
    path = held(web, merchant)
    response = merchant.post(f"{path}/cancel", {"reason": "fraudulent"})
    assert response.get_json()["data"]["cancellationReason"] == "fraudulent"
    web.application.settlement.settle()
    payment = payment_at(merchant, path)
    assert (payment["status"], payment["cancellationReason"]) == ("CANCELED", "fraudulent")
    assert payment["failureReason"] is None


def test_second_capture_or_cancellation_returns_409_with_the_status(
    web: WebApp, merchant: MerchantClient
) -> None:
    path = held(web, merchant)
    assert merchant.post(f"{path}/cancel", {}).status_code == 202
    assert state_conflict(merchant.post(f"{path}/capture", {})) == ["PROCESSING"]
    web.application.settlement.settle()
    assert state_conflict(merchant.post(f"{path}/capture", {})) == ["CANCELED"]
    assert state_conflict(merchant.post(f"{path}/cancel", {})) == ["CANCELED"]


def test_capture_of_an_unauthorized_payment_returns_409(
    web: WebApp, merchant: MerchantClient
) -> None:
    path = merchant.pay().headers["Location"]
    assert state_conflict(merchant.post(f"{path}/capture", {})) == ["PENDING"]
    web.application.settlement.settle()
    assert state_conflict(merchant.post(f"{path}/cancel", {})) == ["SUCCESS"]


def test_capture_above_hold_returns_409(web: WebApp, merchant: MerchantClient) -> None:
    path = held(web, merchant)
    response = merchant.post(f"{path}/capture", {"amount": 1235})
    assert response.status_code == 409
    assert "1234" in response.get_json()["error"]["details"]["amount"][0]
    assert merchant.post(f"{path}/capture", {"amount": 1234}).status_code == 202


def test_replayed_capture_returns_the_first_response(web: WebApp, merchant: MerchantClient) -> None:
    path = held(web, merchant)
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


@pytest.mark.parametrize("verb", ["capture", "cancel"])
def test_refused_capture_leaves_its_key_unused(
    web: WebApp, merchant: MerchantClient, verb: str
) -> None:
    path = merchant.pay(capture="manual").headers["Location"]
    assert merchant.post(f"{path}/{verb}", {}, Idempotency_Key="early").status_code == 409
    web.application.settlement.settle()
    assert merchant.post(f"{path}/{verb}", {}, Idempotency_Key="early").status_code == 202


@pytest.mark.parametrize("verb", ["capture", "cancel"])
def test_another_merchants_hold_returns_404(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient, verb: str
) -> None:
    path = held(web, merchant)
    before = web.effects
    assert other_merchant.post(f"{path}/{verb}", {}).status_code == 404
    unknown = f"{PAYMENTS}/01999999-0000-7000-8000-000000000000/{verb}"
    assert merchant.post(unknown, {}).status_code == 404
    assert merchant.post(f"{PAYMENTS}/not-an-id/{verb}", {}).status_code == 400
    assert web.effects == before
    assert payment_at(merchant, path)["status"] == "AUTHORIZED"


@pytest.mark.parametrize("body", HOSTILE)
@pytest.mark.parametrize("verb", ["capture", "cancel"])
def test_invalid_capture_or_cancellation_bodies_return_400_without_effects(
    web: WebApp, merchant: MerchantClient, verb: str, body: bytes
) -> None:
    path = held(web, merchant)
    response = merchant.post(f"{path}/{verb}", body)
    assert response.status_code == 400
    assert merchant.get(f"{path}?x=1").status_code == 400
    assert payment_at(merchant, path)["status"] == "AUTHORIZED"


def test_body_without_content_type_returns_415(web: WebApp, merchant: MerchantClient) -> None:
    path = held(web, merchant)
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/json"}):
        response = merchant.client.post(f"{path}/capture", headers=merchant.authorization | headers)
        assert response.status_code in (400, 415)
    assert payment_at(merchant, path)["status"] == "AUTHORIZED"
