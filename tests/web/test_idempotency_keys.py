"""The syntax of the Idempotency-Key header."""

import pytest

from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    WebApp,
    error_code,
)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("k", "k"),
        ('"k"', "k"),
        ('"a,b"', "a,b"),
        (r'"a\"b\\c"', r'a"b\c'),
        (r"a\"b", r"a\"b"),
        ("k;v=1", "k;v=1"),
        ("!#$%&'()*+-./:<=>?@[\\]^_`{|}~", "!#$%&'()*+-./:<=>?@[\\]^_`{|}~"),
        ("x" * 255, "x" * 255),
        (f'"{"x" * 255}"', "x" * 255),
        ('"' + r"\\" * 255 + '"', "\\" * 255),
    ],
)
def test_key_may_be_bare_or_quoted(merchant: MerchantClient, header: str, key: str) -> None:
    response = merchant.pay(key=header)
    assert response.status_code == 202
    assert response.get_json()["data"]["idempotencyKey"] == key


def test_bare_and_quoted_forms_are_the_same_key(merchant: MerchantClient) -> None:
    assert merchant.pay(key="k").data == merchant.pay(key='"k"').data


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            " ",
            '""',
            '"',
            '"k',
            'k"x" y',
            "a b",
            "a\tb",
            '"a b"',
            "a,b",
            "a, b",
            ",",
            '"a","b"',
        ),
        *('"a", "b"', '"a""b"', '"a"b', '"a";v=1', r'"a\b"', '"a\\"', "x" * 256, f'"{"x" * 256}"'),
        *("é", "\xff", '"é"', "k\x00", "\x01", "k\x7f", "ключ".encode().decode("latin-1"), "\x80"),
    ],
)
@pytest.mark.parametrize(("path", "body"), [(PAYMENTS, PAYMENT_BODY), (ACCOUNTS, ACCOUNT_BODY)])
def test_invalid_key_returns_400(
    web: WebApp, merchant: MerchantClient, header: str, path: str, body: object
) -> None:
    response = merchant.client.post(
        path,
        json=body,
        headers=merchant.authorization,
        environ_overrides={"HTTP_IDEMPOTENCY_KEY": header},
    )
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    assert list(response.get_json()["error"]["details"]) == ["Idempotency-Key"]
    assert web.effects == (0, 0, 0)


def test_two_keys_return_400(web: WebApp, merchant: MerchantClient) -> None:
    headers = [*merchant.authorization.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    response = merchant.client.post(PAYMENTS, json=PAYMENT_BODY, headers=headers)
    assert response.status_code == 400
    assert web.effects == (0, 0, 0)
