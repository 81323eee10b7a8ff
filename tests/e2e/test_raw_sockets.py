"""abuse.md, as far as HTTP itself goes, byte by byte against the real system. None is a 5xx, and
all together they leave exactly the payments that were answered 202."""

import json
import random
from collections.abc import Iterator

import pytest

from processes import eventually
from raw_http import BODY, CHUNKED, LAST, LENGTH, chunk, head
from slow_clients import PAYMENTS, Siege, refused

LIVE = b"GET /api/v1/health/live HTTP/1.1"
RANDOM = random.Random(22)
GARBAGE = [bytes(RANDOM.randrange(256) for _ in range(300)) + b"\r\n\r\n" for _ in range(5)]


@pytest.fixture(autouse=True)
def _nothing_comes_of_it(siege: Siege) -> Iterator[None]:
    yield
    assert siege.has_taken_nothing_else()


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
def test_a_header_that_is_none(siege: Siege, header: bytes) -> None:
    refused(siege.one(siege.payment(LENGTH, header, body=BODY)), 400, "malformed_request")


def test_who_names_no_host(siege: Siege) -> None:
    raw = siege.payment(LENGTH, body=BODY).replace(b"Host: localhost\r\n", b"")
    refused(siege.one(raw), 400, "malformed_request")
    assert siege.one(raw.replace(b"HTTP/1.1", b"HTTP/1.0")).status == 202


def test_lines_that_end_in_a_bare_line_feed(siege: Siege) -> None:
    good = siege.payment(LENGTH)
    for raw in (
        good.replace(b"\r\n", b"\n"),
        good.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"),
        good.replace(b"\r\n\r\n", b"\n\n"),
        good.replace(b"\r\n\r\n", b"\r\n\n"),
        b"\n" + good,
    ):
        refused(siege.one(raw + BODY), 400, "malformed_request")


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
def test_a_request_line_that_is_none(siege: Siege, line: bytes) -> None:
    refused(siege.one(head(line)), 400, "malformed_request")


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
def test_what_is_not_http_at_all(siege: Siege, raw: bytes) -> None:
    answers = siege.send(raw)
    assert len(answers) == 1
    refused(answers[0], answers[0].status, answers[0].code)
    assert answers[0].status in (400, 414)


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
def test_what_is_too_much(siege: Siege, raw: bytes, status: int, code: str) -> None:
    refused(siege.one(raw), status, code)
    refused(siege.one(raw, half_close=False), status, code)


def test_a_body_over_the_limit(siege: Siege) -> None:
    large = b" " * 70_000
    for raw in (
        siege.payment(b"Content-Length: 70000", body=large),
        siege.payment(CHUNKED, body=chunk(large) + LAST),
    ):
        refused(siege.one(raw), 413, "payload_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        *([b"a", b"b"], [b"a", b"a"], [b'"a', b'b"'], [b'"a"', b'"b"'], [b"", b"a"], [b"a", b""]),
        *([b"", b""], [b'"', b'"'], [b'"a', b"b", b'c"'], [b"\xe9"], [b"\xd0\xba"], [b"a\tb"]),
        *([b""], [b'""'], [b"x" * 256], [b'"' + b"x" * 256 + b'"'], [b"a b"], [b'"a'], [b"a,b"]),
    ],
)
@pytest.mark.parametrize("path", [b"payments", b"payments/batch", b"accounts"])
def test_a_key_that_is_none_or_two(siege: Siege, path: bytes, headers: list[bytes]) -> None:
    body = {
        b"payments": BODY,
        b"payments/batch": b'{"payments":[' + BODY + b"]}",
        b"accounts": b'{"name":"Sales","currency":"USD"}',
    }[path]
    keys = [b"Idempotency-Key: " + header for header in headers]
    answer = siege.one(siege.post(path, body, *keys))
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert list(answer.json["error"]["details"]) == ["Idempotency-Key"]


@pytest.mark.parametrize("key", [b"a\x00b", b"a\x01b", b"a\x7f"])
def test_a_key_with_control_characters_is_no_header(siege: Siege, key: bytes) -> None:
    raw = siege.payment(LENGTH, b"Idempotency-Key: " + key, body=BODY)
    refused(siege.one(raw), 400, "malformed_request")


def test_one_quoted_key_may_hold_a_comma(siege: Siege) -> None:
    raw = siege.payment(LENGTH, b'idempotency-key:\t"a,b" ', b"Idempotency_Key: c", body=BODY)
    assert siege.one(raw).json["data"]["idempotencyKey"] == "a,b"


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
def test_a_target_of_another_form(siege: Siege, line: bytes, status: int) -> None:
    answer = siege.one(head(line, *siege.known))
    assert answer.status == status
    assert "X-Injected" not in answer.names


def test_an_absolute_target_makes_no_absolute_location(siege: Siege) -> None:
    line = PAYMENTS.replace(b" /", b" http://evil.example/")
    answer = siege.one(head(line, *siege.known, LENGTH) + BODY)
    assert answer.status == 202
    assert answer.header("Location").startswith("/api/v1/payments/")


@pytest.mark.parametrize(
    "id", ['{"event":"forged"}', '","event":"forged', "\\n{}", "\\u000a{}", "%0a{}", "'$(id)`id`"]
)
def test_no_request_id_forges_a_line_of_the_log(siege: Siege, id: str) -> None:
    answer = siege.one(head(LIVE, b"X-Request-Id: " + id.encode()))
    assert answer.header("X-Request-Id") == id
    lines = [json.loads(line) for line in siege.system.words().splitlines()]
    assert [line["event"] for line in lines if line.get("request_id") == id] == ["request"]


def test_every_wrong_key_is_refused_alike(siege: Siege) -> None:
    wrong = (b"Authorization: Bearer sk_test_%048d" % number for number in range(249))
    raw = b"".join(head(PAYMENTS, key, LENGTH, keep=True) + BODY for key in wrong)
    answers = siege.send(raw + head(PAYMENTS, LENGTH) + BODY)
    assert [(answer.status, answer.code) for answer in answers] == [(401, "unauthorized")] * 250
    assert {answer.header("WWW-Authenticate") for answer in answers} == {"Bearer"}


def test_the_books_are_clean_and_nothing_broke(siege: Siege) -> None:
    eventually(siege.is_settled, 5, "all is settled")
    assert len(siege.taken) >= 2
    assert siege.system.books_are_clean()
    assert siege.stands()
