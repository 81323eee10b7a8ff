"""Clients that try to starve others, as a process of their own until SIGTERM.

`python hostile_clients.py NAME` reads its arguments as JSON from stdin. A process of its own, so
that sending does not delay the client that is measured.
"""

import json
import selectors
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count, cycle
from typing import Any, Final

HOST: Final = b"Host: hostile\r\n"
TIMEOUT_SECONDS: Final = 30
PIPELINED: Final = 100
"""Requests per write: more than a server parses at once."""

CHUNKS: Final = 65_536
"""Of one byte each: the largest body of most routes."""

EXTENSION_BYTES: Final = 8_000
"""Per chunk; gunicorn refuses longer ones."""

EMPTY_OBJECTS: Final = 690_000
"""As many as fit into the largest body of POST /payments/batch."""


def pipeline(port: int, connections: int) -> None:
    """Send GET and OPTIONS of /health/live without waiting for responses, which are read."""
    requests = (
        b"GET /api/v1/health/live HTTP/1.1\r\n" + HOST + b"\r\n"
        b"OPTIONS /api/v1/health/live HTTP/1.1\r\n" + HOST + b"\r\n"
    ) * PIPELINED
    selector = selectors.DefaultSelector()
    unsent: dict[socket.socket, bytes] = {}

    def connect() -> None:
        client = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        client.setblocking(False)
        unsent[client] = requests
        selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def reconnect(client: socket.socket) -> None:
        selector.unregister(client)
        client.close()
        del unsent[client]
        connect()

    for _ in range(connections):
        connect()
    while True:
        for key, events in selector.select():
            client: Any = key.fileobj
            try:
                if events & selectors.EVENT_WRITE:
                    sent = client.send(unsent[client])
                    unsent[client] = unsent[client][sent:] or requests
                if events & selectors.EVENT_READ and not client.recv(1_048_576):
                    reconnect(client)
            except BlockingIOError:
                continue
            except OSError:
                reconnect(client)


def send_chunk_extensions(port: int, connections: int) -> None:
    """Send bodies of 64 KiB in half a gigabyte of chunk extensions."""
    head = (
        b"POST /api/v1/merchants/login HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"1;x=" + b"x" * EXTENSION_BYTES + b"\r\n \r\n"

    def send(_: int) -> None:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as client:
            client.sendall(head)
            for _ in range(CHUNKS // 16):
                client.sendall(chunk * 16)

    repeat_concurrently(connections, send)


def send_empty_objects(port: int, connections: int, api_key: str) -> None:
    """Send batches of 2 MB that consist of empty objects."""
    body = b'{"payments":[' + b",".join([b"{}"] * EMPTY_OBJECTS) + b"]}"
    request = build_request("POST", "/payments/batch", api_key, body)
    repeat_concurrently(connections, lambda _: exchange(port, request))


def read_dashboards(port: int, connections: int, token: str) -> None:
    request = build_request("GET", "/merchants/dashboard", token)
    repeat_concurrently(connections, lambda _: exchange(port, request))


def use_held_keys(port: int, connections: int, api_key: str, keys: list[str]) -> None:
    """Create payments under Idempotency-Keys that another session holds."""
    following = cycle(keys)
    lock = threading.Lock()

    def send(_: int) -> None:
        with lock:
            key = next(following)
        exchange(port, build_payment(api_key, key))

    repeat_concurrently(connections, send)


def cross_keys(port: int, connections: int, api_key: str) -> None:
    """Send pairs of batches, each with the other's inner key in its header."""
    pairs = count()

    def send(_: int) -> None:
        pair = next(pairs)
        barrier = threading.Barrier(2)
        keys = [f"{api_key[-8:]}-{pair}-{side}" for side in "ab"]

        def send_batch(header: str, inner: str) -> None:
            body = json.dumps({"payments": [{**PAYMENT, "idempotencyKey": inner}]}).encode()
            request = build_request("POST", "/payments/batch", api_key, body, header)
            barrier.wait(TIMEOUT_SECONDS)
            exchange(port, request)

        sides = [
            threading.Thread(target=send_batch, args=arguments)
            for arguments in ((keys[0], keys[1]), (keys[1], keys[0]))
        ]
        for side in sides:
            side.start()
        for side in sides:
            side.join()

    repeat_concurrently(connections, send)


PAYMENT: Final = {"amount": 100, "currency": "USD", "source": "tok_visa"}


def build_payment(api_key: str, key: str) -> bytes:
    return build_request("POST", "/payments", api_key, json.dumps(PAYMENT).encode(), key)


def build_request(
    method: str, path: str, credential: str, body: bytes = b"", key: str | None = None
) -> bytes:
    lines = [f"{method} /api/v1{path} HTTP/1.1", f"Authorization: Bearer {credential}"]
    lines += ["Host: hostile", "Connection: close"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if key:
        lines.append(f"Idempotency-Key: {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(port: int, request: bytes) -> bytes:
    """Send a request and return the response."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def repeat_concurrently(threads: int, action: Callable[[int], object]) -> None:
    def repeat(number: int) -> None:
        while True:
            with suppress(OSError):
                action(number)

    for number in range(threads):
        threading.Thread(target=repeat, args=(number,), daemon=True).start()
    threading.Event().wait()


ATTACKS: Final = {
    attack.__name__: attack
    for attack in (
        pipeline,
        send_chunk_extensions,
        send_empty_objects,
        read_dashboards,
        use_held_keys,
        cross_keys,
    )
}

if __name__ == "__main__":
    ATTACKS[sys.argv[1]](**json.load(sys.stdin))
