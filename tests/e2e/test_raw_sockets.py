"""Malformed HTTP, sent as raw bytes to the real system. No response is a 5xx, and the only payments
created are those that were answered 202."""

import json
import random
from collections.abc import Iterator

import pytest

from processes import wait_until
from raw_http import BODY, CHUNKED, LAST, LENGTH, chunk, head
from slow_clients import PAYMENTS, AttackedSystem, assert_refused

LIVE = b"GET /api/v1/health/live HTTP/1.1"
RANDOM = random.Random(22)
GARBAGE = [bytes(RANDOM.randrange(256) for _ in range(300)) + b"\r\n\r\n" for _ in range(5)]


@pytest.fixture(autouse=True)
def _no_other_payment_is_created(attacked: AttackedSystem) -> Iterator[None]:
    yield
    assert attacked.has_only_accepted_payments()


@pytest.mark.parametrize(
    "header",
    [
        *(b"X: a\x00b", b"X : a", b"X\t: a", b"X: a\r\n folded", b"X: a\r\n\tfolded", b"X: a\rb"),
        *(
            b"X: a\nY: b",
            b": a",
            b"X",
            b"\xe9: a",
            b"X\x00: a",
            b"X(y): a",
            b"X: \x1b[31m",
            b"X: \x7f",
        ),
        *(b"Host: other", b"Content-Type: text/plain", b"Expect: 200-ok"),
    ],
)
def test_malformed_header_is_400(attacked: AttackedSystem, header: bytes) -> None:
    assert_refused(
        attacked.send_one(attacked.payment(LENGTH, header, body=BODY)), 400, "malformed_request"
    )


def test_missing_host_is_400_in_http_1_1(attacked: AttackedSystem) -> None:
    raw = attacked.payment(LENGTH, body=BODY).replace(b"Host: localhost\r\n", b"")
    assert_refused(attacked.send_one(raw), 400, "malformed_request")
    assert attacked.send_one(raw.replace(b"HTTP/1.1", b"HTTP/1.0")).status == 202


def test_bare_line_feed_is_400(attacked: AttackedSystem) -> None:
    good = attacked.payment(LENGTH)
    for raw in (
        good.replace(b"\r\n", b"\n"),
        good.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"),
        good.replace(b"\r\n\r\n", b"\n\n"),
        good.replace(b"\r\n\r\n", b"\r\n\n"),
        b"\n" + good,
    ):
        assert_refused(attacked.send_one(raw + BODY), 400, "malformed_request")


@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /api/v1/health", b"GET  /api/v1/health HTTP/1.1", b"GET /a b HTTP/1.1", b"GET"),
        *(b"get /api/v1/health HTTP/1.1", b"G\x00T / HTTP/1.1", b"G / HTTP/1.1", b"GET / http/1.1"),
        *(b"GET\t/\tHTTP/1.1", b"GET / HTTP/9.9", b"GET / HTTP/2.0", b"GET / HTTP/0.9", b" "),
        *(b"GET / HTTP/1.10", b"GET /\xe9 HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET * HTTP/1.1"),
        *(b"GET health HTTP/1.1", b"GET localhost:3000 HTTP/1.1", b"GET http://[x HTTP/1.1"),
        *(b"PRI * HTTP/2.0", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2", b"SSH-2.0-x", b"HELO x", b"*1"),
        *(b"HTTP/1.1 200 OK", b"X" * 21 + b" / HTTP/1.1"),
    ],
)
def test_malformed_request_line_is_400(attacked: AttackedSystem, line: bytes) -> None:
    assert_refused(attacked.send_one(head(line)), 400, "malformed_request")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\r\n\r\n\r\n",
        b"\x00" * 5_000,
        *GARBAGE,
    ],
)
def test_other_protocols_are_refused(attacked: AttackedSystem, raw: bytes) -> None:
    responses = attacked.send(raw)
    assert len(responses) == 1
    assert_refused(responses[0], responses[0].status, responses[0].code)
    assert responses[0].status in (400, 414)


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (head(LIVE, b"X: " + b"a" * 9_000), 431, "headers_too_large"),
        (head(LIVE, *[b"X: a"] * 105), 431, "headers_too_large"),
        (head(LIVE)[:-2] + b"X: " + b"a" * 860_000, 431, "headers_too_large"),
        (head(b"GET /" + b"a" * 5_000 + b" HTTP/1.1"), 414, "uri_too_long"),
        (head(b"GET /?" + b"a" * 5_000 + b" HTTP/1.1"), 414, "uri_too_long"),
        (b"G" * 60_000, 414, "uri_too_long"),
    ],
)
def test_oversized_head_is_refused(
    attacked: AttackedSystem, raw: bytes, status: int, code: str
) -> None:
    assert_refused(attacked.send_one(raw), status, code)
    assert_refused(attacked.send_one(raw, half_close=False), status, code)


def test_body_over_the_limit_is_413(attacked: AttackedSystem) -> None:
    large = b" " * 70_000
    for raw in (
        attacked.payment(b"Content-Length: 70000", body=large),
        attacked.payment(CHUNKED, body=chunk(large) + LAST),
    ):
        assert_refused(attacked.send_one(raw), 413, "payload_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        *([b"a", b"b"], [b"a", b"a"], [b'"a', b'b"'], [b'"a"', b'"b"'], [b"", b"a"], [b"a", b""]),
        *([b"", b""], [b'"', b'"'], [b'"a', b"b", b'c"'], [b"\xe9"], [b"\xd0\xba"], [b"a\tb"]),
        *([b""], [b'""'], [b"x" * 256], [b'"' + b"x" * 256 + b'"'], [b"a b"], [b'"a'], [b"a,b"]),
    ],
)
@pytest.mark.parametrize("path", [b"payments", b"payments/batch", b"accounts"])
def test_invalid_or_repeated_idempotency_key_is_400(
    attacked: AttackedSystem, path: bytes, headers: list[bytes]
) -> None:
    body = {
        b"payments": BODY,
        b"payments/batch": b'{"payments":[' + BODY + b"]}",
        b"accounts": b'{"name":"Sales","currency":"USD"}',
    }[path]
    keys = [b"Idempotency-Key: " + header for header in headers]
    response = attacked.send_one(attacked.post(path, body, *keys))
    assert (response.status, response.code) == (400, "validation_failed")
    assert list(response.json["error"]["details"]) == ["Idempotency-Key"]


@pytest.mark.parametrize("key", [b"a\x00b", b"a\x01b", b"a\x7f"])
def test_idempotency_key_with_control_characters_is_400(
    attacked: AttackedSystem, key: bytes
) -> None:
    raw = attacked.payment(LENGTH, b"Idempotency-Key: " + key, body=BODY)
    assert_refused(attacked.send_one(raw), 400, "malformed_request")


def test_quoted_idempotency_key_may_contain_a_comma(attacked: AttackedSystem) -> None:
    raw = attacked.payment(LENGTH, b'idempotency-key:\t"a,b" ', b"Idempotency_Key: c", body=BODY)
    assert attacked.send_one(raw).json["data"]["idempotencyKey"] == "a,b"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /api/v1/payments/%00 HTTP/1.1", 400),
        (b"GET /api/v1/payments/%2e%2e/health HTTP/1.1", 404),
        (b"GET /api/v1/payments/" + b"9" * 3_900 + b" HTTP/1.1", 400),
        (b"GET /api/v1/payments/x%0d%0aX-Injected:%20y HTTP/1.1", 400),
        (b"GET /%00 HTTP/1.1", 404),
        (b"GET http://evil.example/api/v1/nowhere HTTP/1.1", 404),
        (b"GET http://evil.example HTTP/1.1", 404),
        (b"GET file:///api/v1/health/live HTTP/1.1", 200),
        (b"GET https://user:pw@evil.example/api/v1/health/live#x HTTP/1.1", 200),
        (b"GET //evil.example/api/v1/health/live HTTP/1.1", 404),
        (b"OPTIONS * HTTP/1.1", 404),
        (b"CONNECT localhost:5432 HTTP/1.1", 404),
        (b"TRACE /api/v1/health HTTP/1.1", 405),
    ],
)
def test_unusual_request_targets(attacked: AttackedSystem, line: bytes, status: int) -> None:
    response = attacked.send_one(head(line, *attacked.credentials))
    assert response.status == status
    assert "X-Injected" not in response.names


def test_absolute_target_gives_a_relative_location(attacked: AttackedSystem) -> None:
    line = PAYMENTS.replace(b" /", b" http://evil.example/")
    response = attacked.send_one(head(line, *attacked.credentials, LENGTH) + BODY)
    assert response.status == 202
    assert response.header("Location").startswith("/api/v1/payments/")


@pytest.mark.parametrize(
    "id", ['{"event":"forged"}', '","event":"forged', "\\n{}", "\\u000a{}", "%0a{}", "'$(id)`id`"]
)
def test_request_id_cannot_forge_a_log_line(attacked: AttackedSystem, id: str) -> None:
    response = attacked.send_one(head(LIVE, b"X-Request-Id: " + id.encode()))
    assert response.header("X-Request-Id") == id
    lines = [json.loads(line) for line in attacked.system.read_log().splitlines()]
    assert [line["event"] for line in lines if line.get("request_id") == id] == ["request"]


def test_every_wrong_key_gets_the_same_401(attacked: AttackedSystem) -> None:
    wrong = (b"Authorization: Bearer sk_test_%048d" % number for number in range(249))
    raw = b"".join(head(PAYMENTS, key, LENGTH, keep=True) + BODY for key in wrong)
    responses = attacked.send(raw + head(PAYMENTS, LENGTH) + BODY)
    assert [(response.status, response.code) for response in responses] == [
        *[(401, "unauthorized")] * 249,
        (401, "api_key_missing"),
    ]
    assert {response.header("WWW-Authenticate") for response in responses} == {"Bearer"}


def test_ledger_verifies_and_no_process_failed(attacked: AttackedSystem) -> None:
    wait_until(attacked.is_settled, 60, "all payments are settled")
    assert len(attacked.accepted_payment_ids) >= 2
    assert attacked.system.is_ledger_clean()
    assert attacked.is_intact()
