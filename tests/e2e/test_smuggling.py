"""One connection, several requests: where one ends and the next begins, nobody else may say. A
payment that stands inside another request's body is never made."""

import socket
import struct
from collections.abc import Iterator
from uuid import uuid4

import pytest

from processes import eventually
from raw_http import BODY, CHUNKED, LAST, LENGTH, answers_in, chunk, head, received
from slow_clients import PAYMENTS, Siege

LIVE = b"GET /api/v1/health/live HTTP/1.1"
NOWHERE = b"GET /nowhere HTTP/1.1"
WRONG_KEY = b"Authorization: Bearer sk_test_" + b"0" * 48
JSON = b"Content-Type: application/json"
RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing throws away what was not sent, and says so with a reset."""


@pytest.fixture(autouse=True)
def _nothing_comes_of_it(siege: Siege) -> Iterator[None]:
    yield
    assert siege.has_taken_nothing_else()
    assert siege.stands()


def sized(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        pytest.param(LIVE, [], 200, id="GET"),
        pytest.param(LIVE.replace(b"GET", b"HEAD"), [], 200, id="HEAD"),
        pytest.param(LIVE.replace(b"GET", b"OPTIONS"), [], 200, id="OPTIONS"),
        pytest.param(LIVE.replace(b"GET", b"DELETE"), [], 405, id="DELETE"),
        pytest.param(LIVE.replace(b"GET", b"TRACE"), [], 405, id="TRACE"),
        pytest.param(NOWHERE, [], 404, id="404"),
        pytest.param(PAYMENTS, [], 401, id="no key"),
        pytest.param(PAYMENTS, [WRONG_KEY, JSON], 401, id="wrong key"),
        pytest.param(PAYMENTS, [WRONG_KEY, JSON, b"Expect: 100-continue"], 401, id="100-continue"),
        pytest.param(LIVE, [b"Upgrade: h2c", b"Connection: Upgrade"], 200, id="upgrade"),
        pytest.param(LIVE, [b"Upgrade: websocket", b"Connection: Upgrade"], 400, id="websocket"),
        pytest.param(LIVE, [b"X-HTTP-Method-Override: POST"], 200, id="method override"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_nobody_wants_is_no_request(
    siege: Siege, line: bytes, headers: list[bytes], status: int, chunked: bool
) -> None:
    inner = siege.smuggled
    framing, body = (CHUNKED, chunk(inner) + LAST) if chunked else (sized(inner), inner)
    first = head(line, *headers, framing, keep=True) + body
    # HEAD's answer has a length and no body, which is all the same to who looks for the next.
    if line.startswith(b"HEAD"):
        raw = siege.wire.exchange(first + head(LIVE))
        assert raw.count(b"HTTP/1.1 200") == 2
        return
    answers = siege.send(first + head(LIVE))
    assert [answer.status for answer in answers] == [status, 200]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([b"Content-Length: 5", CHUNKED], id="CL.TE"),
        pytest.param([CHUNKED, b"Content-Length: 5"], id="TE.CL"),
        pytest.param([CHUNKED, b"Transfer-Encoding: identity"], id="TE.TE"),
        pytest.param([CHUNKED, b"Transfer-encoding: x"], id="TE.TE unknown"),
        pytest.param([b"Content-Length: 0", b"Content-Length: 5"], id="CL.CL"),
        pytest.param([b"Content-Length: 0\r", b"X: y"], id="bare CR"),
        pytest.param([b"X: y\nContent-Length: 5"], id="bare LF"),
        pytest.param([b"Content-Length: 5", b" 0"], id="folded length"),
        pytest.param([b"X: y\r\n\rContent-Length: 5"], id="CR before a name"),
    ],
)
@pytest.mark.parametrize("line", [LIVE, PAYMENTS])
def test_after_a_framing_in_doubt_nothing_more_is_read(
    siege: Siege, line: bytes, headers: list[bytes]
) -> None:
    raw = head(line, *siege.known, *headers, keep=True) + LAST + siege.smuggled
    for half_close in (True, False):
        answer = siege.one(raw, half_close=half_close)
        assert answer.status == 400
        assert answer.header("Connection") == "close"


@pytest.mark.parametrize(
    "broken", [b"zz\r\n", b"5\r\nhelloXX", b"0\r\nHost: x\r\n\r\n", b"0\r\n\n\r\n", b"5\nhello\r\n"]
)
@pytest.mark.parametrize("line", [LIVE, NOWHERE, PAYMENTS])
def test_after_a_broken_body_nothing_more_is_read_or_said(
    siege: Siege, line: bytes, broken: bytes
) -> None:
    """Whether the application had wanted that body or not."""
    raw = head(line, *siege.known, CHUNKED, keep=True) + broken + siege.smuggled
    assert len(siege.send(raw)) == 1


def test_after_a_body_too_large_to_read_past_nothing_more_is_read(siege: Siege) -> None:
    inner = siege.smuggled * (100_000 // len(siege.smuggled))
    raw = head(PAYMENTS, *siege.known, sized(inner), keep=True) + inner
    assert siege.one(raw, half_close=False).status == 413


@pytest.mark.parametrize("target", [b"localhost:5432", b"/api/v1/payments"])
def test_after_connect_nothing_more_is_read(siege: Siege, target: bytes) -> None:
    raw = head(b"CONNECT " + target + b" HTTP/1.1", *siege.known, keep=True) + siege.smuggled
    assert siege.one(raw).status in (404, 405)


def test_what_follows_connection_close_is_not_read(siege: Siege) -> None:
    assert len(siege.send(head(LIVE) + siege.smuggled)) == 1
    http_1_0 = head(LIVE.replace(b"1.1", b"1.0"), keep=True)
    assert len(siege.send(http_1_0 + siege.smuggled)) == 1


def test_pipelined_payments_are_answered_in_their_order(siege: Siege) -> None:
    ids = [b"X-Request-Id: r-%d" % number for number in range(5)]
    one_after_another = b"".join(
        siege.payment(LENGTH, id, body=BODY, keep=True)
        + siege.payment(CHUNKED, id + b"-chunked", body=chunk(BODY) + LAST, keep=True)
        for id in ids
    )
    answers = siege.send(one_after_another + head(LIVE))
    assert [answer.status for answer in answers] == [202] * 10 + [200]
    told = [answer.header("X-Request-Id") for answer in answers[:-1:2]]
    assert told == [id.split(b" ")[1].decode() for id in ids]


def test_a_thousand_pipelined_requests_are_a_thousand_answers(siege: Siege) -> None:
    ask = head(LIVE, keep=True)
    assert len(siege.send(ask * 999 + head(LIVE))) == 1_000


def test_a_request_may_come_byte_by_byte_and_right_before_the_next(siege: Siege) -> None:
    raw = siege.payment(LENGTH, body=BODY, keep=True) * 2
    with siege.wire.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(raw)):
            connection.sendall(raw[place : place + 1])
        connection.shutdown(socket.SHUT_WR)
        answers = siege.counted(answers_in(received(connection)))
    assert [answer.status for answer in answers] == [202, 202]


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_who_waits_to_be_told_to_continue_is_told_so_once(siege: Siege, version: bytes) -> None:
    raw = siege.payment(LENGTH, b"Expect: 100-Continue", keep=True).replace(b"1.1", version, 1)
    with siege.wire.connect() as connection:
        connection.sendall(raw)
        if version == b"1.1":
            assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        connection.shutdown(socket.SHUT_WR)
        (answer,) = siege.counted(answers_in(received(connection)))
    assert answer.status == 202


@pytest.mark.parametrize("cut", [0.05, 0.5, 0.8, 0.95, 0.99])
def test_half_a_request_is_none(siege: Siege, cut: float) -> None:
    raw = siege.payment(LENGTH, body=BODY)
    half = raw[: int(len(raw) * cut)]
    for answer in siege.send(half):
        assert (answer.status, answer.code) == (400, "malformed_request")
    with siege.wire.connect() as connection:
        connection.sendall(half)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def test_who_hangs_up_without_listening_has_paid_once(siege: Siege) -> None:
    key = b"Idempotency-Key: " + uuid4().hex.encode()
    raw = siege.payment(LENGTH, key, body=BODY)
    for _ in range(5):
        with siege.wire.connect() as connection:
            connection.sendall(raw)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    first, again = siege.one(raw), siege.one(raw)
    assert first.body == again.body
    assert again.header("Idempotent-Replayed") == "true"


def test_the_books_are_clean(siege: Siege) -> None:
    eventually(siege.is_settled, 5, "all is settled")
    assert len(siege.taken) >= 15
    assert siege.system.books_are_clean()
