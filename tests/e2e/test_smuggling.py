"""Request smuggling: several requests on one connection. A payment request inside the body of
another request is never executed."""

import socket
import struct
from collections.abc import Iterator
from uuid import uuid4

import pytest

from processes import wait_until
from raw_http import BODY, CHUNKED, LAST, LENGTH, chunk, head, parse_responses, receive_all
from slow_clients import PAYMENTS, AttackedSystem

LIVE = b"GET /api/v1/health/live HTTP/1.1"
NOWHERE = b"GET /nowhere HTTP/1.1"
WRONG_KEY = b"Authorization: Bearer sk_test_" + b"0" * 48
JSON = b"Content-Type: application/json"
RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: close() discards unsent data and resets the connection."""


@pytest.fixture(autouse=True)
def _no_other_payment_is_created(attacked: AttackedSystem) -> Iterator[None]:
    yield
    assert attacked.has_only_accepted_payments()
    assert attacked.is_intact()


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
def test_unread_body_is_not_taken_for_a_request(
    attacked: AttackedSystem, line: bytes, headers: list[bytes], status: int, chunked: bool
) -> None:
    inner = attacked.smuggled_payment
    framing, body = (CHUNKED, chunk(inner) + LAST) if chunked else (sized(inner), inner)
    first = head(line, *headers, framing, keep=True) + body
    # The response to HEAD has a Content-Length and no body, so it cannot be parsed by length.
    if line.startswith(b"HEAD"):
        raw = attacked.wire.exchange(first + head(LIVE))
        assert raw.count(b"HTTP/1.1 200") == 2
        return
    responses = attacked.send(first + head(LIVE))
    assert [response.status for response in responses] == [status, 200]


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
def test_nothing_is_read_after_ambiguous_framing(
    attacked: AttackedSystem, line: bytes, headers: list[bytes]
) -> None:
    raw = head(line, *attacked.credentials, *headers, keep=True) + LAST + attacked.smuggled_payment
    for half_close in (True, False):
        response = attacked.send_one(raw, half_close=half_close)
        assert response.status == 400
        assert response.header("Connection") == "close"


@pytest.mark.parametrize(
    "broken", [b"zz\r\n", b"5\r\nhelloXX", b"0\r\nHost: x\r\n\r\n", b"0\r\n\n\r\n", b"5\nhello\r\n"]
)
@pytest.mark.parametrize("line", [LIVE, NOWHERE, PAYMENTS])
def test_nothing_is_read_or_answered_after_a_malformed_body(
    attacked: AttackedSystem, line: bytes, broken: bytes
) -> None:
    """Whether the application reads that body or not."""
    raw = head(line, *attacked.credentials, CHUNKED, keep=True) + broken + attacked.smuggled_payment
    assert len(attacked.send(raw)) == 1


def test_nothing_is_read_after_a_body_over_the_limit(attacked: AttackedSystem) -> None:
    inner = attacked.smuggled_payment * (100_000 // len(attacked.smuggled_payment))
    raw = head(PAYMENTS, *attacked.credentials, sized(inner), keep=True) + inner
    assert attacked.send_one(raw, half_close=False).status == 413


@pytest.mark.parametrize("target", [b"localhost:5432", b"/api/v1/payments"])
def test_nothing_is_read_after_connect(attacked: AttackedSystem, target: bytes) -> None:
    raw = (
        head(b"CONNECT " + target + b" HTTP/1.1", *attacked.credentials, keep=True)
        + attacked.smuggled_payment
    )
    assert attacked.send_one(raw).status in (404, 405)


def test_nothing_is_read_after_connection_close(attacked: AttackedSystem) -> None:
    assert len(attacked.send(head(LIVE) + attacked.smuggled_payment)) == 1
    http_1_0 = head(LIVE.replace(b"1.1", b"1.0"), keep=True)
    assert len(attacked.send(http_1_0 + attacked.smuggled_payment)) == 1


def test_pipelined_payments_are_answered_in_order(attacked: AttackedSystem) -> None:
    ids = [b"X-Request-Id: r-%d" % number for number in range(5)]
    pipelined = b"".join(
        attacked.payment(LENGTH, id, body=BODY, keep=True)
        + attacked.payment(CHUNKED, id + b"-chunked", body=chunk(BODY) + LAST, keep=True)
        for id in ids
    )
    responses = attacked.send(pipelined + head(LIVE))
    assert [response.status for response in responses] == [202] * 10 + [200]
    request_ids = [response.header("X-Request-Id") for response in responses[:-1:2]]
    assert request_ids == [id.split(b" ")[1].decode() for id in ids]


def test_thousand_pipelined_requests_get_a_thousand_responses(attacked: AttackedSystem) -> None:
    request = head(LIVE, keep=True)
    assert len(attacked.send(request * 999 + head(LIVE))) == 1_000


def test_request_may_arrive_byte_by_byte(attacked: AttackedSystem) -> None:
    raw = attacked.payment(LENGTH, body=BODY, keep=True) * 2
    with attacked.wire.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(raw)):
            connection.sendall(raw[place : place + 1])
        connection.shutdown(socket.SHUT_WR)
        responses = attacked.check_responses(parse_responses(receive_all(connection)))
    assert [response.status for response in responses] == [202, 202]


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_expect_continue_is_answered_once(attacked: AttackedSystem, version: bytes) -> None:
    raw = attacked.payment(LENGTH, b"Expect: 100-Continue", keep=True).replace(b"1.1", version, 1)
    with attacked.wire.connect() as connection:
        connection.sendall(raw)
        if version == b"1.1":
            assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        connection.shutdown(socket.SHUT_WR)
        (response,) = attacked.check_responses(parse_responses(receive_all(connection)))
    assert response.status == 202


@pytest.mark.parametrize("cut", [0.05, 0.5, 0.8, 0.95, 0.99])
def test_incomplete_request_is_400(attacked: AttackedSystem, cut: float) -> None:
    raw = attacked.payment(LENGTH, body=BODY)
    half = raw[: int(len(raw) * cut)]
    for response in attacked.send(half):
        assert (response.status, response.code) == (400, "malformed_request")
    with attacked.wire.connect() as connection:
        connection.sendall(half)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def test_client_that_resets_before_the_response_has_paid_once(attacked: AttackedSystem) -> None:
    key = b"Idempotency-Key: " + uuid4().hex.encode()
    raw = attacked.payment(LENGTH, key, body=BODY)
    for _ in range(5):
        with attacked.wire.connect() as connection:
            connection.sendall(raw)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    first, replay = attacked.send_one(raw), attacked.send_one(raw)
    assert first.body == replay.body
    assert replay.header("Idempotent-Replayed") == "true"


def test_ledger_verifies(attacked: AttackedSystem) -> None:
    wait_until(attacked.is_settled, 60, "all payments are settled")
    assert len(attacked.accepted_payment_ids) >= 15
    assert attacked.system.is_ledger_clean()
