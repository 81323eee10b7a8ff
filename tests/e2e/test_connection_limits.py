"""More slow clients than the API has connections: others are still served. Without a proxy the API
evicts the slowest connection; behind nginx the slow clients never reach it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from processes import PAUSE, Client, System, environment, find_free_port, wait_until
from proxy import Nginx
from raw_http import BODY, LENGTH, Wire, head, parse_responses, receive_all
from slow_clients import PAYMENTS, SECURITY

CONNECTIONS = 40
"""The most that the API of this file accepts at once."""

REQUEST_TIMEOUT_SECONDS = 120

GUARD_SECONDS = REQUEST_TIMEOUT_SECONDS / 4
"""A request answered within it did not wait for a slow client's request to time out."""

NGINX_TIMEOUT_SECONDS = 1

LIVE = b"GET /api/v1/health/live HTTP/1.1"
JSON = b"Content-Type: application/json"


@pytest.fixture(scope="module")
def system(postgres: EmbeddedPostgres, migrated: str, scratch: Path) -> Iterator[System]:
    """An API with few connections and a time-out that no test of this file reaches."""
    environ = environment(
        postgres.create_database("connection_limits", template=migrated),
        "redis://127.0.0.1:1",
        WEB_WORKERS="1",
        WEB_CONNECTIONS=str(CONNECTIONS),
        REQUEST_TIMEOUT_SECONDS=str(REQUEST_TIMEOUT_SECONDS),
    )
    system = System(environ, scratch / "connection-limits.log")
    try:
        system.start("api")
        yield system
    finally:
        system.stop()


@pytest.fixture(scope="module")
def nginx(system: System, scratch: Path) -> Iterator[Nginx]:
    """nginx with the deployed configuration, except for shorter time-outs."""
    timeouts = ("client_header_timeout 10s", "client_body_timeout 10s", "keepalive_timeout 60s")
    changes = {line: f"{line.split()[0]} {NGINX_TIMEOUT_SECONDS}s" for line in timeouts}
    with Nginx.start(int(system.environ["PORT"]), scratch / "nginx", changes) as nginx:
        yield nginx


def slow_request_starts(key: str) -> list[bytes]:
    """What each kind of slow client sends at first."""
    credentials = (authorization(key), JSON)
    return [
        b"",  # nothing
        b"POST /api/v1/pay",  # a part of the request line
        head(PAYMENTS, *credentials)[:-2] + b"X: ",  # a part of the headers
        head(PAYMENTS, *credentials, LENGTH, keep=True) + b'{"amount":',  # a part of the body
        head(PAYMENTS, LENGTH, keep=True) + b'{"amount":',  # a part of a body that is not read
        head(LIVE, keep=True),  # a whole request, then it stays idle
        b"GET\r\n\r\n",  # a malformed request, then it does not close
    ]


class SlowClients:
    """Slow clients of all kinds. A client that is cut off connects again at once."""

    def __init__(self, wire: Wire, key: str, count: int, stack: ExitStack) -> None:
        self._wire = wire
        self._stack = stack
        kinds = slow_request_starts(key)
        self._starts = [kinds[number % len(kinds)] for number in range(count)]
        self.sockets = [self._connect(start) for start in self._starts]
        self.cut_off = 0

    def send_one_byte_each(self) -> None:
        for number, start in enumerate(self._starts):
            try:
                if start:
                    self.sockets[number].sendall(b"1")
            except OSError:
                self.cut_off += 1
                self.sockets[number] = self._connect(start)

    def _connect(self, start: bytes) -> socket.socket:
        client = self._stack.enter_context(self._wire.connect())
        client.sendall(start)
        return client


def measure_other_client(client: Client, slow_clients: SlowClients, rounds: int = 15) -> float:
    """The longest that another client waits for a response meanwhile, in seconds."""
    seconds: list[float] = []
    for _ in range(rounds):
        slow_clients.send_one_byte_each()
        created = client.pay()
        assert created.status == 202
        seconds += [
            created.seconds,
            client.request("GET", f"/payments/{created.data['id']}").seconds,
        ]
    return max(seconds)


@pytest.fixture(scope="module")
def account(system: System) -> dict[str, str]:
    return system.seed()


@pytest.fixture(scope="module")
def key(account: dict[str, str]) -> str:
    return account["apiKey"]


@pytest.fixture(scope="module")
def account_id(account: dict[str, str]) -> str:
    return account["accountId"]


def authorization(key: str) -> bytes:
    return b"Authorization: Bearer " + key.encode()


def test_slow_clients_on_every_connection_are_evicted_for_others(system: System, key: str) -> None:
    client = Client(system.base_url, key)
    with ExitStack() as stack:
        wire = Wire(int(system.environ["PORT"]))
        slow_clients = SlowClients(wire, key, 3 * CONNECTIONS, stack)
        assert measure_other_client(client, slow_clients) < GUARD_SECONDS
    assert slow_clients.cut_off > CONNECTIONS, "there was room for all of them"


def test_new_connection_is_served_while_all_others_are_working(
    system: System, key: str, account_id: str
) -> None:
    request = head(
        b"GET /api/v1/accounts/" + account_id.encode() + b" HTTP/1.1", authorization(key)
    )
    wire = Wire(int(system.environ["PORT"]))
    with psycopg.connect(system.superuser_url) as blocker, ExitStack() as stack:
        blocker.execute("LOCK TABLE accounts")
        busy = [stack.enter_context(wire.connect()) for _ in range(CONNECTIONS - 1)]
        for client in busy:
            client.sendall(request)
        late = stack.enter_context(wire.connect())
        PAUSE.wait(0.05)  # longer than an idle connection usually takes to send its first bytes
        late.sendall(head(LIVE))
        (response,) = parse_responses(receive_all(late))
        assert response.status == 200
        blocker.rollback()
        for client in busy:
            (response,) = parse_responses(receive_all(client))
            assert response.status == 200


def test_behind_nginx_slow_clients_do_not_reach_the_api(
    system: System, key: str, nginx: Nginx
) -> None:
    (worker,) = psutil.Process(system.running["api"].pid).children()
    port = int(system.environ["PORT"])
    with ExitStack() as stack:
        slow_clients = SlowClients(nginx.wire, key, 3 * CONNECTIONS, stack)
        client = Client(f"http://127.0.0.1:{nginx.port}", key)
        assert measure_other_client(client, slow_clients) < GUARD_SECONDS
        established = [
            connection
            for connection in worker.net_connections("tcp")
            if connection.laddr.port == port and connection.status == "ESTABLISHED"
        ]
        # nginx keeps up to 32 connections to the API open; no slow client holds another.
        assert len(established) < CONNECTIONS
        # nginx closes each slow client once it sends nothing more.
        for slow_client in slow_clients.sockets:
            receive_all(slow_client)


NGINX_RESPONSES = [
    (b"garbage\r\n\r\n", 400, "malformed_request"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed_request"),
    (head(b"GET /%00 HTTP/1.1"), 400, "malformed_request"),
    (head(b"GET /../.. HTTP/1.1"), 400, "malformed_request"),
    (head(b"CONNECT x:1 HTTP/1.1"), 400, "malformed_request"),
    (head(b"OPTIONS * HTTP/1.1"), 400, "malformed_request"),
    (head(b"GET / HTTP/2.0"), 400, "malformed_request"),
    (head(PAYMENTS, b"Transfer-Encoding: x"), 400, "malformed_request"),
    (head(PAYMENTS, b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "malformed_request"),
    (head(b"TRACE / HTTP/1.1"), 405, "method_not_allowed"),
    (head(PAYMENTS, b"Content-Length: 9999999"), 413, "payload_too_large"),
    (head(b"GET /" + b"a" * 9_000 + b" HTTP/1.1"), 414, "uri_too_long"),
    (head(b"GET / HTTP/1.1", b"X: " + b"a" * 9_000), 431, "headers_too_large"),
    (head(b"GET / HTTP/1.1", *[b"X: a"] * 9_000), 431, "headers_too_large"),
]


@pytest.mark.parametrize(("raw", "status", "code"), NGINX_RESPONSES)
def test_errors_of_nginx_itself_use_the_error_envelope(
    nginx: Nginx, raw: bytes, status: int, code: str
) -> None:
    # Read once, not until nginx closes: it keeps reading a refused body for seconds.
    with nginx.wire.connect() as connection:
        connection.sendall(raw)
        (response,) = parse_responses(connection.recv(65_536))
    assert (response.status, response.code) == (status, code)
    assert response.names >= SECURITY


def test_responses_of_the_api_pass_through_unchanged(nginx: Nginx, key: str) -> None:
    credentials = (authorization(key), JSON, b"X-Request-Id: r-1")
    answer = nginx.wire.send_one(head(PAYMENTS, *credentials, LENGTH) + BODY, half_close=False)
    assert (answer.status, answer.header("X-Request-Id")) == (202, "r-1")
    assert len(answer.names) == len(answer.headers)
    repeated_key = (b'Idempotency-Key: "a', b'Idempotency-Key: b"')
    assert_refused = nginx.wire.send_one(
        head(PAYMENTS, *credentials, LENGTH, *repeated_key) + BODY, half_close=False
    )
    assert (assert_refused.status, assert_refused.code) == (400, "validation_failed")


MISPLACED = [
    b"GET /api/v1/payments/st_needle",
    b"GET /api/v1/payments/sk%5ftest_needle",
    b"GET /api/v1/payments/%73%6b_needle",
    b"GET /api/v1/needle",
    b"GET /needle/api/v1/payments",
    b"GET /api/v1/payments/needle/timeline",
    b"GET /api/v1/idempotency-keys/needle",
    b"GET /api/v1/idempotency-keys/needle/payments",
    b"GET /api/v1/payments;needle",
    b"GET /api/v1/payments#needle",
    b"GET http://needle/api/v1/payments",
    b"GET //needle",
    b"needle /api/v1/payments",
    b"NEEDLE /api/v1/payments",
]


def test_nothing_that_could_be_a_key_is_logged_by_nginx(scratch: Path) -> None:
    """Wherever in the request line it is, and however it is encoded."""
    with Nginx.start(find_free_port(), scratch / "misplaced", {}) as alone:
        for line in MISPLACED:
            alone.wire.send_one(head(line + b" HTTP/1.1"), half_close=False)
        wait_until(lambda: alone.log.count(' "') >= len(MISPLACED), GUARD_SECONDS, "all are logged")
        assert "needle" not in alone.log.lower()
        assert alone.log.count("(not-logged)") >= len(MISPLACED) - 2, "but for # and absolute URLs"
        assert '"GET /api/v1/idempotency-keys/(not-logged)"' in alone.log


@pytest.mark.parametrize(
    "target", [b"//api/v1/health", b"/api/v1%2fhealth", b"/api//v1/health", b"/%2Fapi/v1/health"]
)
def test_nginx_leaves_the_path_as_it_is_and_the_api_answers_404(
    nginx: Nginx, target: bytes
) -> None:
    """nginx decodes the path and merges its slashes to find a location, but must not pass on the
    result: it would match a route."""
    response = nginx.wire.send_one(head(b"GET " + target + b" HTTP/1.1"), half_close=False)
    assert (response.status, response.code) == (404, "not_found")


def test_unreachable_api_is_503_and_the_query_is_not_logged(scratch: Path) -> None:
    with Nginx.start(find_free_port(), scratch / "alone", {}) as alone:
        line = b"GET /api/v1/payments/sk_test_needle?key=sk_test_needle HTTP/1.1"
        answer = alone.wire.send_one(head(line), half_close=False)
        alone.wire.send_one(head(b"GET /api/v1/health?sk_test_needle HTTP/1.1"), half_close=False)
        assert (answer.status, answer.code) == (503, "service_unavailable")
        assert answer.header("Retry-After") == "1"
        wait_until(lambda: alone.log.count('" 503 ') == 2, GUARD_SECONDS, "both are logged")
        assert '"GET /api/v1/health" 503' in alone.log
        assert "needle" not in alone.log
