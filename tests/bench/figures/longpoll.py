"""How soon 500 waiting requests have the event of a payment, and what they cost others."""

import secrets
import selectors
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from atomic_adapters.system import Sha256Hasher
from bench.measurement import BenchError, Measurement, Target, percentile
from bench.merchants import Merchant, create_merchants
from bench.options import Sizes
from bench.process_stats import measure_memory_mb
from bench.servers import BenchCluster, SystemUnderTest
from processes import PAUSE, Client

WAITERS: Final = 500

WAIT_SECONDS: Final = 30

SETTLE_SECONDS: Final = 2.0
"""From the last request until it is assumed to wait: a busy process takes a few milliseconds for
each."""

POST_PAUSE_SECONDS: Final = 0.02
"""Between two payments of the client that is measured: it samples latency, and adds no load."""

WARM_UP_REQUESTS: Final = 40
"""So many that both processes have the key in their caches."""

RECEIVE_BYTES: Final = 65_536

DELIVERED: Final = Target(1_000, "ms", at_least=False)
LATENCY: Final = Target(1.5, at_least=False)
MEMORY: Final = Target(50, "MB", at_least=False)


@dataclass
class _Run:
    quiet_ms: list[float] = field(default_factory=list)
    waiting_ms: list[float] = field(default_factory=list)
    delivered_ms: list[float] = field(default_factory=list)
    memory_mb: float = 0.0


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("longpoll")
    waiting, paying = create_merchants(system, 2)
    key = _add_key(system, waiting)
    system.api.start("api")
    system.start_workers("worker", "sweeper")
    _sample_posts(system, paying, 1.0)
    for _ in range(WARM_UP_REQUESTS):
        Client(system.api.base_url, key).request("GET", "/events")
    runs = [
        _measure_run(cluster, system, waiting, paying, key, sizes) for _ in range(sizes.repeats)
    ]
    return _build_measurements(runs)


def _measure_run(
    cluster: BenchCluster,
    system: SystemUnderTest,
    waiting: Merchant,
    paying: Merchant,
    key: str,
    sizes: Sizes,
) -> _Run:
    run = _Run()
    run.quiet_ms = _sample_posts(system, paying, sizes.fairness_seconds)
    memory_mb = measure_memory_mb(cluster, system)["atomic"]
    after = _get_last_sequence(system, waiting)
    with _waiting_requests(system, key, after) as sockets:
        PAUSE.wait(SETTLE_SECONDS)
        run.waiting_ms = _sample_posts(system, paying, sizes.fairness_seconds)
        run.memory_mb = measure_memory_mb(cluster, system)["atomic"] - memory_mb
        started = time.perf_counter()
        reply = Client(system.api.base_url, waiting.api_key).pay()
        if reply.status != 202:
            raise BenchError(f"the payment was answered {reply.status}")
        run.delivered_ms = _receive_events(sockets, reply.data["id"].encode(), started)
    return run


def _build_measurements(runs: list[_Run]) -> list[Measurement]:
    case = f"{WAITERS} waiting requests, "
    return [
        Measurement(
            figure="longpoll",
            case=case + "POST until the last has the event",
            unit="ms",
            values=[max(run.delivered_ms) for run in runs],
            target=DELIVERED,
            remark="of one merchant; the payment is settled meanwhile",
            extra={"median": [percentile(run.delivered_ms, 50) for run in runs]},
        ),
        Measurement(
            figure="longpoll",
            case=case + "POST of another merchant, median",
            unit="ms",
            values=[percentile(run.waiting_ms, 50) for run in runs],
            references=[percentile(run.quiet_ms, 50) for run in runs],
            target=LATENCY,
            remark="reference: without them",
            extra={
                "p95": [percentile(run.waiting_ms, 95) for run in runs],
                "p95Quiet": [percentile(run.quiet_ms, 95) for run in runs],
            },
        ),
        Measurement(
            figure="longpoll",
            case=case + "memory",
            unit="MB",
            # The first ones make the processes grow; later ones use the same memory.
            values=[max(run.memory_mb for run in runs)],
            target=MEMORY,
            remark=f"PSS; {max(run.memory_mb for run in runs) * 1e3 / WAITERS:.0f} KB each",
            extra={"mean": statistics.mean(run.memory_mb for run in runs)},
        ),
    ]


def _sample_posts(system: SystemUnderTest, merchant: Merchant, seconds: float) -> list[float]:
    """Create payments, each on a connection of its own; return the milliseconds of each."""
    client = Client(system.api.base_url, merchant.api_key)
    milliseconds: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        if client.pay(Idempotency_Key=secrets.token_hex(8)).status != 202:
            raise BenchError("a payment was not accepted")
        milliseconds.append((time.perf_counter() - started) * 1e3)
        PAUSE.wait(POST_PAUSE_SECONDS)
    return milliseconds


@contextmanager
def _waiting_requests(
    system: SystemUnderTest, key: str, after: int
) -> Iterator[list[socket.socket]]:
    port = urlsplit(system.api.base_url).port
    request = (
        f"GET /api/v1/events?after={after}&wait={WAIT_SECONDS} HTTP/1.1\r\nHost: bench\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    ).encode()
    sockets: list[socket.socket] = []
    try:
        for _ in range(WAITERS):
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS))
            sockets[-1].sendall(request)
        yield sockets
    finally:
        for client in sockets:
            client.close()


def _receive_events(sockets: list[socket.socket], payment_id: bytes, started: float) -> list[float]:
    """Receive a response on each connection; return the milliseconds until each."""
    milliseconds: list[float] = []
    with selectors.DefaultSelector() as selector:
        for client in sockets:
            selector.register(client, selectors.EVENT_READ)
        while len(milliseconds) < len(sockets):
            ready = selector.select(WAIT_SECONDS)
            if not ready:
                raise BenchError(f"{len(milliseconds)} of {len(sockets)} requests were answered")
            for key, _ in ready:
                client = sockets[sockets.index(key.fileobj)]  # type: ignore[arg-type]
                response = client.recv(RECEIVE_BYTES)
                milliseconds.append((time.perf_counter() - started) * 1e3)
                selector.unregister(client)
                if not response.startswith(b"HTTP/1.1 200") or payment_id not in response:
                    raise BenchError(f"a request was answered {response[:12]!r}{response[-200:]!r}")
    return milliseconds


def _get_last_sequence(system: SystemUnderTest, merchant: Merchant) -> int:
    with system.connect() as connection:
        row = connection.execute(
            "SELECT last_sequence FROM event_counters WHERE merchant_id = %s", (merchant.id,)
        ).fetchone()
    return row[0] if row else 0


def _add_key(system: SystemUnderTest, merchant: Merchant) -> str:
    key = "sk_test_" + secrets.token_hex(24)
    with system.connect() as connection:
        connection.execute(
            "INSERT INTO api_keys (id, merchant_id, name, prefix, hash, scopes)"
            " VALUES (uuidv7(), %s, 'waiting', 'sk_test_', %s, '{events:read}')",
            (merchant.id, Sha256Hasher().hash(key)),
        )
    return key
