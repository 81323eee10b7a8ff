"""Connections to receivers of webhooks: how they are made, kept and bounded."""

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from atomic_adapters.webhooks import dialer
from atomic_adapters.webhooks.connections import MAX_IDLE_PER_RECEIVER
from webhook_receivers import HANG_SECONDS, OK, Receiver, answer, send_and_close
from webhook_senders import build_request, build_sender, send


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
