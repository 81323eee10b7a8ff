"""Hostile paths, queries, methods and Host headers."""

import pytest

from web.web_client import ACCOUNTS, PAYMENTS, MerchantClient, WebApp, error_code

UUID = "01999999-0000-7000-8000-00000000000a"

NOT_IDS = [
    *("1", "me", "null", "-", "0" * 36, UUID.upper(), UUID.replace("-", ""), f"%7B{UUID}%7D"),
    *(f"urn:uuid:{UUID}", UUID[:-1], UUID + "0", f" {UUID}", f"{UUID}%20", f"{UUID}%0A", "%00"),
    *(f"{UUID}%00", "%ff", "%F0%9F%8D%8F", "9" * 3_900, "'%20OR%201=1--", "..%5c", "*", UUID + "?"),
    *("０1999999-0000-7000-8000-00000000000a", "01999999_0000_7000_8000_00000000000a", "%", "%zz"),
]


@pytest.mark.parametrize("collection", [PAYMENTS, ACCOUNTS])
@pytest.mark.parametrize("id", NOT_IDS)
def test_id_in_another_than_the_canonical_form_returns_400(
    merchant: MerchantClient, collection: str, id: str
) -> None:
    response = merchant.get(f"{collection}/{id}")
    if id == UUID + "?":  # an empty query is none
        assert response.status_code == 404
        return
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    assert list(response.get_json()["error"]["details"]) == ["id"]


def test_invalid_id_without_a_key_returns_401(web: WebApp) -> None:
    assert web.client.get(f"{PAYMENTS}/me").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        *("/api", "/api/", "/docs/", "/api/v1/docs/", "/api/v2/payments", "/payments", "/health"),
        *("/api/v1/payments/", "//api/v1/payments", "/api/v1//payments", "/api/v1/./payments"),
        *("/api/v1/Payments", f"/api/v1/payments/{UUID}/"),
        *("/api/v1/health/", "/static/x", "/favicon.ico", "/metrics", "/.env", "/%00", "/%ff"),
        *("/api/v1/payments;x", "/api/v1/payments%3F", "/" + "x" * 3_900, "/../../etc/passwd"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_unknown_url_returns_404(
    web: WebApp, merchant: MerchantClient, method: str, path: str
) -> None:
    response = web.client.open(
        base_url="http://localhost", path=path, method=method, headers=merchant.authorization
    )
    assert response.status_code == 404
    assert error_code(response) == "not_found"
    assert "Location" not in response.headers


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/v1/foo", "No route matches GET /api/v1/foo."),
        ("/api/v1/%C3%A9", "No route matches this URL."),
        (f"/api/v1/sk_test_{'5' * 48}", "No route matches this URL."),
        ("/" + "x" * 201, "No route matches this URL."),
    ],
)
def test_unknown_url_is_named_unless_it_is_unusual_or_contains_a_key(
    web: WebApp, path: str, message: str
) -> None:
    assert web.client.get(path).get_json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", PAYMENTS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PUT", PAYMENTS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("DELETE", f"{PAYMENTS}/{UUID}", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", f"{ACCOUNTS}/{UUID}", {"GET", "HEAD", "PATCH", "OPTIONS"}),
        ("POST", "/api/v1/health", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", ACCOUNTS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("FROBNICATE", ACCOUNTS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("delete", ACCOUNTS, {"GET", "HEAD", "POST", "OPTIONS"}),
    ],
)
def test_unsupported_method_returns_405_with_allow(
    web: WebApp, method: str, path: str, allowed: set[str]
) -> None:
    response = web.client.open(path, method=method)
    assert response.status_code == 405
    assert error_code(response) == "method_not_allowed"
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("query", ["a=1", "a", "amount=5", "%00", "=", "a=%ff", "&a=", "page=1"])
def test_unexpected_query_returns_400(web: WebApp, merchant: MerchantClient, query: str) -> None:
    for response in (
        merchant.get(f"{PAYMENTS}/{UUID}?{query}"),
        merchant.get(f"{ACCOUNTS}/{UUID}?{query}"),
        merchant.post(f"{PAYMENTS}?{query}", {"amount": 1, "currency": "USD", "source": "tok_a"}),
        merchant.post(f"{ACCOUNTS}?{query}", {"name": "Sales", "currency": "USD"}),
    ):
        assert response.status_code == 400
        assert error_code(response) == "validation_failed"
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("path", ["", "/live", "/ready"])
def test_health_ignores_the_query(web: WebApp, path: str) -> None:
    assert web.client.get(f"/api/v1/health{path}?probe=%00&t=1").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "a b", "ex\x00", "[::", "é", "a" * 300, "x:y", ""]
)
def test_host_header_has_no_effect(web: WebApp, merchant: MerchantClient, host: str) -> None:
    headers = merchant.authorization | {"Content-Type": "application/json"}
    response = web.client.post(
        PAYMENTS,
        data=b'{"amount":1,"currency":"USD","source":"tok_visa"}',
        headers=headers,
        environ_overrides={"HTTP_HOST": host},
    )
    assert response.status_code in (202, 400, 404)
    assert not response.headers.get("Location", "/").startswith("http")
