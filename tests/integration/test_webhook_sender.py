"""Webhooks to receivers on real sockets. Independent libraries verify what arrives."""

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import standardwebhooks
import svix.webhooks

from atomic_adapters.webhooks import dialer
from atomic_adapters.webhooks.connections import MAX_IDLE_PER_RECEIVER
from atomic_adapters.webhooks.exchange import MAX_BYTES
from atomic_adapters.webhooks.http_sender import HttpWebhookSender
from atomic_adapters.webhooks.signature import generate_secret
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from webhook_receivers import (
    HANG_SECONDS,
    OK,
    Flood,
    Handler,
    Received,
    Receiver,
    answer,
    drip,
    hang,
    send_and_close,
)

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

SHORT = timedelta(seconds=0.5)
"""For receivers that would answer after HANG_SECONDS or not at all."""

SECRET = generate_secret()

SENDERS: list[HttpWebhookSender] = []
"""Of the running test."""


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    """Starts receivers, which end with the test."""
    with ExitStack() as stack:

        def start(handle: Handler, **options: Any) -> Receiver:
            return stack.enter_context(Receiver(handle, **options).run())

        yield start


@pytest.fixture(autouse=True)
def closed_senders() -> Iterator[None]:
    yield
    while SENDERS:
        SENDERS.pop().close()


def build_sender(**options: Any) -> HttpWebhookSender:
    """Its time-out is long: only a receiver that does not answer waits for it."""
    sender = HttpWebhookSender(
        **{"allowed_networks": LOOPBACK, "timeout": timedelta(seconds=HANG_SECONDS), **options}
    )
    SENDERS.append(sender)
    return sender


def build_request(url: str, secrets: Sequence[str] = (SECRET,), **values: Any) -> WebhookRequest:
    event = {"id": str(uuid4()), "type": "payment.succeeded", "data": {"name": "Bücher ✓"}}
    defaults = {
        "id": event["id"],
        "body": json.dumps(event, ensure_ascii=False).encode(),
        "timestamp": int(time.time()),
    }
    return WebhookRequest(url=url, secrets=tuple(secrets), **{**defaults, **values})


def send(receiver: Receiver, **options: Any) -> WebhookResult:
    return build_sender(**options).send(build_request(receiver.url))


# --- Signatures ---------------------------------------------------------------------------------

VERIFIERS = [standardwebhooks.Webhook, svix.webhooks.Webhook]
ERRORS = (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)


def receive_one(receiver: Receiver, **values: Any) -> Received:
    result = build_sender().send(build_request(receiver.url, **values))
    assert (result.status_code, result.error, result.response) == (200, None, "ok")
    return receiver.requests[-1]


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_independent_libraries_verify_a_webhook(
    receive: Callable[..., Receiver], verifier: Any
) -> None:
    received = receive_one(receive(answer(OK)))
    assert received.line == "POST /hook HTTP/1.1"
    assert received.headers["content-type"] == "application/json"
    verifier(SECRET).verify(received.body.decode(), received.headers)
    event = json.loads(received.body)
    assert event["id"] == received.headers["webhook-id"]
    assert event["data"] == {"name": "Bücher ✓"}


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_tampered_webhooks_are_refused(receive: Callable[..., Receiver], verifier: Any) -> None:
    headers, body = receive_one(receive(answer(OK)))[1:]
    text = body.decode()
    for tampered_body, tampered_headers in (
        (text.replace("succeeded", "failed"), headers),
        (text + "\n", headers),
        (json.dumps(json.loads(text)), headers),
        (text, headers | {"webhook-id": str(uuid4())}),
        (text, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
        (text, headers | {"webhook-signature": headers["webhook-signature"].swapcase()}),
    ):
        with pytest.raises(ERRORS):
            verifier(SECRET).verify(tampered_body, tampered_headers)


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("offset", [-3_600, 3_600])
def test_old_and_future_timestamps_are_refused(
    receive: Callable[..., Receiver], verifier: Any, offset: int
) -> None:
    received = receive_one(receive(answer(OK)), timestamp=int(time.time()) + offset)
    with pytest.raises(ERRORS, match=r"(?i)timestamp"):
        verifier(SECRET).verify(received.body.decode(), received.headers)


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_rotated_secrets_both_verify_and_no_other(
    receive: Callable[..., Receiver], verifier: Any
) -> None:
    new, old = generate_secret(), generate_secret()
    received = receive_one(receive(answer(OK)), secrets=(new, old))
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        verifier(secret).verify(received.body.decode(), received.headers)
    with pytest.raises(ERRORS):
        verifier(SECRET).verify(received.body.decode(), received.headers)
    first, _ = received.headers["webhook-signature"].split(" ")
    # The newest secret signs first.
    verifier(new).verify(received.body.decode(), received.headers | {"webhook-signature": first})


# --- Answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (204, None),
        (299, None),
        (400, "answered 400"),
        (410, "answered 410"),
        (429, "answered 429"),
        (503, "answered 503"),
    ],
)
def test_status_decides(receive: Callable[..., Receiver], status: int, error: str | None) -> None:
    length = "" if status == 204 else "Content-Length: 0\r\n"
    result = send(receive(answer(f"HTTP/1.1 {status} Some\r\n{length}\r\n".encode())))
    assert (result.status_code, result.error) == (status, error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(receive: Callable[..., Receiver], status: int) -> None:
    target = receive(answer(OK))
    location = f"Location: {target.url}\r\nContent-Length: 0\r\n\r\n"
    redirecting = receive(answer(f"HTTP/1.1 {status} Moved\r\n{location}".encode()))
    result = send(redirecting)
    assert (result.status_code, result.error) == (
        status,
        f"answered {status}: redirects are not followed",
    )
    assert (redirecting.connections, target.connections) == (1, 0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("1e3", None),
        ("9" * 30, None),
    ],
)
def test_retry_after_is_read(
    receive: Callable[..., Receiver], value: str, seconds: int | None
) -> None:
    head = f"HTTP/1.1 503 No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
    assert send(receive(answer(head.encode()))).retry_after == seconds


def test_first_kibibyte_of_the_answer_is_kept_as_text(receive: Callable[..., Receiver]) -> None:
    body = b"\xff\x00<html>" + b"a" * 5_000
    head = f"HTTP/1.1 500 No\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    result = send(receive(answer(head + body)))
    assert result.response == "\ufffd\ufffd<html>" + "a" * (1_024 - 8)


# --- Hostile receivers --------------------------------------------------------------------------


def test_receiver_that_does_not_answer_times_out(receive: Callable[..., Receiver]) -> None:
    result = send(receive(hang), timeout=SHORT)
    assert (result.status_code, result.error) == (None, "timed out while waiting for the answer")
    assert result.duration_ms >= 500


@pytest.mark.parametrize(
    ("text", "activity"),
    [
        (OK, "waiting for the answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK, "waiting for the answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 30 + b"\r\n", "waiting for the answer"),
    ],
)
def test_dripping_headers_do_not_extend_the_time(
    receive: Callable[..., Receiver], text: bytes, activity: str
) -> None:
    result = send(receive(drip(text)), timeout=SHORT)
    assert (result.status_code, result.error) == (None, f"timed out while {activity}")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", b"a" * 200),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n" * 50 + b"0\r\n\r\n",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"a" * 200),
    ],
)
def test_dripping_body_does_not_extend_the_time(
    receive: Callable[..., Receiver], head: bytes, body: bytes
) -> None:
    def handle(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(head)
        for byte in body:
            connection.sendall(bytes([byte]))
            if receiver.ended.wait(HANG_SECONDS / len(body)):
                return

    result = send(receive(handle), timeout=timedelta(seconds=1))
    assert (result.status_code, result.error) == (None, "timed out while reading the answer")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "the connection was closed early, while waiting for the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", None),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "the connection was closed early, while reading the answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "the connection was closed early, while reading the answer",
        ),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "the answer is not valid HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "the answer is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n", "the answer is not valid HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * MAX_BYTES + b"\r\n\r\n",
            f"the answer's headers are longer than {MAX_BYTES} bytes",
        ),
    ],
)
def test_broken_answers_are_described(
    receive: Callable[..., Receiver], text: bytes, error: str | None
) -> None:
    result = send(receive(send_and_close(text)))
    if error is not None:
        assert (result.status_code, result.error) == (None, error)


@pytest.mark.parametrize(
    "flood",
    [
        Flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"),
        Flood(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"10000\r\n" + b"a" * 65_536 + b"\r\n",
        ),
        Flood(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_large_answer_is_read_in_part(receive: Callable[..., Receiver], flood: Flood) -> None:
    result = send(receive(flood))
    assert (result.status_code, result.error, result.response) == (200, None, "a" * 1_024)
    assert flood.is_over.wait(HANG_SECONDS), "the connection is closed"
    assert flood.sent < 2**25, "the rest is not read, only buffered by the kernel"


def test_answer_before_the_whole_request_is_read(receive: Callable[..., Receiver]) -> None:
    def handle(receiver: Receiver, connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        # Without a reset, which could overtake the answer.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    result = build_sender().send(build_request(receive(handle).url, body=b"a" * 1_000_000))
    assert (result.status_code, result.error) == (413, "answered 413")


def test_receiver_that_reads_nothing_times_out(receive: Callable[..., Receiver]) -> None:
    def handle(receiver: Receiver, connection: socket.socket) -> None:
        receiver.ended.wait(HANG_SECONDS)

    request = build_request(receive(handle).url, body=b"a" * 50_000_000)
    result = build_sender(timeout=SHORT).send(request)
    assert result.error == "timed out while waiting for the answer"


def test_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = build_sender().send(build_request(f"http://127.0.0.1:{port}/"))
    assert (result.status_code, result.error) == (None, "connection refused")


def test_connecting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "CONNECT_SECONDS", 0.3)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The kernel does not answer the connections above the backlog.
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        result = build_sender().send(
            build_request(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        )
    assert (result.status_code, result.error) == (None, "timed out while connecting")


def test_next_address_is_tried(receive: Callable[..., Receiver]) -> None:
    receiver = receive(answer(OK))
    sender = build_sender(resolve=lambda _host, _port: ["127.0.0.2", "::1", "127.0.0.1"])
    result = sender.send(build_request(f"http://shop.example:{receiver.port}/"))
    assert (result.status_code, result.error) == (200, None)
    assert receiver.requests[0].headers["host"] == f"shop.example:{receiver.port}"


# --- Kept connections ---------------------------------------------------------------------------


def test_connection_serves_several_webhooks(receive: Callable[..., Receiver]) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    receiver = receive(answer(OK, chunked, b"HTTP/1.1 204 No\r\n\r\n", OK))
    sender = build_sender()
    for _ in range(5):
        assert sender.send(build_request(receiver.url)).error is None
    assert (len(receiver.requests), receiver.connections) == (5, 1)
    sender.close()
    assert sender.send(build_request(receiver.url)).error is None
    assert receiver.connections == 2


@pytest.mark.parametrize(
    ("last", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 2),
        (OK, 2),
        (b"", 3),
    ],
)
def test_closed_connection_is_replaced(
    receive: Callable[..., Receiver], last: bytes, connections: int
) -> None:
    """Also one that the receiver closes at the moment of its next use."""

    def handle(receiver: Receiver, connection: socket.socket) -> None:
        for response in (OK, last):
            receiver.read_request(connection)
            connection.sendall(response)

    receiver = receive(handle)
    sender = build_sender()
    for _ in range(3):
        assert sender.send(build_request(receiver.url)).error is None
    assert receiver.connections == connections


def test_receiver_that_always_closes_is_not_tried_again(receive: Callable[..., Receiver]) -> None:
    receiver = receive(send_and_close(b""))
    assert send(receiver).error
    assert receiver.connections == 1


def test_kept_connections_are_bounded(receive: Callable[..., Receiver]) -> None:
    count = MAX_IDLE_PER_RECEIVER + 3
    everyone = threading.Barrier(count)
    closed: list[int] = []

    def handle(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        everyone.wait(HANG_SECONDS)
        connection.sendall(OK)
        connection.settimeout(HANG_SECONDS)
        if not connection.recv(1):
            closed.append(1)
            if len(closed) == 3:
                three_closed.set()

    three_closed = threading.Event()
    receiver = receive(handle)
    sender = build_sender()
    threads = [
        threading.Thread(target=sender.send, args=(build_request(receiver.url),))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert three_closed.wait(HANG_SECONDS)
    assert len(closed) == 3
