"""Clients that dawdle keep nobody waiting, and a stopping API leaves nobody unanswered."""

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from atomic_adapters.embedded import EmbeddedValkey
from processes import PAUSE, Client, System, environment, eventually, free_port

REQUEST_SECONDS = 2.0
SLOW = 100
"""Clients of each kind, a multiple of what threads there would be."""

BODY = b'{"amount":1,"currency":"USD","source":"tok_visa"}'
LIVE = b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def patient(system: System, valkeys: list[EmbeddedValkey], scratch: Path) -> Iterator[System]:
    """An API of one process, whose patience is short."""
    database = system.environ["DATABASE_URL"]
    timeout = str(REQUEST_SECONDS)
    environ = environment(
        database, valkeys[0].url, REQUEST_TIMEOUT_SECONDS=timeout, WEB_WORKERS="1"
    )
    patient = System(environ, scratch / "patient.log")
    yield patient
    patient.stop()


@pytest.fixture
def api(patient: System, account: dict[str, str]) -> Client:
    if "api" not in patient.running or patient.running["api"].poll() is not None:
        patient.environ["PORT"] = str(free_port())
        patient.start("api")
    return Client(patient.base_url, account["apiKey"])


def connect(system: System) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(system.environ["PORT"])), timeout=20)


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = iter(lambda: connection.recv(65_536), b"")
    return b"".join(parts)


def asked(connection: socket.socket, request: bytes = LIVE) -> bytes:
    """One answer of a connection that is kept."""
    connection.sendall(request)
    answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return answer


def test_slow_clients_are_cut_off_and_keep_nobody_waiting(patient: System, api: Client) -> None:
    head = b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\n"
    key = f"Authorization: Bearer {api.key}\r\nContent-Type: application/json\r\n".encode()
    whole_head = head + key + b"Content-Length: 1000\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(patient)) for _ in range(2 * SLOW)]
        begun = time.monotonic()
        for client, start in zip(
            clients, [head + b"X: "] * SLOW + [whole_head] * SLOW, strict=True
        ):
            client.sendall(start)
        waits: list[float] = []
        while time.monotonic() - begun < REQUEST_SECONDS * 1.3:
            # A byte now and then buys no time.
            for client in clients:
                client.sendall(b"1")
            waits += [api.pay().seconds for _ in range(3)]
        assert len(waits) >= 3
        assert sorted(waits)[len(waits) // 2] < 0.5
        answers = [received(client) for client in clients]
        assert time.monotonic() - begun < REQUEST_SECONDS * 1.3 + 1.5
    for answer in answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close" in head
        assert b"\r\nX-Content-Type-Options: nosniff" in head
        told = json.loads(body)
        assert told["error"]["code"] == "request_timeout"
        assert f"\r\nX-Request-Id: {told['meta']['requestId']}".encode() in head
    assert api.pay().status == 202


def test_a_client_that_does_not_take_its_answers_is_cut_off(patient: System, api: Client) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        client.connect(("127.0.0.1", int(patient.environ["PORT"])))
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            while True:  # until nobody reads this any more
                client.sendall(LIVE * 100)
        # Not before it has worked through what the buffers between us hold.
        eventually(lambda: not _connections(patient), REQUEST_SECONDS + 10, "it is cut off")
    assert api.pay().status == 202


def _connections(system: System) -> list[object]:
    """Those that the API holds with clients."""
    port = int(system.environ["PORT"])
    (worker,) = psutil.Process(system.running["api"].pid).children()
    found = worker.net_connections("tcp")
    return [each for each in found if each.laddr.port == port and each.status == "ESTABLISHED"]


def test_one_who_waits_for_the_database_keeps_nobody_waiting(
    patient: System, api: Client, account: dict[str, str]
) -> None:
    id = api.pay().data["id"]
    with (
        psycopg.connect(patient.environ["DATABASE_URL"]) as blocker,
        ThreadPoolExecutor(1) as threads,
    ):
        blocker.execute("LOCK TABLE accounts")
        waiting = threads.submit(api.ask, "GET", f"/accounts/{account['accountId']}")
        for _ in range(5):
            assert api.ask("GET", f"/payments/{id}").seconds < 0.5
        assert not waiting.done()
        blocker.rollback()
        assert waiting.result(10).status == 200


def test_a_frozen_valkey_hardly_delays_a_payment(
    api: Client, valkeys: list[EmbeddedValkey]
) -> None:
    usual = sorted(api.pay().seconds for _ in range(9))[4]
    valkeys[0].process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda _: api.pay(), range(16)))
    finally:
        valkeys[0].process.send_signal(signal.SIGCONT)
    assert {reply.status for reply in replies} == {202}
    assert sorted(reply.seconds for reply in replies)[8] < usual + 0.5


def test_idle_connections_do_not_hold_up_a_stop(patient: System, api: Client) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(patient)) for _ in range(20)]
        for connection in idle[:10]:
            asked(connection)
        begun = time.monotonic()
        patient.running["api"].send_signal(signal.SIGTERM)
        assert patient.running["api"].wait(10) == 0
        assert time.monotonic() - begun < 2
        assert {received(connection) for connection in idle} == {b""}, "closed, not reset"


def test_what_has_arrived_when_the_stop_begins_is_answered(patient: System, api: Client) -> None:
    (worker,) = psutil.Process(patient.running["api"].pid).children()
    with connect(patient) as kept, connect(patient) as fresh, ExitStack() as stack:
        asked(kept)
        asked(fresh)
        # Held still, it finds all of this at the same moment.
        worker.suspend()
        kept.sendall(LIVE)
        queued = [stack.enter_context(connect(patient)) for _ in range(10)]
        for connection in queued:
            connection.sendall(LIVE)
        patient.running["api"].send_signal(signal.SIGTERM)
        PAUSE.wait(0.2)
        worker.resume()
        # And this a moment later.
        PAUSE.wait(0.05)
        fresh.sendall(LIVE)
        for connection in (kept, fresh, *queued):
            answer = received(connection)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"\r\nConnection: close" in answer
    assert patient.running["api"].wait(10) == 0


class Caller(threading.Thread):
    """Asks again and again on one connection, until it is told to go or is not let in."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.answered = 0
        self.unanswered: list[Exception] = []

    def run(self) -> None:
        sent = {"Authorization": f"Bearer {self.client.key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.client.base_url.removeprefix("http://"))
        try:
            connection.connect()
            while True:
                connection.request("POST", "/api/v1/payments", BODY, sent)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 202
                self.answered += 1
                if answer.will_close:
                    return
        except (OSError, http.client.HTTPException) as error:
            self.unanswered.append(error)
        finally:
            connection.close()


def test_a_stop_under_load_answers_everything_that_was_sent(patient: System, api: Client) -> None:
    callers = [Caller(api) for _ in range(16)]
    for caller in callers:
        caller.start()
    eventually(lambda: all(caller.answered > 5 for caller in callers), 20, "they are at it")
    begun = time.monotonic()
    patient.running["api"].send_signal(signal.SIGTERM)
    assert patient.running["api"].wait(10) == 0
    assert time.monotonic() - begun < 2
    for caller in callers:
        caller.join(10)
    assert [caller.unanswered for caller in callers] == [[]] * 16


def test_nothing_was_patched_too_late(patient: System, api: Client) -> None:
    api.pay()
    assert "MonkeyPatchWarning" not in patient.words()
    assert "Traceback" not in patient.words()
