"""What receivers answer to webhooks, hostile ones too, on real sockets."""

import socket
from collections.abc import Callable
from datetime import timedelta

import pytest

from atomic_adapters.webhooks.exchange import MAX_BYTES
from webhook_receivers import HANG_SECONDS, OK, Flood, Receiver, answer, drip, hang, send_and_close
from webhook_senders import SHORT, build_request, build_sender, send


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
