import time

import pytest

from atomic_web.access.authentication import get_access_policy
from web.web_client import ACCOUNTS, ORDER, PAYMENTS, Caller, Web, error_code

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
def test_without_a_good_key_nothing_is_done(
    web: Web, merchant: Caller, method: str, path: str, header: str | None
) -> None:
    headers = {"Authorization": header} if header is not None else {}
    response = web.client.open(path, method=method, json=ORDER, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    if method != "HEAD":
        assert error_code(response) == "unauthorized"
        assert response.get_json()["error"]["message"] == "A valid API key is required."
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_case_does_not_matter(merchant: Caller, scheme: str) -> None:
    assert (
        merchant.post(PAYMENTS, ORDER, Authorization=f"{scheme} {merchant.key}").status_code == 202
    )


def test_a_revoked_key_is_refused_at_once(web: Web, merchant: Caller) -> None:
    assert merchant.pay().status_code == 202
    web.application.api_keys.revoke(merchant.key_id)
    assert merchant.pay().status_code == 401


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"amount": 0}', b"x" * 100_000])
def test_who_shows_a_revoked_key_is_told_nothing_else(
    web: Web, merchant: Caller, body: bytes
) -> None:
    """Even where the door remembers the key, and the request is refused for something else."""
    location = merchant.pay().headers["Location"]
    before = web.effects
    web.application.api_keys.revoke(merchant.key_id)
    assert merchant.post(PAYMENTS, body).status_code == 401
    assert merchant.post(PAYMENTS, ORDER, Content_Type="text/plain").status_code == 401
    assert merchant.pay(key="a,b").status_code == 401
    assert merchant.get(location).status_code == 401
    assert merchant.get(f"{PAYMENTS}/{merchant.key_id}").status_code == 401
    assert merchant.get(f"{PAYMENTS}/not-an-id").status_code == 401
    assert merchant.get(f"{location}?x=1").status_code == 401
    assert web.effects == before


def test_no_route_trusts_its_memory_of_a_key(web: Web, merchant: Caller) -> None:
    """A route either has its caller confirmed or confirms it itself."""
    assert merchant.pay().status_code == 202
    web.application.api_keys.revoke(merchant.key_id)
    asked = 0
    for rule in web.app.url_map.iter_rules():
        policy = get_access_policy(web.app.view_functions[rule.endpoint])
        if policy and not policy.is_public:
            path = rule.rule.replace("<id>", str(merchant.key_id))
            for method in (rule.methods or set()) - {"OPTIONS"}:
                response = web.client.open(
                    path, method=method, json=ORDER, headers=merchant.authorization
                )
                assert response.status_code == 401, (method, path)
                asked += 1
    assert asked >= 6


@pytest.mark.parametrize("change", [str.upper, lambda key: key[:-1], lambda key: key + "0"])
def test_a_key_is_right_or_wrong_as_a_whole(merchant: Caller, change) -> None:
    response = merchant.post(PAYMENTS, ORDER, Authorization=f"Bearer {change(merchant.key)}")
    assert response.status_code == 401


@pytest.mark.parametrize(
    "spelling", ["Bearer {} x", "Bearer {},{}", "x Bearer {}", "Bearer\t{}", "{}"]
)
def test_a_good_key_in_a_bad_header_is_refused(merchant: Caller, spelling: str) -> None:
    header = spelling.format(merchant.key, merchant.key)
    assert merchant.post(PAYMENTS, ORDER, Authorization=header).status_code == 401


def test_a_thousand_wrong_keys_are_a_thousand_refusals(web: Web) -> None:
    started = time.perf_counter()
    for number in range(1_000):
        headers = {"Authorization": f"Bearer sk_test_{number:048}"}
        assert web.client.post(PAYMENTS, json=ORDER, headers=headers).status_code == 401
    assert time.perf_counter() - started < 10
    assert web.effects == (0, 0, 0)


def test_who_asks_is_settled_before_what_they_ask(web: Web) -> None:
    response = web.client.post(f"{PAYMENTS}?x=1", data=b"\xff" * 100_000)
    assert response.status_code == 401
