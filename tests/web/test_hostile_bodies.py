"""Hostile bodies return 400, 413 or 415, without effects."""

import io
import json

import pytest
from flask.testing import FlaskClient

from web.web_client import (
    ACCOUNTS,
    BATCH,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    WebApp,
    error_code,
)


def replace_value(name: str, raw: str) -> bytes:
    """A valid payment with the value of one field replaced by raw JSON text."""
    members = {key: json.dumps(value) for key, value in PAYMENT_BODY.items()} | {name: raw}
    return ("{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}").encode()


NOT_AMOUNTS = [
    *("5.0", '"5"', '"５"', '" 5 "', '"1_000"', "1e3", "1E0", "true", "false", "null"),
    *("[5]", '{"amount":5}', '""', "0", "-1", "-0", "-0.0", "0.1", "1.5"),
    *(str(2**53), str(2**63 - 1), str(2**63), str(2**64), str(-(2**63)), str(10**30), "9" * 5_000),
    *("9" * 4_300, "-" + "9" * 5_000, "1e400", "-1e400", "1e-400", "NaN", "Infinity"),
    *("-Infinity", "１", "0x10", "1_000", "+1", "01", "5 5", ".5", "5."),
]

NOT_TEXT = [
    "5",
    "true",
    "null",
    "[]",
    "{}",
    '["USD"]',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
]

NOT_CURRENCIES = [
    *("", "usd", "US", "USDD", "USD\n", "\nUSD", " USD", "USD ", "XXX", "ＵＳＤ", "US\u0000D"),
    *("BGN", "USD,EUR", "U$D", "$"),
]

NOT_SOURCES = [
    *(
        "",
        "tok_",
        "visa",
        "TOK_visa",
        "tok_visa\n",
        " tok_visa",
        "tok_vi sa",
        "tok_visä",
        "tok-visa",
    ),
    *("tok_" + "a" * 61, "tok_a'b", "tok_%00", "tok_١", "xtok_visa", "4242424242424242"),
]

NOT_MERCHANTS = [
    *("", "me", "{01999999-0000-7000-8000-000000000000}", "01999999000070008000000000000000"),
    *("01999999-0000-7000-8000-00000000000A", "urn:uuid:01999999-0000-7000-8000-000000000000"),
    *(
        "01999999-0000-7000-8000-000000000000\n",
        "' OR 1=1 --",
        "01999999-0000-7000-8000-00000000000",
    ),
]

NOT_WEBHOOKS = [
    *(
        "",
        "hook",
        "http://127.0.0.1/",
        "http://localhost:6379/",
        "http://[::1]/",
        "https://10.0.0.1",
    ),
    *("https://u:p@example.com/", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data"),
    *("https://example.com/\n", "https://exämple.com/", "http://0x7f000001/"),
]

FAULTY_VALUES = [
    *(("amount", raw) for raw in NOT_AMOUNTS),
    *((name, raw) for name in ("currency", "source", "description") for raw in NOT_TEXT),
    *((name, raw) for name in ("merchantId", "webhookUrl") for raw in NOT_TEXT),
    *(("currency", json.dumps(text)) for text in NOT_CURRENCIES),
    *(("source", json.dumps(text)) for text in NOT_SOURCES),
    *(("merchantId", json.dumps(text)) for text in NOT_MERCHANTS),
    *(("webhookUrl", json.dumps(text)) for text in NOT_WEBHOOKS),
    *(("description", json.dumps(text)) for text in ("", "x" * 501, "a\0b", "a\ud83d", "\udead")),
    *((name, '"x"') for name in ("id", "status", "amount ", "Amount", "__proto__", "\\u0000", "")),
    *((name, '"x"') for name in ("merchant_id", "webhook_url", "idempotencyKey", "\\ud800", "🍏")),
]

NOT_OBJECTS = [b"null", b"[]", b'"x"', b"5", b"true", b"[{}]", json.dumps([PAYMENT_BODY]).encode()]

GOOD = json.dumps(PAYMENT_BODY).encode()

NOT_JSON = [
    *(b"", b" ", b"{", b"}", b"{}{}", GOOD + b"x", GOOD + b"\0", b"\0" + GOOD, GOOD[:-1]),
    *(b"{'amount':5}", b"{amount:5}", b"{,}", b'{"amount":}', b'{"a":1,}', b"amount=5", b"<xml/>"),
    *(GOOD.decode().encode("utf-16"), GOOD.decode().encode("utf-16-le"), b"\xef\xbb\xbf" + GOOD),
    *(GOOD.decode().encode("utf-32"), GOOD.replace(b"tok_visa", b"tok_\xff")),
    *(GOOD.replace(b"tok_visa", b"tok_\xc0\xaf"), GOOD.replace(b"tok_visa", b"tok_\xed\xa0\x80")),
    *(GOOD.replace(b"tok_visa", b"tok_\n"), GOOD.replace(b"tok_visa", b"\\x41"), b"/**/" + GOOD),
    *(b'{"a":' * 8_000 + b"1" + b"}" * 8_000, b"[" * 8_000 + b"]" * 8_000, b"[" * 30_000),
    *(b'{"a":' * 8_000, b"[{" * 500, replace_value("description", "[" * 17 + "]" * 17)),
    *(
        replace_value("description", "[" * 900 + "]" * 900),
        replace_value("x", '{"a":' * 40 + "1" + "}" * 40),
    ),
]

REPEATS = [
    b'{"amount":1,"amount":2,"currency":"USD","source":"tok_visa"}',
    b'{"amount":1,"\\u0061mount":1,"currency":"USD","source":"tok_visa"}',
    replace_value("description", '{"a":1,"a":1}'),
]


@pytest.mark.parametrize(("name", "raw"), FAULTY_VALUES)
def test_invalid_value_returns_400(
    web: WebApp, merchant: MerchantClient, name: str, raw: str
) -> None:
    assert_refused(web, merchant, replace_value(name, raw), 400)


@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_json_that_is_no_object_returns_400(
    web: WebApp, merchant: MerchantClient, body: bytes
) -> None:
    assert assert_refused(web, merchant, body, 400) == "validation_failed"


@pytest.mark.parametrize("body", NOT_JSON)
def test_malformed_json_returns_400(web: WebApp, merchant: MerchantClient, body: bytes) -> None:
    assert assert_refused(web, merchant, body, 400) == "malformed_request"


MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark."""

MARKED = [
    *(MARK, MARK + GOOD, b" " + MARK + GOOD, GOOD + MARK, GOOD + b"\n" + MARK + GOOD),
    *(GOOD.replace(b":", b":" + MARK, 1), b"{" + MARK + GOOD[1:], MARK + b'{"payments":[]}'),
]


@pytest.mark.parametrize("body", MARKED)
def test_byte_order_mark_is_refused_by_name(
    web: WebApp, merchant: MerchantClient, body: bytes
) -> None:
    assert assert_refused(web, merchant, body, 400) == "malformed_request"
    for path, sent in ((PAYMENTS, body), (BATCH, b'{"payments":[' + body + b"]}"), (BATCH, body)):
        message = merchant.post(path, sent).get_json()["error"]["message"]
        assert "UTF-8 byte order mark (the bytes EF BB BF)" in message


def test_byte_order_mark_within_a_string_is_text(merchant: MerchantClient) -> None:
    response = merchant.pay(description="\ufeffOrder")
    assert response.get_json()["data"]["description"] == "\ufeffOrder"


@pytest.mark.parametrize(
    ("body", "place"), [(b"{'a': 1}", "line 1, column 2"), (b'{\n  "a": x}', "line 2, column 8")]
)
def test_syntax_error_is_located(merchant: MerchantClient, body: bytes, place: str) -> None:
    message = merchant.post(PAYMENTS, body).get_json()["error"]["message"]
    assert message == f"The body must be JSON. The first error is at {place}."


@pytest.mark.parametrize("body", REPEATS)
def test_repeated_member_returns_400(web: WebApp, merchant: MerchantClient, body: bytes) -> None:
    assert assert_refused(web, merchant, body, 400) == "malformed_request"


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 41])
def test_number_that_is_no_json_returns_400_in_any_field(
    web: WebApp, merchant: MerchantClient, raw: str
) -> None:
    assert assert_refused(web, merchant, replace_value("amount", raw), 400) == "malformed_request"
    assert merchant.post(PAYMENTS, replace_value("x", f"[{raw}]")).status_code == 400


@pytest.mark.parametrize("missing", list(PAYMENT_BODY))
def test_missing_field_is_named(web: WebApp, merchant: MerchantClient, missing: str) -> None:
    body = {name: value for name, value in PAYMENT_BODY.items() if name != missing}
    response = merchant.post(PAYMENTS, body)
    assert error_code(response) == "validation_failed"
    assert list(response.get_json()["error"]["details"]) == [missing]
    assert web.effects == (0, 0, 0)


def test_reported_errors_of_unknown_fields_are_limited(merchant: MerchantClient) -> None:
    body = PAYMENT_BODY | {f"{number}" + "x" * 30: 1 for number in range(1_000)}
    response = merchant.post(PAYMENTS, body)
    assert response.status_code == 400
    assert len(response.data) < 4_000


@pytest.mark.parametrize(
    "media_type",
    [
        *(None, "", "text/plain", "text/json", "application/x-www-form-urlencoded"),
        *("multipart/form-data; boundary=x", "application/jsonp", "application/json, text/html"),
        *("application/json; charset=utf-16", "application/json; charset=latin-1", "json", "/"),
        *("application/merge-patch+json", ";", "application/json\x0b; x", "\xff", "a" * 8_000),
    ],
)
def test_other_media_types_return_415(
    web: WebApp, merchant: MerchantClient, media_type: str | None
) -> None:
    headers = merchant.authorization | ({} if media_type is None else {"Content-Type": media_type})
    response = merchant.client.post(PAYMENTS, data=GOOD, headers=headers)
    assert response.status_code == 415
    assert error_code(response) == "unsupported_media_type"
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "x"])
def test_compressed_body_returns_415(web: WebApp, merchant: MerchantClient, encoding: str) -> None:
    response = merchant.post(PAYMENTS, GOOD, Content_Encoding=encoding)
    assert response.status_code == 415
    assert web.effects == (0, 0, 0)


def test_body_over_the_limit_returns_413(web: WebApp, merchant: MerchantClient) -> None:
    padded = GOOD + b" " * web.settings.body_limit
    assert assert_refused(web, merchant, padded, 413) == "payload_too_large"


def test_body_at_the_limit_is_accepted(web: WebApp, merchant: MerchantClient) -> None:
    padded = GOOD + b" " * (web.settings.body_limit - len(GOOD))
    assert merchant.post(PAYMENTS, padded).status_code == 202


def test_chunked_body_over_the_limit_returns_413(web: WebApp, merchant: MerchantClient) -> None:
    response = post_chunked(merchant, GOOD + b" " * web.settings.body_limit)
    assert response.status_code == 413
    assert error_code(response) == "payload_too_large"
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("over", [0, 1])
def test_chunked_body_at_the_limit_is_accepted(
    web: WebApp, merchant: MerchantClient, over: int
) -> None:
    assert post_chunked(merchant, GOOD).status_code == 202
    padding = b" " * (web.settings.body_limit - len(GOOD) + over)
    assert post_chunked(merchant, GOOD + padding).status_code == (413 if over else 202)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 30, " "])
def test_invalid_content_length_returns_400(
    web: WebApp, merchant: MerchantClient, length: str
) -> None:
    response = merchant.client.post(
        PAYMENTS,
        headers=merchant.authorization | {"Content-Type": "application/json"},
        environ_overrides={"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(GOOD)},
    )
    assert response.status_code in (400, 413)
    error_code(response)
    assert web.effects == (0, 0, 0)


def test_incomplete_body_returns_400(web: WebApp, merchant: MerchantClient) -> None:
    response = merchant.client.post(
        PAYMENTS,
        headers=merchant.authorization | {"Content-Type": "application/json"},
        environ_overrides={"CONTENT_LENGTH": str(len(GOOD) + 9), "wsgi.input": io.BytesIO(GOOD)},
    )
    assert response.status_code == 400
    assert error_code(response) == "malformed_request"
    assert web.effects == (0, 0, 0)


def post_chunked(merchant: MerchantClient, body: bytes):
    return send_chunked(merchant.client, PAYMENTS, body, merchant.authorization)


def send_chunked(client: FlaskClient, path: str, body: bytes, headers: dict[str, str]):
    # What gunicorn hands on for Transfer-Encoding: chunked: no length, and an input that ends.
    return client.post(
        path,
        headers=headers | {"Content-Type": "application/json"},
        environ_overrides={
            "CONTENT_LENGTH": "",
            "HTTP_TRANSFER_ENCODING": "chunked",
            "wsgi.input_terminated": True,
            "wsgi.input": io.BytesIO(body),
        },
    )


def assert_refused(web: WebApp, merchant: MerchantClient, body: bytes, status: int) -> str:
    """Send the body to every route, and as a payment of a batch; its key must remain unused."""
    requests = [(PAYMENTS, body), (ACCOUNTS, body)]
    if status == 400:
        requests.append((BATCH, body))
    # To the payments of a batch, a key is no unknown member.
    if status == 400 and b'"idempotencyKey"' not in body:
        requests.append((BATCH, b'{"payments":[' + GOOD + b"," + body + b"]}"))
    code = ""
    for path, sent in requests:
        response = merchant.post(path, sent, Idempotency_Key="hostile")
        assert response.status_code == status, response.data
        code = error_code(response)
        assert web.effects == (0, 0, 0)
    assert merchant.pay(key="hostile").status_code == 202
    return code
