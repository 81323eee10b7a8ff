"""What a hostile client does that no single row of abuse.md names."""

from typing import BinaryIO, cast

import pytest
from structlog.testing import capture_logs

from atomic_adapters.security.api_key_cache import LruApiKeyCache
from atomic_web.access.authentication import get_access_policy
from web.web_client import (
    ACCOUNT,
    ACCOUNTS,
    BATCH,
    ORDER,
    PAYMENTS,
    Caller,
    Member,
    Web,
    error_code,
)

NOBODYS = "01999999-0000-7000-8000-000000000000"


class Torn:
    """A body whose sender is gone before it is read."""

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
def test_a_reset_in_the_midst_of_a_body_is_no_bug_of_ours(
    web: Web, merchant: Caller, path: str, error: OSError, length: str
) -> None:
    with capture_logs() as logs:
        response = merchant.client.post(
            path,
            headers=merchant.authorization | {"Content-Type": "application/json"},
            environ_overrides={
                "CONTENT_LENGTH": length,
                "wsgi.input_terminated": True,
                "wsgi.input": cast(BinaryIO, Torn(error)),
            },
        )
    assert response.status_code == 400
    assert error_code(response) == "malformed_request"
    assert [line["event"] for line in logs] == ["request"]
    assert web.effects == (0, 0, 0)


def test_a_thousand_wrong_keys_run_into_the_limit_at_one_look_up_each(
    web: Web, merchant: Caller
) -> None:
    lookups: list[str] = []
    recognize = web.application.api_keys.recognize

    def look_up(raw_key: str) -> object:
        lookups.append(raw_key)
        return recognize(raw_key)

    door = web.configured().with_use_cases({"api_keys.recognize": look_up})
    keys = [f"sk_test_{number:048}" for number in range(1_000)]
    statuses = [
        door.client.post(PAYMENTS, headers={"Authorization": f"Bearer {key}"}).status_code
        for key in keys
    ]
    assert statuses == [401] * 100 + [429] * 900
    assert lookups == keys
    # What is not known is not remembered: wrong keys fill no memory.
    assert not cast(LruApiKeyCache, recognize.known)._callers
    # And whoever calls from elsewhere has a window of their own.
    elsewhere = door.client.post(
        PAYMENTS,
        json=ORDER,
        headers=merchant.authorization,
        environ_overrides={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert elsewhere.status_code == 202


def test_another_merchants_id_is_as_unknown_as_nobodys(
    web: Web, merchant: Caller, stranger: Caller, member: Member
) -> None:
    """Wherever a path takes an id, also where it takes the id of something else."""
    theirs = [
        stranger.pay().get_json()["data"]["id"],
        stranger.post(ACCOUNTS, ACCOUNT).get_json()["data"]["id"],
        *(str(stranger.merchant_id), str(stranger.key_id)),
    ]
    before = web.effects
    rules = [rule for rule in web.app.url_map.iter_rules() if rule.arguments]
    assert len(rules) >= 2
    for rule in rules:
        policy = get_access_policy(web.app.view_functions[rule.endpoint])
        caller = member if policy and policy.is_session_required else merchant
        for method in (rule.methods or set()) - {"OPTIONS"}:
            answers = [
                caller.client.open(
                    rule.rule.replace("<id>", id), method=method, headers=caller.authorization
                )
                for id in (NOBODYS, *theirs)
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
def test_a_webhook_goes_nowhere_private_however_it_is_spelt(
    web: Web, merchant: Caller, url: str
) -> None:
    alone = merchant.pay(webhookUrl=url)
    among = merchant.pay_all(ORDER, ORDER | {"webhookUrl": url})
    assert list(alone.get_json()["error"]["details"]) == ["webhookUrl"]
    assert list(among.get_json()["error"]["details"]) == ["payments.1.webhookUrl"]
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize(
    "url", ["HTTPS://Example.COM/Hook", "https://xn--bcher-kva.example:8443/", "http://8.8.8.8."]
)
def test_a_public_webhook_is_kept_as_it_came(merchant: Caller, url: str) -> None:
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
def test_a_body_of_very_many_values_is_not_looked_through(
    web: Web, merchant: Caller, wide: str, shape: str
) -> None:
    response = merchant.post(BATCH, shape.format(wide).encode())
    assert response.status_code == 400
    assert error_code(response) == "malformed_request"
    assert web.effects == (0, 0, 0)


def test_a_whole_batch_is_not_too_many(merchant: Caller) -> None:
    full = {"merchantId": str(merchant.merchant_id), "webhookUrl": "https://example.com/ä"}
    orders = [ORDER | full | {"description": "ä", "idempotencyKey": f"{n}"} for n in range(1_000)]
    assert merchant.pay_all(*orders).status_code == 400  # the URL is not ASCII
    for order in orders:
        order["webhookUrl"] = "https://example.com/"
    assert merchant.pay_all(*orders).status_code == 202
