"""Content-Length, chunked bodies and hostile texts, sent as raw bytes to the real system. No
response is a 5xx, and the only payments created are those that were answered 202."""

import json
from collections.abc import Iterator

import pytest

from processes import wait_until
from raw_http import BODY, CHUNKED, LAST, LENGTH, chunk, head
from slow_clients import AttackedSystem, assert_refused

WHOLE = chunk(BODY) + LAST


@pytest.fixture(autouse=True)
def _no_other_payment_is_created(attacked: AttackedSystem) -> Iterator[None]:
    yield
    assert attacked.has_only_accepted_payments()


@pytest.mark.parametrize(
    "length",
    [
        *(b"-1", b"+49", b"5,5", b"49, 49", b"5_0", b"0x31", b"", b"4 9", b"1e3", b"49.0"),
        *(b"\xb2", b"\xef\xbc\x95", b"9" * 5_000, b'"49"', b"49;", b"\x0b49", b"NaN"),
    ],
)
def test_invalid_content_length_is_400(attacked: AttackedSystem, length: bytes) -> None:
    assert_refused(
        attacked.send_one(attacked.payment(b"Content-Length: " + length, body=BODY)),
        400,
        "malformed_request",
    )


def test_huge_content_length_is_413_before_the_body_arrives(attacked: AttackedSystem) -> None:
    for digits in (5, 19, 20, 4_000):
        length = b"Content-Length: " + b"9" * digits
        assert attacked.send_one(attacked.payment(length, body=BODY)).code == "payload_too_large"


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param([LENGTH, CHUNKED], id="length and chunked"),
        pytest.param([CHUNKED, LENGTH], id="chunked and length"),
        pytest.param([b"Content-Length: 0", CHUNKED], id="no length and chunked"),
        pytest.param([LENGTH, b"Content-Length: 5"], id="two lengths"),
        pytest.param([LENGTH, LENGTH], id="the same length twice"),
        *(
            pytest.param([b"Transfer-Encoding:" + coding], id=coding.decode("latin-1"))
            for coding in (
                *(b" identity", b" gzip", b" xchunked", b" chunked, chunked", b" chunked, gzip"),
                *(b" x, chunked", b" chunked;q=1", b' "chunked"', b"", b" \x0bchunked", b" chun"),
                *(
                    b" chunked, identity",
                    b" identity, chunked",
                    b" gzip, chunked",
                    b" chunked\x00",
                    b" CHUNKED, x",
                    b" chunked\xa0",
                ),
            )
        ),
        pytest.param([CHUNKED, CHUNKED], id="chunked twice"),
        pytest.param([b"Transfer-Encoding : chunked"], id="space before colon"),
        pytest.param([b"Transfer-Encoding", b" : chunked"], id="folded name"),
        pytest.param([b"Transfer-Encoding:", b" chunked"], id="folded"),
        pytest.param([b" Transfer-Encoding: chunked"], id="space before name"),
    ],
)
@pytest.mark.parametrize("half_close", [True, False])
def test_ambiguous_framing_is_400(
    attacked: AttackedSystem, framing: list[bytes], half_close: bool
) -> None:
    response = attacked.send_one(attacked.payment(*framing, body=WHOLE), half_close=half_close)
    assert_refused(response, 400, "malformed_request")


def test_chunked_body_in_http_1_0_is_400(attacked: AttackedSystem) -> None:
    raw = attacked.payment(CHUNKED, body=WHOLE).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert_refused(attacked.send_one(raw), 400, "malformed_request")


@pytest.mark.parametrize("coding", [b"Chunked", b"\tCHUNKED "])
def test_chunked_coding_is_case_insensitive(attacked: AttackedSystem, coding: bytes) -> None:
    assert (
        attacked.send_one(attacked.payment(b"Transfer-Encoding: " + coding, body=WHOLE)).status
        == 202
    )


@pytest.mark.parametrize(
    "body",
    [
        *(size + b"\r\n" + BODY + b"\r\n" + LAST for size in (b"zz", b"-31", b"+31", b"0x31")),
        *(size + b"\r\n" + BODY + b"\r\n" + LAST for size in (b"", b" 31", b"31 ", b"3_1", b"3g")),
        *(
            size + b"\r\n" + BODY + b"\r\n" + LAST
            for size in (b"\xef\xbc\x93", b"31\x00", b"f" * 17)
        ),
        *(size + b"\r\n" + BODY + b"\r\n" + LAST for size in (b"30", b"32", b"0" * 99_000 + b"31")),
        b"31\n" + BODY + b"\r\n" + LAST,
        b"31\r\n" + BODY + b"\n" + LAST,
        b"31\r\n" + BODY + LAST,
        b"31\r\n" + BODY + b"XX" + LAST,
        *(
            b"31" + tail + b"\r\n" + BODY + b"\r\n" + LAST
            for tail in (b";a\n=b", b";a\rb", b";\x00")
        ),
        *(
            b"31" + tail + b"\r\n" + BODY + b"\r\n" + LAST
            for tail in (b";", b';a="', b"; ;", b";a b")
        ),
        b"31;" + b"a" * 99_000 + b"\r\n" + BODY + b"\r\n" + LAST,
        chunk(BODY),
        chunk(BODY) + b"0\r\n",
        chunk(BODY)[:-9],
        chunk(BODY) + b"0\r\nX: y\r\n",
        chunk(BODY) + b"0\r\nX: y\n\r\n",
        chunk(BODY) + b"0\r\nX y\r\n\r\n",
        chunk(BODY) + b"0\r\nX: \x00\r\n\r\n",
        chunk(BODY) + b"0\r\n" + b"X: y\r\n" * 105 + b"\r\n",
        *(
            chunk(BODY) + b"0\r\n" + trailer + b": 5\r\n\r\n"
            for trailer in (b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization")
        ),
        b"",
    ],
)
def test_malformed_chunk_is_400(attacked: AttackedSystem, body: bytes) -> None:
    assert_refused(
        attacked.send_one(attacked.payment(CHUNKED, body=body)), 400, "malformed_request"
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b"31" + extension + b"\r\n" + BODY + b"\r\n" + LAST for extension in (b";a", b";a=b ;c")),
        b'31;a="b;\\"c"\r\n' + BODY + b"\r\n" + LAST,
        b"0000031\r\n" + BODY + b"\r\n00000\r\n\r\n",
        chunk(BODY) + b"0\r\nIdempotency-Key: trailing\r\nX-Request-Id: trailing\r\n\r\n",
        b"".join(chunk(bytes([byte])) for byte in BODY) + LAST,
    ],
)
def test_chunk_extensions_and_trailers_are_ignored(attacked: AttackedSystem, body: bytes) -> None:
    response = attacked.send_one(attacked.payment(CHUNKED, body=body))
    assert response.status == 202
    assert response.json["data"]["idempotencyKey"] is None
    assert response.header("X-Request-Id") != "trailing"


TEXTS = [
    *(b"\\u0000", b"\\ud800", b"\\udc00\\ud800", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\n"),
    *(
        b'","currency":"USD',
        b'","x":' + b"[" * 8_000,
        b'","x":' + b'{"a":' * 6_000,
        b'","x":NaN,"y":"',
    ),
    *(
        b'","x":1e400,"y":"',
        b'","x":' + b"9" * 5_000 + b',"y":"',
        b'","amount":18446744073709551616,"y":"',
    ),
]
BODIES = {
    b"payments": b'{"amount":1,"currency":"USD","source":"tok_visa","description":"%s"}',
    b"payments/batch": b'{"payments":[{"amount":1,"currency":"USD","source":"tok_visa"},'
    b'{"amount":1,"currency":"USD","source":"tok_visa","description":"%s"}]}',
    b"accounts": b'{"name":"%s","currency":"USD"}',
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("path", list(BODIES))
def test_text_that_cannot_be_stored_is_400(
    attacked: AttackedSystem, path: bytes, text: bytes
) -> None:
    body = BODIES[path] % text
    for sent in (body, body.decode("latin-1").encode("utf-16")):
        assert attacked.send_one(attacked.post(path, sent)).status == 400


@pytest.mark.parametrize(
    "text",
    [
        *(
            "\u202e\u2028\u2029\ufeff",
            "e\u0301\u0323",
            "👩\u200d👩\u200d👧",
            "\uffff\U0010ffff",
            "🍏" * 500,
        ),
        *(
            "'; DROP TABLE payments; --",
            "%s %(id)s {0} ${x} $1",
            "\x01\x1b[31m\x7f\r\n\t",
            "\\",
            "NULL",
        ),
    ],
)
def test_other_text_is_stored_unchanged(attacked: AttackedSystem, text: str) -> None:
    quoted = json.dumps(text)[1:-1].encode()
    for raw in (quoted, json.dumps(text, ensure_ascii=False)[1:-1].encode()):
        created = attacked.send_one(attacked.post(b"payments", BODIES[b"payments"] % raw)).json[
            "data"
        ]
        line = b"GET /api/v1/payments/" + created["id"].encode() + b" HTTP/1.1"
        read = attacked.send_one(head(line, *attacked.credentials)).json["data"]["payment"]
        assert (created["description"], read["description"]) == (text, text)


def test_ledger_verifies_and_no_process_failed(attacked: AttackedSystem) -> None:
    wait_until(attacked.is_settled, 60, "all payments are settled")
    assert len(attacked.accepted_payment_ids) >= 8
    assert attacked.system.is_ledger_clean()
    assert attacked.is_intact()
