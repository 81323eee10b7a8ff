import pytest

from atomic_core.domain.errors import StorageUnavailable
from atomic_web.access.authentication import get_access_policy
from atomic_web.errors import RequestTimeout
from support import DEPTH
from web.web_client import (
    ACCOUNTS,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    WebApp,
    error_code,
    error_type,
)

KEY = "sk_test_" + "0" * 48


@pytest.mark.parametrize(
    "header",
    [
        *(
            None,
            "",
            "Bearer",
            "Bearer ",
            "bearer",
            KEY,
            f"Basic {KEY}",
            f"Bearer{KEY}",
            "Basic Og==",
        ),
        *(f"Bearer {KEY}", f"Bearer {KEY} x", f"Bearer {KEY},Bearer {KEY}", f"Token {KEY}"),
        *(
            "Bearer ' OR 1=1 --",
            "Bearer \x00",
            "Bearer é",
            "Bearer \xff\xfe",
            "Bearer " + "a" * 8_000,
        ),
        *(f"Bearer\t{KEY}", f'Bearer "{KEY}"', "Bearer =", "Bearer null", "Bearer ../../etc"),
        *(f"Bearer {KEY}\x00", "Bearer " + "=" * 8_000),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PAYMENTS),
        ("GET", f"{PAYMENTS}/01999999-0000-7000-8000-000000000000"),
        ("HEAD", f"{PAYMENTS}/01999999-0000-7000-8000-000000000000"),
        ("POST", ACCOUNTS),
        ("GET", f"{ACCOUNTS}/x"),
    ],
)
def test_invalid_credentials_return_401_without_effects(
    web: WebApp, merchant: MerchantClient, method: str, path: str, header: str | None
) -> None:
    headers = {"Authorization": header} if header is not None else {}
    response = web.client.open(path, method=method, json=PAYMENT_BODY, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    if method != "HEAD":
        if header is None or not header.strip():
            expected = "api_key_missing"
        elif header == f"Bearer {KEY}" or header in ("Bearer null", "Bearer ../../etc"):
            expected = "unauthorized"
        else:
            expected = "api_key_malformed"
        assert (error_type(response), error_code(response)) == ("unauthorized", expected)
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_bearer_scheme_is_case_insensitive(merchant: MerchantClient, scheme: str) -> None:
    assert (
        merchant.post(PAYMENTS, PAYMENT_BODY, Authorization=f"{scheme} {merchant.key}").status_code
        == 202
    )


def test_revoked_key_returns_401_at_once(web: WebApp, merchant: MerchantClient) -> None:
    assert merchant.pay().status_code == 202
    web.application.api_keys.revoke(merchant.key_id)
    assert merchant.pay().status_code == 401


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"amount": 0}', b"x" * 100_000])
def test_revoked_key_returns_401_before_any_other_error(
    web: WebApp, merchant: MerchantClient, body: bytes
) -> None:
    """Even if the key is cached and the request fails for another reason."""
    location = merchant.pay().headers["Location"]
    before = web.effects
    web.application.api_keys.revoke(merchant.key_id)
    assert merchant.post(PAYMENTS, body).status_code == 401
    assert merchant.post(PAYMENTS, PAYMENT_BODY, Content_Type="text/plain").status_code == 401
    assert merchant.pay(key="a,b").status_code == 401
    assert merchant.get(location).status_code == 401
    assert merchant.get(f"{PAYMENTS}/{merchant.key_id}").status_code == 401
    assert merchant.get(f"{PAYMENTS}/not-an-id").status_code == 401
    assert merchant.get(f"{location}?x=1").status_code == 401
    assert web.effects == before


def test_every_route_confirms_a_cached_key(web: WebApp, merchant: MerchantClient) -> None:
    """A route whose use case does not confirm the caller confirms it itself."""
    assert merchant.pay().status_code == 202
    web.application.api_keys.revoke(merchant.key_id)
    request_count = 0
    for rule in web.app.url_map.iter_rules():
        policy = get_access_policy(web.app.view_functions[rule.endpoint])
        if policy and not policy.is_public:
            path = rule.rule.replace("<id>", str(merchant.key_id))
            for method in (rule.methods or set()) - {"OPTIONS"}:
                response = web.client.open(
                    path, method=method, json=PAYMENT_BODY, headers=merchant.authorization
                )
                assert response.status_code == 401, (method, path)
                request_count += 1
    assert request_count >= 6


class UnfinishedBody:
    """Ends by the deadline of the request."""

    def read(self, _size: int) -> bytes:
        raise RequestTimeout


def test_request_that_does_not_arrive_in_time_needs_no_database(
    web: WebApp, merchant: MerchantClient
) -> None:
    """A hundred slow clients at once waited for connections, and some got 503."""
    assert merchant.pay().status_code == 202

    def refuse(_caller: object) -> None:
        raise StorageUnavailable

    without_database = web.with_use_cases({"api_keys.require_active": refuse})
    response = without_database.client.post(
        PAYMENTS,
        content_type="application/json",
        headers=merchant.authorization,
        environ_overrides={"wsgi.input": UnfinishedBody(), "CONTENT_LENGTH": "60000"},
    )
    assert (response.status_code, error_code(response)) == (408, "request_timeout")


@pytest.mark.parametrize("change", [str.upper, lambda key: key[:-1], lambda key: key + "0"])
def test_altered_key_returns_401(merchant: MerchantClient, change) -> None:
    response = merchant.post(PAYMENTS, PAYMENT_BODY, Authorization=f"Bearer {change(merchant.key)}")
    assert response.status_code == 401


@pytest.mark.parametrize(
    "spelling", ["Bearer {} x", "Bearer {},{}", "x Bearer {}", "Bearer\t{}", "{}"]
)
def test_valid_key_in_a_malformed_header_returns_401(
    merchant: MerchantClient, spelling: str
) -> None:
    header = spelling.format(merchant.key, merchant.key)
    assert merchant.post(PAYMENTS, PAYMENT_BODY, Authorization=header).status_code == 401


def test_every_one_of_many_wrong_keys_returns_401(web: WebApp) -> None:
    for number in range(250 * DEPTH):
        headers = {"Authorization": f"Bearer sk_test_{number:048}"}
        assert web.client.post(PAYMENTS, json=PAYMENT_BODY, headers=headers).status_code == 401
    assert web.effects == (0, 0, 0)


def test_authentication_precedes_validation(web: WebApp) -> None:
    response = web.client.post(f"{PAYMENTS}?x=1", data=b"\xff" * 100_000)
    assert response.status_code == 401
