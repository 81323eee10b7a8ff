"""Attacks that combine several kinds of hostile input."""

from typing import BinaryIO, cast

import pytest
from structlog.testing import capture_logs

from atomic_adapters.security.api_key_cache import LruApiKeyCache
from atomic_web.access.authentication import get_access_policy
from support import DEPTH
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    BATCH,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    SessionClient,
    WebApp,
    error_code,
)

UNKNOWN_ID = "01999999-0000-7000-8000-000000000000"

REQUIRED_BODIES = {"disputes.submit_evidence": {"explanation": "It was delivered."}}
"""By endpoint: their bodies are checked before their ids."""


class FailingStream:
    """A body whose client disconnects before it is read."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def read(self, size: int = -1) -> bytes:
        raise self.error

    readline = readinto = read


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), BrokenPipeError(), OSError("EHOSTUNREACH")]
)
@pytest.mark.parametrize("path", [PAYMENTS, BATCH, ACCOUNTS])
@pytest.mark.parametrize("length", ["50", ""])
def test_connection_reset_within_a_body_returns_400(
    web: WebApp, merchant: MerchantClient, path: str, error: OSError, length: str
) -> None:
    with capture_logs() as logs:
        response = merchant.client.post(
            path,
            headers=merchant.authorization | {"Content-Type": "application/json"},
            environ_overrides={
                "CONTENT_LENGTH": length,
                "wsgi.input_terminated": True,
                "wsgi.input": cast(BinaryIO, FailingStream(error)),
            },
        )
    assert response.status_code == 400
    assert error_code(response) == "malformed_request"
    assert [line["event"] for line in logs] == ["request"]
    assert web.effects == (0, 0, 0)


def test_wrong_keys_are_rate_limited_after_one_look_up_each(
    web: WebApp, merchant: MerchantClient
) -> None:
    lookups: list[str] = []
    recognize = web.application.api_keys.identify

    def look_up(raw_key: str) -> object:
        lookups.append(raw_key)
        return recognize(raw_key)

    configured_web = web.with_settings().with_use_cases({"api_keys.identify": look_up})
    keys = [f"sk_test_{number:048}" for number in range(100 + 100 * DEPTH)]
    statuses = [
        configured_web.client.post(PAYMENTS, headers={"Authorization": f"Bearer {key}"}).status_code
        for key in keys
    ]
    assert statuses == [401] * 100 + [429] * 100 * DEPTH
    assert lookups == keys
    # What is not known is not remembered: wrong keys fill no memory.
    assert not cast(LruApiKeyCache, recognize.api_key_cache)._callers
    # A client at another address has its own window.
    elsewhere = configured_web.client.post(
        PAYMENTS,
        json=PAYMENT_BODY,
        headers=merchant.authorization,
        environ_overrides={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert elsewhere.status_code == 202


def test_another_merchants_id_returns_the_same_404_as_an_unknown_id(
    web: WebApp,
    merchant: MerchantClient,
    other_merchant: MerchantClient,
    session_client: SessionClient,
) -> None:
    """In every path with an id, also for ids of other kinds of objects."""
    other_ids = [
        other_merchant.pay().get_json()["data"]["id"],
        other_merchant.post(ACCOUNTS, ACCOUNT_BODY).get_json()["data"]["id"],
        *(str(other_merchant.merchant_id), str(other_merchant.key_id)),
    ]
    before = web.effects
    rules = [rule for rule in web.app.url_map.iter_rules() if rule.arguments]
    assert len(rules) >= 2
    for rule in rules:
        policy = get_access_policy(web.app.view_functions[rule.endpoint])
        caller = session_client if policy and policy.is_session_required else merchant
        for method in (rule.methods or set()) - {"OPTIONS"}:
            answers = [
                caller.client.open(
                    rule.rule.replace("<id>", id),
                    method=method,
                    headers=caller.authorization,
                    json=REQUIRED_BODIES.get(rule.endpoint),
                )
                for id in (UNKNOWN_ID, *other_ids)
            ]
            assert {answer.status_code for answer in answers} == {404}, (method, rule)
            if method != "HEAD":
                assert len({str(answer.get_json()["error"]) for answer in answers}) == 1
    assert web.effects == before


ODD_HOSTS = [
    *("http://127.1/", "http://0177.0.0.1/", "http://2130706433/", "http://0x7f.1/", "HTTP://LOCALHOST"),
    *("http://[::ffff:127.0.0.1]/", "http://[::ffff:a9fe:a9fe]/", "http://127.0.0.1./", "http://0/"),
    *("http://localhost./", "http://10.1/", "http://192.168.257/", "http://[fe80::1%25eth0]/"),
    *("http://example.com@127.0.0.1/", "http://127.0.0.1#@example.com/", "http://localhost6.localdomain6"),
    *("http://127。0。0。1/", "http://ⓛocalhost/", "http://127.0.0.1%2f.example.com/", "gopher://a.example"),
    *("javascript:alert(1)", "//127.0.0.1/", "http:127.0.0.1", "http://[::]/", "http://[::1]:80/"),
    *("http://169.254.169.254\\@example.com/", "http://metadata/", "http://x.internal/", "http://\t127.1"),
]  # fmt: skip


@pytest.mark.parametrize("url", ODD_HOSTS)
def test_webhook_to_a_private_address_returns_400_in_every_spelling(
    web: WebApp, merchant: MerchantClient, url: str
) -> None:
    alone = merchant.pay(webhookUrl=url)
    among = merchant.pay_batch(PAYMENT_BODY, PAYMENT_BODY | {"webhookUrl": url})
    assert list(alone.get_json()["error"]["details"]) == ["webhookUrl"]
    assert list(among.get_json()["error"]["details"]) == ["payments.1.webhookUrl"]
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize(
    "url", ["HTTPS://Example.COM/Hook", "https://xn--bcher-kva.example:8443/", "http://8.8.8.8."]
)
def test_public_webhook_url_is_stored_unchanged(merchant: MerchantClient, url: str) -> None:
    assert merchant.pay(webhookUrl=url).get_json()["data"]["webhookUrl"] == url


MANY = 60_000
WIDE = [
    "[" + "[]," * MANY + "0]",
    "[" + "{}," * MANY + "0]",
    "[" + "0," * MANY + "0]",
    "[" + '"\\u0041",' * MANY + "0]",
    "[" + ("[" + "[]," * 300 + "0],") * 200 + "0]",
    "{" + ",".join(f'"{number}":0' for number in range(MANY)) + "}",
]


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("shape", ["{}", '{{"payments":{}}}', '{{"payments":[{}]}}'])
def test_body_with_too_many_values_returns_400(
    web: WebApp, merchant: MerchantClient, wide: str, shape: str
) -> None:
    response = merchant.post(BATCH, shape.format(wide).encode())
    assert response.status_code == 400
    assert error_code(response) == "malformed_request"
    assert web.effects == (0, 0, 0)


def test_full_batch_is_within_the_value_limit(merchant: MerchantClient) -> None:
    full = {"merchantId": str(merchant.merchant_id), "webhookUrl": "https://example.com/ä"}
    orders = [
        PAYMENT_BODY | full | {"description": "ä", "idempotencyKey": f"{n}"} for n in range(1_000)
    ]
    assert merchant.pay_batch(*orders).status_code == 400  # the URL is not ASCII
    for order in orders:
        order["webhookUrl"] = "https://example.com/"
    assert merchant.pay_batch(*orders).status_code == 202
