"""`POST /payments?wait=…`: what waiting adds to a payment's time, what 500 waiting clients cost
others, and whether each of them is answered in time if the worker is killed."""

import json
import secrets
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import psycopg

from bench.measurement import BenchError, Measurement, Target, percentile
from bench.merchants import Merchant, create_merchants
from bench.options import Sizes
from bench.servers import BenchCluster, SystemUnderTest
from processes import PAUSE, Client

WAITERS: Final = 500

WAITING_MERCHANTS: Final = 5
"""One merchant may hold 300 waits of a process."""

LONG_WAIT_SECONDS: Final = 30
SHORT_WAIT_SECONDS: Final = 3

SETTLE_SECONDS: Final = 2.0
"""From the last request until it is assumed to wait."""

PAUSE_SECONDS: Final = 0.02
"""Between two payments of the client that is measured: it samples latency, and adds no load."""

GUARD_SECONDS: Final = 60
RECEIVE_BYTES: Final = 65_536

ADDED: Final = Target(5, "ms", at_least=False)
LATENCY: Final = Target(1.5, at_least=False)
LATE: Final = Target(1_000, "ms", at_least=False)
UNANSWERED: Final = Target(0, "without its answer", at_least=False)


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("waiting")
    paying, *waiting = create_merchants(system, 1 + WAITING_MERCHANTS)
    system.api.start("api")
    system.start_workers("worker", "sweeper")
    with system.connect() as connection:
        _sample_waits(system, paying, 1.0)
        _sample_settlements(system, connection, paying, 1.0)
        at_rest = [
            (
                _sample_waits(system, paying, sizes.fairness_seconds),
                _sample_settlements(system, connection, paying, sizes.fairness_seconds),
            )
            for _ in range(sizes.repeats)
        ]
    quiet = _sample_posts(system, paying, sizes.fairness_seconds)

    _kill_workers(system)
    with _waiting_posts(system, waiting, LONG_WAIT_SECONDS) as sockets:
        PAUSE.wait(SETTLE_SECONDS)
        busy = _sample_posts(system, paying, sizes.fairness_seconds)
        started = time.perf_counter()
        system.start_workers("worker", "sweeper")
        settled = _receive(sockets, started)

    _kill_workers(system)
    started = time.perf_counter()
    with _waiting_posts(system, waiting, SHORT_WAIT_SECONDS) as sockets:
        accepted = _receive(sockets, started)
    system.start_workers("worker", "sweeper")
    return [
        Measurement(
            figure="waiting",
            case="POST with wait, p50, less POST until SUCCESS, p50",
            unit="ms",
            values=[percentile(waits, 50) - percentile(plain, 50) for waits, plain in at_rest],
            target=ADDED,
            remark="at rest, one client",
            extra={
                "wait": [percentile(waits, 50) for waits, _ in at_rest],
                "settled": [percentile(plain, 50) for _, plain in at_rest],
            },
        ),
        Measurement(
            figure="waiting",
            case=f"{WAITERS} waiting clients, POST of another merchant, median",
            unit="ms",
            values=[percentile(busy, 50)],
            references=[percentile(quiet, 50)],
            target=LATENCY,
            remark="reference: without them",
            extra={"p95": percentile(busy, 95), "p95Quiet": percentile(quiet, 95)},
        ),
        _count_answers("the worker is killed and starts again", settled, 200, "SUCCESS"),
        _count_answers("the worker is killed", accepted, 202, "PENDING"),
        Measurement(
            figure="waiting",
            case=f"{WAITERS} waiting clients without a worker, last 202 after the time is over",
            unit="ms",
            values=[max(ms for _, _, ms in accepted) - SHORT_WAIT_SECONDS * 1e3],
            target=LATE,
            remark="from the first request on: includes sending all of them",
        ),
    ]


_Answer = tuple[int, str, float]
"""HTTP status, status of the payment, milliseconds."""


def _count_answers(
    case: str, answers: Sequence[_Answer], status: int, payment_status: str
) -> Measurement:
    found = Counter((code, text) for code, text, _ in answers)
    return Measurement(
        figure="waiting",
        case=f"{WAITERS} waiting clients, {case}",
        unit="without its answer",
        values=[WAITERS - found[(status, payment_status)]],
        target=UNANSWERED,
        remark=f"answer: {status} with {payment_status}",
        extra={f"{code} {text}": count for (code, text), count in found.items()},
    )


def _kill_workers(system: SystemUnderTest) -> None:
    for name in ("worker", "sweeper"):
        system.workers.kill(name)


def _sample_posts(
    system: SystemUnderTest, merchant: Merchant, seconds: float, query: str = "", status: int = 202
) -> list[float]:
    """Create payments, each on a connection of its own; return the milliseconds of each."""
    client = Client(system.api.base_url, merchant.api_key)
    milliseconds: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        _pay(client, query, status)
        milliseconds.append((time.perf_counter() - started) * 1e3)
        PAUSE.wait(PAUSE_SECONDS)
    return milliseconds


def _sample_waits(system: SystemUnderTest, merchant: Merchant, seconds: float) -> list[float]:
    return _sample_posts(system, merchant, seconds, f"?wait={LONG_WAIT_SECONDS}", 200)


def _sample_settlements(
    system: SystemUnderTest, connection: psycopg.Connection, merchant: Merchant, seconds: float
) -> list[float]:
    """Create payments without waiting; return the milliseconds until each is a SUCCESS in the
    database, which is read without a pause."""
    client = Client(system.api.base_url, merchant.api_key)
    milliseconds: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        id = _pay(client, "", 202)
        while not _is_settled(connection, id):
            if time.perf_counter() - started > GUARD_SECONDS:
                raise BenchError("a payment was not settled")
        milliseconds.append((time.perf_counter() - started) * 1e3)
        PAUSE.wait(PAUSE_SECONDS)
    return milliseconds


def _pay(client: Client, query: str, status: int) -> str:
    body = {"amount": 100, "currency": "USD", "source": "tok_visa"}
    key = secrets.token_hex(8)
    reply = client.request("POST", f"/payments{query}", body, Idempotency_Key=key)
    if reply.status != status:
        raise BenchError(f"a payment was answered {reply.status}")
    return reply.data["id"]


def _is_settled(connection: psycopg.Connection, id: str) -> bool:
    row = connection.execute("SELECT status FROM payments WHERE id = %s", (id,)).fetchone()
    return row == ("SUCCESS",)


@contextmanager
def _waiting_posts(
    system: SystemUnderTest, merchants: Sequence[Merchant], seconds: int
) -> Iterator[list[socket.socket]]:
    port = urlsplit(system.api.base_url).port
    body = b'{"amount":100,"currency":"USD","source":"tok_visa"}'
    sockets: list[socket.socket] = []
    try:
        for number in range(WAITERS):
            key = merchants[number % len(merchants)].api_key
            head = (
                f"POST /api/v1/payments?wait={seconds} HTTP/1.1\r\nHost: bench\r\n"
                f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=GUARD_SECONDS))
            sockets[-1].sendall(head.encode() + body)
        yield sockets
    finally:
        for client in sockets:
            client.close()


def _receive(sockets: Sequence[socket.socket], started: float) -> list[_Answer]:
    """Receive a response on each connection."""
    answers: list[_Answer] = []
    with selectors.DefaultSelector() as selector:
        for client in sockets:
            selector.register(client, selectors.EVENT_READ, client)
        while len(answers) < len(sockets):
            ready = selector.select(GUARD_SECONDS)
            if not ready:
                raise BenchError(f"{len(answers)} of {len(sockets)} requests were answered")
            for key, _ in ready:
                answers.append(_parse(key.data.recv(RECEIVE_BYTES), started))
                selector.unregister(key.data)
    return answers


def _parse(response: bytes, started: float) -> _Answer:
    milliseconds = (time.perf_counter() - started) * 1e3
    head, _, body = response.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 2") or not body:
        raise BenchError(f"a request was answered {response[:200]!r}")
    return int(head[9:12]), json.loads(body)["data"]["status"], milliseconds
