"""HTTP parsing and limits of gunicorn with our configuration."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from atomic_web.server.gunicorn_worker import MAX_REQUESTS_PER_CONNECTION
from atomic_web.server.request_reader import MAX_CHUNK_OVERHEAD_BYTES
from processes import wait_until
from raw_http import parse_responses
from web.live_server import KEY

ROOT = Path(__file__).parents[2]
BODY = b'{"amount":1,"currency":"USD","source":"tok_visa"}'
CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = f"Content-Length: {len(BODY)}".encode()


class Server:
    def __init__(self, directory: Path) -> None:
        self.address = ("127.0.0.1", find_free_port())
        self.log = directory / "log"
        self.pid = 0

    def answers(self) -> bool:
        try:
            return self.send(request(b"GET /api/v1/health HTTP/1.1")).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def send(self, raw: bytes) -> bytes:
        """Send the bytes and receive until the server closes."""
        received = bytearray()
        with socket.create_connection(self.address, timeout=60) as connection:
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(65_536):
                    received += data
            except (BrokenPipeError, ConnectionResetError):
                pass  # The server responded and closed before it had read the whole request.
        return bytes(received)


def find_free_port() -> int:
    """A free port below the ephemeral range, which connections of other tests cannot occupy."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    server = Server(directory)
    environment = os.environ | {
        "ATOMIC_ENV": "test",
        "DATABASE_URL": "postgresql:///unused",
        "HOST": server.address[0],
        "PORT": str(server.address[1]),
        "WEB_WORKERS": "1",
        "PYTHONPATH": str(ROOT / "tests"),
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        str(ROOT / "atomic_web/server/gunicorn_conf.py"),
    ]
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            [*command, "web.live_server:app"],
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        server.pid = process.pid
        while not server.answers():
            assert process.poll() is None, server.log.read_text()
            assert time.monotonic() < deadline, server.log.read_text()
            time.sleep(0.05)
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, server.log.read_text()
    finally:
        process.kill()
        process.wait()


def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    head = [line, b"Host: localhost", b"Connection: close", *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def payment(*headers: bytes, body: bytes = BODY) -> bytes:
    credentials = (b"Authorization: Bearer " + KEY.encode(), b"Content-Type: application/json")
    return request(b"POST /api/v1/payments HTTP/1.1", *credentials, *headers, body=body)


def get_status(response: bytes) -> int:
    assert response.startswith(b"HTTP/1.1 "), response
    return int(response[9:12])


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_payment_is_accepted_with_a_length_and_chunked(server: Server) -> None:
    assert get_status(server.send(payment(LENGTH))) == 202
    assert get_status(server.send(payment(CHUNKED, body=chunk(BODY) + b"0\r\n\r\n"))) == 202


@pytest.mark.parametrize(
    ("key", "path"),
    [
        *((b"a/b", b"a/b"), (b"a/b", b"a%2Fb"), (b"a/b/", b"a/b/"), (b"//", b"//")),
        *((b"..", b".."), (b"..", b"%2E%2E"), (b".", b"."), (b"a/../b", b"a/../b")),
        *((b"%2F", b"%252F"), (b"%", b"%25"), (b"?", b"%3F"), (b"#", b"%23"), (b"batch", b"batch")),
        *((b"a;b", b"a;b"), (b"+", b"+"), (b"+", b"%2B"), (b"{}", b"%7b%7D"), (b"~!*", b"~!*")),
    ],
)
def test_idempotency_key_in_the_path_is_decoded_once(
    server: Server, key: bytes, path: bytes
) -> None:
    created = server.send(payment(LENGTH, b'Idempotency-Key: "' + key + b'"'))
    assert get_status(created) == 202
    line = b"GET /api/v1/idempotency-keys/" + path + b" HTTP/1.1"
    response = server.send(request(line, b"Authorization: Bearer " + KEY.encode()))
    assert get_status(response) == 200
    assert b'"key":"' + key + b'"' in response


@pytest.mark.parametrize(
    "target",
    [
        *(b"//api/v1/health", b"///api/v1/health", b"/%2fapi/v1/health", b"/api%2Fv1/health"),
        *(b"/api/v1%2fhealth", b"/api/v1/health%2flive", b"/api/v1/health/%2Flive", b"//", b"/%2f"),
        *(b"http://localhost//api/v1/health", b"http://localhost/api/v1%2fhealth"),
        *(b"http://localhost", b"http://localhost?x=1"),
        *(b"//api/v1/health?x=/api/v1/health", b"/%2Fapi/v1/health#x", b"%2fapi/v1/health"),
        *(b"//api/v1/idempotency-keys/k", b"/api/v1%2Fidempotency-keys/k", b"/api%2fv1/docs"),
        *(b"//api/v1/payments", b"/api/v1%2fpayments", b"/api/v1/payments%2fbatch"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
def test_path_with_an_encoded_or_repeated_slash_is_404(
    server: Server, method: bytes, target: bytes
) -> None:
    credentials = (b"Authorization: Bearer " + KEY.encode(), b"Content-Type: application/json")
    line = method + b" " + target + b" HTTP/1.1"
    response = server.send(request(line, *credentials, LENGTH, body=BODY))
    # gunicorn itself refuses a target that is neither a path nor an absolute URL.
    assert get_status(response) == (404 if target.startswith((b"/", b"http:")) else 400)
    assert b"Location" not in response


@pytest.mark.parametrize(
    "target",
    [
        *(b"/api/v1/health", b"http://localhost/api/v1/health", b"/api/v1/health?x=//&y=%2f"),
        *(b"/api/v1/health?//", b"/api/v1/he%61lth", b"http://localhost/api/v1/health?a=//b"),
    ],
)
def test_slashes_elsewhere_in_the_target_are_allowed(server: Server, target: bytes) -> None:
    assert get_status(server.send(request(b"GET " + target + b" HTTP/1.1"))) == 200


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(payment(LENGTH, CHUNKED, body=chunk(BODY) + b"0\r\n\r\n"), id="both lengths"),
        pytest.param(payment(LENGTH, b"Content-Length: 5"), id="two lengths"),
        pytest.param(payment(b"Content-Length: -1"), id="negative length"),
        pytest.param(payment(b"Content-Length: +50"), id="signed length"),
        pytest.param(payment(b"Content-Length: 5_0"), id="length with underscore"),
        pytest.param(payment(b"Content-Length: 0x31"), id="hexadecimal length"),
        pytest.param(payment(b"Content-Length: "), id="empty length"),
        pytest.param(payment(LENGTH, b"X: a\x00b"), id="NUL in header"),
        pytest.param(payment(LENGTH, b"X : a"), id="space before colon"),
        pytest.param(payment(LENGTH, b"X: a", b" folded"), id="folded header"),
        pytest.param(payment(LENGTH).replace(b"\r\n", b"\n"), id="bare LF"),
        pytest.param(payment(LENGTH, b"X: a\rb"), id="bare CR"),
        pytest.param(payment(CHUNKED, body=b"zz\r\n"), id="chunk size that is none"),
        pytest.param(payment(CHUNKED, body=b"-5\r\nhello\r\n0\r\n\r\n"), id="negative chunk size"),
        pytest.param(payment(CHUNKED, body=b"5\r\nhelloXX0\r\n\r\n"), id="chunk without its end"),
        pytest.param(payment(CHUNKED, body=chunk(BODY)), id="no last chunk"),
        pytest.param(payment(LENGTH, body=BODY[:-5]), id="body ends early"),
        pytest.param(payment(b"Content-Length: 500", body=BODY), id="body shorter than length"),
        pytest.param(payment(LENGTH, b"Idempotency-Key: a", b"Idempotency-Key: b"), id="two keys"),
        pytest.param(payment(LENGTH, b"Idempotency-Key: \xe9"), id="Latin-1 key"),
        pytest.param(payment(LENGTH, b"Idempotency-Key: \xd0\xba"), id="UTF-8 key"),
        pytest.param(payment(LENGTH, b"Idempotency-Key:"), id="empty key"),
        pytest.param(payment(LENGTH, b"Idempotency-Key: " + b"x" * 256), id="long key"),
        pytest.param(request(b"GET /api/v1/health HTTP/9.9"), id="version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
    ],
)
def test_malformed_request_is_400(server: Server, raw: bytes) -> None:
    assert get_status(server.send(raw)) in (400, 505)
    assert server.answers()


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        pytest.param(431, payment(LENGTH, b"X: " + b"a" * 9_000), id="header of 9 KB"),
        pytest.param(
            431, payment(LENGTH, *(b"X-%d: a" % number for number in range(105))), id="105 headers"
        ),
        pytest.param(414, request(b"GET /" + b"a" * 5_000 + b" HTTP/1.1"), id="URL of 5 KB"),
        pytest.param(413, payment(b"Content-Length: 70000", body=b" " * 70_000), id="body"),
        pytest.param(
            413, payment(CHUNKED, body=chunk(b" " * 70_000) + b"0\r\n\r\n"), id="chunked body"
        ),
    ],
)
def test_oversized_request_is_refused(server: Server, status: int, raw: bytes) -> None:
    assert get_status(server.send(raw)) == status
    assert server.answers()


@pytest.mark.parametrize(
    "header",
    [
        *(b"SCRIPT_NAME: /elsewhere", b"PATH_INFO: /api/v1/health", b"Script-Name: /elsewhere"),
        *(b"X-Forwarded-Proto: https", b"X-Forwarded-Prefix: /elsewhere", b"X_Request_Id: no"),
        *(b"Content_Length: 5", b"X-Forwarded-Host: evil.example", b"Transfer_Encoding: chunked"),
    ],
)
def test_headers_cannot_change_the_path_or_scheme(server: Server, header: bytes) -> None:
    response = server.send(payment(LENGTH, header))
    assert get_status(response) == 202
    assert b"\r\nLocation: /api/v1/payments/" in response
    assert b"\r\nX-Request-Id: no" not in response


def test_api_key_and_idempotency_key_are_not_logged(server: Server) -> None:
    server.send(payment(LENGTH, b"Idempotency-Key: sesame"))
    text = server.log.read_text()
    assert "POST /payments 202" in text
    assert KEY not in text
    assert "sesame" not in text


LIVE = b"GET /api/v1/health/live HTTP/1.1\r\nHost: localhost\r\n"


def receive_response(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}}"):
        data = connection.recv(65_536)
        assert data, received
        received += data
    return received


@pytest.mark.parametrize("method", [b"GET", b"OPTIONS"])
def test_pipelining_client_takes_turns_with_others(server: Server, method: bytes) -> None:
    flood = b"".join(
        LIVE.replace(b"GET", method) + b"X-Request-Id: flood-%d\r\n\r\n" % number
        for number in range(500)
    )
    [worker] = psutil.Process(server.pid).children()
    connect = partial(socket.create_connection, server.address, timeout=60)
    with connect() as first, connect() as hostile, connect() as last:
        for connection in (first, hostile, last):
            connection.sendall(LIVE + b"\r\n")
            receive_response(connection)
        offset = server.log.stat().st_size
        # All have sent before the worker looks.
        worker.suspend()
        try:
            first.sendall(LIVE + b"X-Request-Id: first\r\n\r\n")
            hostile.sendall(flood)
            last.sendall(LIVE + b"X-Request-Id: last\r\n\r\n")
        finally:
            worker.resume()
        receive_response(first)
        receive_response(last)

        def read_order() -> list[str]:
            with server.log.open() as log:
                log.seek(offset)
                return re.findall(r"request_id=(flood|first|last)", log.read())

        wait_until(lambda: "flood" in read_order(), 60, "the flood is answered")
    order = read_order()
    assert {"first", "last"} <= set(order[:10]), "the others wait for at most a few of the flood"


def test_connection_is_closed_after_its_last_request(server: Server) -> None:
    more = MAX_REQUESTS_PER_CONNECTION + 10
    responses = parse_responses(server.send((LIVE + b"\r\n") * more))
    assert len(responses) == MAX_REQUESTS_PER_CONNECTION
    connections = [response.header("Connection") for response in responses]
    assert connections[-1] == "close"
    assert "close" not in connections[:-1]


def chunk_with_extension(data: bytes, length: int) -> bytes:
    return f"{len(data):x};x=".encode() + b"x" * length + b"\r\n" + data + b"\r\n"


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        pytest.param([chunk_with_extension(b" ", 8_000)] * 8, 202, id="below"),
        pytest.param([chunk_with_extension(b" ", 8_000)] * 9, 400, id="long extensions"),
        pytest.param([chunk(b" ")] * (MAX_CHUNK_OVERHEAD_BYTES // 5 + 1), 400, id="many chunks"),
    ],
)
def test_overhead_of_a_chunked_body_is_limited(
    server: Server, chunks: list[bytes], status: int
) -> None:
    body = b"".join(chunks) + chunk(BODY) + b"0\r\n\r\n"
    assert get_status(server.send(payment(CHUNKED, body=body))) == status
    assert server.answers()


def test_trailers_of_a_chunked_body_are_limited(server: Server) -> None:
    trailers = b"".join(b"X-%d: " % number + b"x" * 8_000 + b"\r\n" for number in range(9))
    body = chunk(BODY) + b"0\r\n" + trailers + b"\r\n"
    assert get_status(server.send(payment(CHUNKED, body=body))) == 400


def test_request_after_a_chunked_body_is_no_overhead(server: Server) -> None:
    with_body = payment(CHUNKED, body=chunk(BODY) + b"0\r\n\r\n")
    pipelined = with_body.replace(b"Connection: close\r\n", b"") * 200
    responses = parse_responses(server.send(pipelined))
    assert [response.status for response in responses] == [202] * 200
