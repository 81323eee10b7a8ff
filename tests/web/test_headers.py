"""Headers of every response: request ids, security headers, CORS."""

import re
from datetime import datetime
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from web.web_client import PAYMENT_BODY, PAYMENTS, MerchantClient, WebApp

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SHOP = "https://shop.example"


def send_requests(web: WebApp, merchant: MerchantClient, **headers: str) -> list[TestResponse]:
    """Responses of every kind: success, errors, preflight, health."""
    return [
        merchant.pay(),
        merchant.post(PAYMENTS, PAYMENT_BODY, **headers),
        merchant.post(PAYMENTS, b"{", **headers),
        web.client.get("/nowhere", headers=headers),
        web.client.put(PAYMENTS, headers=headers),
        web.client.post(PAYMENTS, headers=headers),
        web.client.options(PAYMENTS, headers=headers),
        web.client.get("/api/v1/health/live", headers=headers),
    ]


def test_every_response_has_the_security_headers(web: WebApp, merchant: MerchantClient) -> None:
    for response in send_requests(web, merchant):
        assert SECURITY.items() <= dict(response.headers).items()
        assert response.mimetype == "application/json"
        assert "Strict-Transport-Security" not in response.headers
        assert "Set-Cookie" not in response.headers


def test_production_sends_hsts(web: WebApp, merchant: MerchantClient) -> None:
    configured_web = web.with_settings(ATOMIC_ENV="production", RATE_LIMIT_PAYMENTS="off")
    for response in send_requests(configured_web, configured_web.connect(merchant)):
        assert response.headers["Strict-Transport-Security"].startswith("max-age=31536000")


@pytest.mark.parametrize("given", ["a", "1" * 128, "trace-01:7f;span=9,x", "~!\"'<>&"])
def test_valid_request_id_is_echoed(web: WebApp, given: str) -> None:
    response = web.client.get("/api/v1/health", headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == given
    assert response.get_json()["meta"]["requestId"] == given


@pytest.mark.parametrize("given", [None, "", " ", "a b", "1" * 129, "é", "a\x00", "\x7f", "\t"])
def test_invalid_request_id_is_replaced(web: WebApp, given: str | None) -> None:
    environ = {} if given is None else {"HTTP_X_REQUEST_ID": given}
    first, second = (
        web.client.get("/api/v1/health", environ_overrides=environ).headers["X-Request-Id"]
        for _ in range(2)
    )
    assert str(UUID(first)) == first
    assert first != second


def test_every_response_has_a_request_id_and_a_timestamp(
    web: WebApp, merchant: MerchantClient
) -> None:
    for response in send_requests(web, merchant, X_Request_Id="r-1"):
        assert response.headers["X-Request-Id"]
        if response.data:
            meta = response.get_json()["meta"]
            assert meta["requestId"] == response.headers["X-Request-Id"]
            assert meta["timestamp"] == "2026-11-22T15:30:13.153Z"


@pytest.mark.parametrize("microsecond", [0, 1, 999, 1_000, 120_000, 999_999])
def test_timestamps_have_exactly_three_decimals(web: WebApp, microsecond: int) -> None:
    web.clock.time = web.clock.time.replace(microsecond=microsecond)
    timestamp = web.client.get("/api/v1/health").get_json()["meta"]["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp)
    assert datetime.fromisoformat(timestamp).microsecond == microsecond // 1_000 * 1_000


def get_cors_headers(response: TestResponse) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()
        if name.startswith("Access-Control-") or name == "Vary"
    }


def test_no_cors_headers_without_configured_origins(web: WebApp, merchant: MerchantClient) -> None:
    for response in send_requests(web, merchant, Origin=SHOP):
        assert get_cors_headers(response) == {}


def test_configured_origin_gets_cors_headers_on_every_response(
    web: WebApp, merchant: MerchantClient
) -> None:
    configured_web = web.with_settings(
        CORS_ORIGIN=f"{SHOP},https://other.example", RATE_LIMIT_PAYMENTS="off"
    )
    for response in send_requests(configured_web, configured_web.connect(merchant), Origin=SHOP)[
        1:
    ]:
        assert response.headers.getlist("Access-Control-Allow-Origin") == [SHOP]
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
        exposed = set(response.headers["Access-Control-Expose-Headers"].split(", "))
        assert {
            *("X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After"),
            *("Location", "Idempotent-Replayed"),
        } <= exposed


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "https://shop.example.evil.example", "http://shop.example"),
        *("https://shop.example:8443", "null", "", "https://shopXexample", f"{SHOP}\x00", "*"),
        *(f"x{SHOP}", "https://ashop.example", f"{SHOP}/", f"{SHOP},{SHOP}"),
    ],
)
def test_other_origins_get_no_cors_headers(
    web: WebApp, merchant: MerchantClient, origin: str
) -> None:
    configured_web = web.with_settings(CORS_ORIGIN=SHOP, RATE_LIMIT_PAYMENTS="off")
    for response in send_requests(configured_web, configured_web.connect(merchant), Origin=origin):
        assert get_cors_headers(response) == {"Vary": "Origin"}


@pytest.mark.parametrize("origin", ["http://[::1]:8080", "http://localhost:5173"])
def test_configured_origin_is_no_regular_expression(web: WebApp, origin: str) -> None:
    configured_web = web.with_settings(CORS_ORIGIN=origin)
    response = configured_web.client.get("/api/v1/health", headers={"Origin": origin})
    assert response.headers["Access-Control-Allow-Origin"] == origin


def test_request_without_origin_gets_no_cors_headers(web: WebApp) -> None:
    configured_web = web.with_settings(CORS_ORIGIN=f"{SHOP},https://other.example")
    assert get_cors_headers(configured_web.client.get("/api/v1/health")) == {"Vary": "Origin"}


def test_star_allows_any_origin(web: WebApp) -> None:
    configured_web = web.with_settings(CORS_ORIGIN="*")
    response = configured_web.client.get("/api/v1/health", headers={"Origin": SHOP})
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_preflight_requires_no_api_key(web: WebApp) -> None:
    response = web.with_settings(CORS_ORIGIN=SHOP).client.options(
        PAYMENTS,
        headers={
            "Origin": SHOP,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, "
            "prefer, x-request-id, x-other",
        },
    )
    assert response.status_code == 200
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert allowed == ["authorization", "content-type", "idempotency-key", "prefer", "x-request-id"]
