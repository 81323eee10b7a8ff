"""Slow clients do not delay others, and a stopping API answers every request it has received."""

import http.client
import json
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from processes import Client, System, environment, find_free_port, wait_until
from replaceable_valkey import ReplaceableValkey

REQUEST_SECONDS = 2.0
SLOW_CLIENTS = 100
"""Of each kind: many times the threads of a threaded server."""

GUARD_SECONDS = 60
"""How long a condition is awaited before the test fails; no promise about speed."""

BODY = b'{"amount":1,"currency":"USD","source":"tok_visa"}'
LAST = b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LIVE = b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def impatient_system(system: System, scratch: Path) -> Iterator[System]:
    """An API of one process with a short REQUEST_TIMEOUT_SECONDS."""
    environ = environment(
        system.superuser_url,
        system.environ["REDIS_URL"],
        REQUEST_TIMEOUT_SECONDS=str(REQUEST_SECONDS),
        WEB_WORKERS="1",
    )
    impatient = System(environ, scratch / "impatient.log")
    yield impatient
    impatient.stop()


@pytest.fixture
def api(impatient_system: System, account: dict[str, str]) -> Client:
    if "api" not in impatient_system.running or impatient_system.running["api"].poll() is not None:
        impatient_system.environ["PORT"] = str(find_free_port())
        impatient_system.start("api")
    return Client(impatient_system.base_url, account["apiKey"])


def connect(system: System) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(system.environ["PORT"])), timeout=60)


def receive_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = iter(lambda: connection.recv(65_536), b"")
    return b"".join(parts)


def check_live(connection: socket.socket) -> None:
    """Send a liveness request and receive its response; the connection stays open."""
    connection.sendall(LIVE)
    response = connection.recv(65_536)
    assert response.startswith(b"HTTP/1.1 200"), response


def test_slow_clients_are_cut_off_and_do_not_delay_others(
    impatient_system: System, api: Client
) -> None:
    head = b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\n"
    key = f"Authorization: Bearer {api.key}\r\nContent-Type: application/json\r\n".encode()
    whole_head = head + key + b"Content-Length: 60000\r\n\r\n"
    # The API key is cached now: no slow client waits for a database connection, which could take
    # longer than its time-out on a busy machine.
    assert api.pay().status == 202
    with ExitStack() as stack:
        starts = [head + b"X: "] * SLOW_CLIENTS + [whole_head] * SLOW_CLIENTS
        clients = [stack.enter_context(connect(impatient_system)) for _ in starts]
        for client, start in zip(clients, starts, strict=True):
            client.sendall(start)
        # More clients wait than a threaded server has threads, and this one is served.
        assert api.pay().status == 202
        # The deadline is absolute: a byte now and then does not extend it.
        deadline = time.monotonic() + GUARD_SECONDS
        while not _are_all_readable(clients):
            assert time.monotonic() < deadline, "some slow clients are not cut off"
            for client in clients:
                with suppress(OSError):
                    client.sendall(b"1")
            assert api.pay().status == 202
        responses = [receive_all(client) for client in clients]
    for response in responses:
        head, _, body = response.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close" in head
        assert b"\r\nX-Content-Type-Options: nosniff" in head
        envelope = json.loads(body)
        assert envelope["error"]["code"] == "request_timeout"
        assert f"\r\nX-Request-Id: {envelope['meta']['requestId']}".encode() in head
    assert api.pay().status == 202


def _are_all_readable(clients: list[socket.socket]) -> bool:
    """Whether each has a response to read, or has been closed."""
    return len(select.select(clients, [], [], 0.1)[0]) == len(clients)


def test_client_that_does_not_read_its_responses_is_cut_off(
    impatient_system: System, api: Client
) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        client.connect(("127.0.0.1", int(impatient_system.environ["PORT"])))
        client.settimeout(0.2)
        # Until the API stops reading, because its responses are not read, or has cut the client off
        # already: on a busy machine this client may be slower than the API's time-out.
        with pytest.raises((TimeoutError, ConnectionError)):
            while True:
                client.sendall(LIVE * 100)
        # Only after the API has answered the requests that the socket buffers hold.
        wait_until(
            lambda: not _connections(impatient_system), GUARD_SECONDS, "the client is cut off"
        )
    assert api.pay().status == 202


def _connections(system: System) -> list[object]:
    """Connections of the API process with clients."""
    port = int(system.environ["PORT"])
    (worker,) = psutil.Process(system.running["api"].pid).children()
    return [
        connection
        for connection in worker.net_connections("tcp")
        if connection.laddr.port == port and connection.status == "ESTABLISHED"
    ]


def test_request_that_waits_for_a_lock_does_not_delay_others(
    impatient_system: System, api: Client, account: dict[str, str]
) -> None:
    id = api.pay().data["id"]
    with (
        psycopg.connect(impatient_system.superuser_url) as blocker,
        ThreadPoolExecutor(1) as threads,
    ):
        blocker.execute("LOCK TABLE accounts")
        waiting = threads.submit(api.request, "GET", f"/accounts/{account['accountId']}")
        for _ in range(5):
            assert api.request("GET", f"/payments/{id}").status == 200
        assert not waiting.done()
        blocker.rollback()
        assert waiting.result(GUARD_SECONDS).status == 200


def test_payments_are_accepted_while_valkey_is_frozen(
    api: Client, replaceable_valkey: ReplaceableValkey
) -> None:
    api.pay()
    replaceable_valkey.server.process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda _: api.pay(), range(16)))
    finally:
        replaceable_valkey.server.process.send_signal(signal.SIGCONT)
    assert {reply.status for reply in replies} == {202}


def test_idle_connections_are_closed_on_stop(impatient_system: System, api: Client) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(impatient_system)) for _ in range(20)]
        for connection in idle[:10]:
            check_live(connection)
        impatient_system.running["api"].send_signal(signal.SIGTERM)
        assert impatient_system.running["api"].wait(GUARD_SECONDS) == 0
        assert {receive_all(connection) for connection in idle} == {b""}, "closed, not reset"
    assert "graceful timeout" not in impatient_system.read_log(), "the stop waited for them"


def test_queued_connections_are_answered_on_stop(impatient_system: System, api: Client) -> None:
    (worker,) = psutil.Process(impatient_system.running["api"].pid).children()
    with (
        connect(impatient_system) as kept,
        connect(impatient_system) as fresh,
        ExitStack() as stack,
    ):
        check_live(kept)
        check_live(fresh)
        # While the worker is suspended, the kernel queues what arrives.
        worker.suspend()
        kept.sendall(LIVE)
        fresh.sendall(LIVE)
        queued = [stack.enter_context(connect(impatient_system)) for _ in range(10)]
        for connection in queued:
            connection.sendall(LIVE)
        # To the worker itself: the signal is pending before it continues.
        worker.send_signal(signal.SIGTERM)
        impatient_system.running["api"].send_signal(signal.SIGTERM)
        worker.resume()
        for connection in (kept, fresh, *queued):
            response = receive_all(connection)
            assert response.startswith(b"HTTP/1.1 200"), response
            assert b"\r\nConnection: close" in response
    assert impatient_system.running["api"].wait(GUARD_SECONDS) == 0


def test_connections_of_a_stopping_worker_are_answered_or_refused_and_never_reset(
    impatient_system: System, api: Client
) -> None:
    """New connections all through the stop, each with one request."""
    api.pay()
    outcomes: list[str] = []
    stopped = threading.Event()

    def connect_until_stopped() -> None:
        while not stopped.is_set():
            try:
                connection = connect(impatient_system)
            except ConnectionRefusedError:
                outcomes.append("refused")
                return
            with connection:
                try:
                    connection.sendall(LAST)
                    outcomes.append("answered" if receive_all(connection) else "closed")
                except ConnectionError as error:
                    outcomes.append(type(error).__name__)

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(connect_until_stopped) for _ in range(8)]
        wait_until(lambda: len(outcomes) > 50, GUARD_SECONDS, "the clients are connecting")
        impatient_system.running["api"].send_signal(signal.SIGTERM)
        assert impatient_system.running["api"].wait(GUARD_SECONDS) == 0
        for future in running:
            future.result(GUARD_SECONDS)
        stopped.set()
    assert set(outcomes) == {"answered", "refused"}


def test_readiness_fails_while_a_stopping_api_drains(
    impatient_system: System, account: dict[str, str]
) -> None:
    environ = {**impatient_system.environ, "PORT": str(find_free_port()), "DRAIN_SECONDS": "300"}
    draining = System(environ, impatient_system.log.with_name("draining.log"))
    client = Client(draining.base_url, account["apiKey"])
    try:
        draining.start("api")
        assert client.request("GET", "/health/ready").status == 200
        draining.running["api"].send_signal(signal.SIGTERM)
        wait_until(
            lambda: client.request("GET", "/health/ready").status == 503, GUARD_SECONDS, "not ready"
        )
        assert client.request("GET", "/health/ready").code == "not_ready"
        assert client.pay().status == 202
    finally:
        # The master's second signal is a quick shutdown.
        draining.running["api"].send_signal(signal.SIGQUIT)
        draining.running["api"].wait(GUARD_SECONDS)


def test_sigterm_before_the_worker_has_started_stops_it(
    impatient_system: System, account: dict[str, str]
) -> None:
    """A worker that misses the signal would be waited for until SHUTDOWN_GRACE_SECONDS ends."""
    # Longer than a worker takes to start on a busy machine.
    grace = str(2 * GUARD_SECONDS)
    environ = {
        **impatient_system.environ,
        "PORT": str(find_free_port()),
        "SHUTDOWN_GRACE_SECONDS": grace,
    }
    starting = System(environ, impatient_system.log.with_name("starting.log"))
    starting.spawn("api")
    try:
        wait_until(lambda: "Booting worker" in starting.read_log(), GUARD_SECONDS, "a worker forks")
        starting.running["api"].send_signal(signal.SIGTERM)
        assert starting.running["api"].wait(GUARD_SECONDS) == 0
    finally:
        starting.stop()
    assert "SIGKILL" not in starting.read_log()
    assert starting.read_log().count("Worker exiting") == 1


class Caller(threading.Thread):
    """Sends requests on one connection until the API closes it or refuses it."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.answered = 0
        self.unanswered: list[Exception] = []

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.client.key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.client.base_url.removeprefix("http://"))
        try:
            connection.connect()
            while True:
                connection.request("POST", "/api/v1/payments", BODY, headers)
                response = connection.getresponse()
                response.read()
                assert response.status == 202
                self.answered += 1
                if response.will_close:
                    return
        except (OSError, http.client.HTTPException) as error:
            self.unanswered.append(error)
        finally:
            connection.close()


def test_stop_under_load_answers_every_request(impatient_system: System, api: Client) -> None:
    callers = [Caller(api) for _ in range(16)]
    for caller in callers:
        caller.start()
    wait_until(
        lambda: all(caller.answered > 5 for caller in callers), GUARD_SECONDS, "all callers send"
    )
    impatient_system.running["api"].send_signal(signal.SIGTERM)
    assert impatient_system.running["api"].wait(GUARD_SECONDS) == 0
    for caller in callers:
        caller.join(GUARD_SECONDS)
    assert [caller.unanswered for caller in callers] == [[]] * 16


def test_standard_library_is_patched_before_it_is_used(
    impatient_system: System, api: Client
) -> None:
    api.pay()
    assert "MonkeyPatchWarning" not in impatient_system.read_log()
    assert "Traceback" not in impatient_system.read_log()
