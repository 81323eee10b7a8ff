"""As many slow clients as the API takes connections, and more: the others are answered all the
same. On its own the API lets the slowest go; behind nginx it never meets them."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from processes import PAUSE, Client, System, environment, eventually, free_port
from proxy import Nginx
from raw_http import BODY, LENGTH, Wire, answers_in, head, received
from slow_clients import PAYMENTS, SECURITY

CONNECTIONS = 40
"""What the API of this file takes at once."""

PROMPT_SECONDS = 1.0
"""Within this everybody else is answered. It takes milliseconds; the rest is for a busy machine."""

PATIENCE_SECONDS = 1
"""Of nginx."""

LIVE = b"GET /api/v1/health/live HTTP/1.1"
JSON = b"Content-Type: application/json"


@pytest.fixture(scope="module")
def system(postgres: EmbeddedPostgres, migrated: str, scratch: Path) -> Iterator[System]:
    """An API with few connections, whose patience outlasts this file: no time-out helps it."""
    environ = environment(
        postgres.create_database("crowds", template=migrated),
        "redis://127.0.0.1:1",
        WEB_WORKERS="1",
        WEB_CONNECTIONS=str(CONNECTIONS),
        REQUEST_TIMEOUT_SECONDS="60",
    )
    system = System(environ, scratch / "crowds.log")
    try:
        system.start("api")
        yield system
    finally:
        system.stop()


@pytest.fixture(scope="module")
def nginx(system: System, scratch: Path) -> Iterator[Nginx]:
    """As deployed, but less patient: ten seconds are long in a test."""
    patience = ("client_header_timeout 10s", "client_body_timeout 10s", "keepalive_timeout 60s")
    shorter = {long: f"{long.split()[0]} {PATIENCE_SECONDS}s" for long in patience}
    with Nginx.before(int(system.environ["PORT"]), scratch / "nginx", shorter) as nginx:
        yield nginx


def kinds(key: str) -> list[bytes]:
    """How each kind of slow client begins."""
    known = (authorized(key), JSON)
    return [
        b"",  # says nothing at all
        b"POST /api/v1/pay",  # stops in the midst of the request line
        head(PAYMENTS, *known)[:-2] + b"X: ",  # of the headers
        head(PAYMENTS, *known, LENGTH, keep=True) + b'{"amount":',  # of the body
        head(PAYMENTS, LENGTH, keep=True) + b'{"amount":',  # of a body that nobody wants
        head(LIVE, keep=True),  # idles, once answered
        b"GET\r\n\r\n",  # was refused, and does not hang up
    ]


class Crowd:
    """Slow clients of all kinds. Whoever is cut off comes again at once."""

    def __init__(self, wire: Wire, key: str, size: int, stack: ExitStack) -> None:
        self._wire = wire
        self._stack = stack
        beginnings = kinds(key)
        self._begin = [beginnings[place % len(beginnings)] for place in range(size)]
        self.sockets = [self._one(begin) for begin in self._begin]
        self.cut_off = 0

    def dribble(self) -> None:
        """A byte from each."""
        for place, begin in enumerate(self._begin):
            try:
                if begin:
                    self.sockets[place].sendall(b"1")
            except OSError:
                self.cut_off += 1
                self.sockets[place] = self._one(begin)

    def _one(self, begin: bytes) -> socket.socket:
        client = self._stack.enter_context(self._wire.connect())
        client.sendall(begin)
        return client


def waits(client: Client, crowd: Crowd, rounds: int = 15) -> list[float]:
    """How long others wait for their answers meanwhile."""
    seconds: list[float] = []
    for _ in range(rounds):
        crowd.dribble()
        paid = client.pay()
        assert paid.status == 202
        seconds += [paid.seconds, client.ask("GET", f"/payments/{paid.data['id']}").seconds]
    return seconds


@pytest.fixture(scope="module")
def account(system: System) -> dict[str, str]:
    return json.loads(system.atomic("seed", "--json").stdout)


@pytest.fixture(scope="module")
def key(account: dict[str, str]) -> str:
    return account["apiKey"]


@pytest.fixture(scope="module")
def account_id(account: dict[str, str]) -> str:
    return account["accountId"]


def authorized(key: str) -> bytes:
    return b"Authorization: Bearer " + key.encode()


def test_a_crowd_of_slow_clients_keeps_nobody_waiting(system: System, key: str) -> None:
    client = Client(system.base_url, key)
    with ExitStack() as stack:
        crowd = Crowd(Wire(int(system.environ["PORT"])), key, 3 * CONNECTIONS, stack)
        measured = waits(client, crowd)
    assert max(measured) < PROMPT_SECONDS
    assert crowd.cut_off > CONNECTIONS, "else there was room for all of them"


def test_who_comes_while_all_are_at_work_is_given_time_to_ask(
    system: System, key: str, account_id: str
) -> None:
    asked = head(b"GET /api/v1/accounts/" + account_id.encode() + b" HTTP/1.1", authorized(key))
    wire = Wire(int(system.environ["PORT"]))
    with psycopg.connect(system.environ["DATABASE_URL"]) as blocker, ExitStack() as stack:
        blocker.execute("LOCK TABLE accounts")
        busy = [stack.enter_context(wire.connect()) for _ in range(CONNECTIONS - 1)]
        for client in busy:
            client.sendall(asked)
        late = stack.enter_context(wire.connect())
        PAUSE.wait(0.05)
        late.sendall(head(LIVE))
        (answer,) = answers_in(received(late))
        assert answer.status == 200
        blocker.rollback()
        for client in busy:
            (answer,) = answers_in(received(client))
            assert answer.status == 200


def test_behind_nginx_the_api_never_meets_them(system: System, key: str, nginx: Nginx) -> None:
    (worker,) = psutil.Process(system.running["api"].pid).children()
    port = int(system.environ["PORT"])
    with ExitStack() as stack:
        crowd = Crowd(nginx.wire, key, 3 * CONNECTIONS, stack)
        measured = waits(Client(f"http://127.0.0.1:{nginx.port}", key), crowd)
        held = [each for each in worker.net_connections("tcp") if each.laddr.port == port]
        assert max(measured) < PROMPT_SECONDS
        # Those that nginx keeps for itself (32), and no client's.
        assert len([each for each in held if each.status == "ESTABLISHED"]) < CONNECTIONS
        # Nobody dribbles any more: whoever is still there is let go.
        begun = time.monotonic()
        for client in crowd.sockets:
            received(client)
        assert time.monotonic() - begun < PATIENCE_SECONDS + 4


OWN_ANSWERS = [
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


@pytest.mark.parametrize(("raw", "status", "code"), OWN_ANSWERS)
def test_what_nginx_refuses_by_itself_is_in_the_envelope_too(
    nginx: Nginx, raw: bytes, status: int, code: str
) -> None:
    # Not until it closes: for seconds it still listens to bodies that it has refused.
    with nginx.wire.connect() as connection:
        connection.sendall(raw)
        (answer,) = answers_in(connection.recv(65_536))
    assert (answer.status, answer.code) == (status, code)
    assert answer.names >= SECURITY


def test_what_the_api_answers_comes_through_as_it_is(nginx: Nginx, key: str) -> None:
    known = (authorized(key), JSON, b"X-Request-Id: r-1")
    answer = nginx.wire.one(head(PAYMENTS, *known, LENGTH) + BODY, half_close=False)
    assert (answer.status, answer.header("X-Request-Id")) == (202, "r-1")
    assert len(answer.names) == len(answer.headers)
    twice = (b'Idempotency-Key: "a', b'Idempotency-Key: b"')
    refused = nginx.wire.one(head(PAYMENTS, *known, LENGTH, *twice) + BODY, half_close=False)
    assert (refused.status, refused.code) == (400, "validation_failed")


def test_an_api_that_is_gone_is_503_and_no_log_has_the_query(scratch: Path) -> None:
    with Nginx.before(free_port(), scratch / "alone", {}) as alone:
        asked = b"GET /api/v1/payments/sk_test_needle?key=sk_test_needle HTTP/1.1"
        answer = alone.wire.one(head(asked), half_close=False)
        alone.wire.one(head(b"GET /api/v1/health?sk_test_needle HTTP/1.1"), half_close=False)
        assert (answer.status, answer.code) == (503, "service_unavailable")
        assert answer.header("Retry-After") == "1"
        eventually(lambda: alone.log.count('" 503 ') == 2, 5, "both are logged")
        assert '"GET /api/v1/health" 503' in alone.log
        assert "needle" not in alone.log
