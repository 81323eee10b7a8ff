"""API keys outside the Authorization header are refused. (See also tests/e2e/test_secrets.py.)"""

import json
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import contains_secret
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    BATCH,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    WebApp,
    error_code,
)

KEY = "sk_test_" + "0123456789abcdef" * 3


@pytest.mark.parametrize("text", [KEY, f"key: {KEY}!", KEY[:-8], f"tok_{KEY}", KEY * 2])
def test_text_with_a_key_is_detected(text: str) -> None:
    assert contains_secret(text)


@pytest.mark.parametrize("text", ["", "sk_test_", "task_done_1", KEY[8:], "sk_test_" + "x" * 48])
def test_text_without_a_key_is_not_detected(text: str) -> None:
    assert not contains_secret(text)


def build_bodies(raw: str) -> list[tuple[str, str]]:
    """Bodies with the JSON text in each text field."""
    order = json.dumps(PAYMENT_BODY)[:-1]
    return [
        (PAYMENTS, f'{order}, "description": {raw}}}'),
        (PAYMENTS, f'{order}, {raw}: "x"}}'),
        (BATCH, f'{{"payments": [{order}}}, {order}, "description": {raw}}}]}}'),
        (BATCH, f'{{"payments": [{order}, "idempotencyKey": {raw}}}]}}'),
        (ACCOUNTS, f'{{"name": {raw}, "currency": "USD"}}'),
    ]


@pytest.mark.parametrize("raw", [f'"{KEY}"', f'"my {KEY}"', f'"\\u0073{KEY[1:]}"'])
def test_body_with_a_key_returns_400_and_is_not_echoed(
    web: WebApp, merchant: MerchantClient, raw: str
) -> None:
    for path, body in build_bodies(raw):
        response = merchant.post(path, body.encode())
        assert response.status_code == 400, body
        assert error_code(response) == "validation_failed"
        assert KEY[8:].encode() not in response.data
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("header", [KEY, f'"{KEY}"', f"{KEY}-1", f'"a,{KEY}"'])
def test_api_key_as_idempotency_key_returns_400(
    web: WebApp, merchant: MerchantClient, header: str
) -> None:
    for path, body in (
        (PAYMENTS, PAYMENT_BODY),
        (BATCH, {"payments": [PAYMENT_BODY]}),
        (ACCOUNTS, ACCOUNT_BODY),
    ):
        response = merchant.post(path, body, Idempotency_Key=header)
        assert response.status_code == 400
        assert list(response.get_json()["error"]["details"]) == ["Idempotency-Key"]
        assert KEY[8:].encode() not in response.data
    assert web.effects == (0, 0, 0)


def test_api_key_as_request_id_is_replaced(web: WebApp) -> None:
    with capture_logs() as logs:
        response = web.client.get("/api/v1/health", headers={"X-Request-Id": f"r-{KEY}"})
    assert UUID(response.headers["X-Request-Id"])
    assert logs
    assert KEY not in str(logs)


def test_api_key_as_key_name_returns_400(web: WebApp, merchant: MerchantClient) -> None:
    with pytest.raises(ValidationFailed):
        web.application.api_keys.issue(merchant.merchant_id, f"was {KEY}")
