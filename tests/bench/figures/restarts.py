"""Connections that get no response while the API is stopped and started again."""

import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urlsplit

from bench.measurement import Measurement, Target
from bench.options import Sizes
from bench.servers import BenchCluster
from processes import PAUSE, System

CLIENTS: Final = 16
TIMEOUT_SECONDS: Final = 30
SERVING_SECONDS: Final = 0.5
"""How long the API serves between two restarts."""

REQUEST: Final = b"GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

ANSWERED: Final = "answered"
REFUSED: Final = "refused"

_COUNTING: Final = threading.Lock()


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("restarts")
    system.api.start("api")
    outcomes: Counter[str] = Counter()
    stop = threading.Event()
    restarts = 0
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [
            threads.submit(_connect_until, stop, system.api, outcomes) for _ in range(CLIENTS)
        ]
        try:
            while outcomes[ANSWERED] < sizes.restart_connections:
                PAUSE.wait(SERVING_SECONDS)
                system.api.running["api"].send_signal(signal.SIGTERM)
                system.api.running["api"].wait(TIMEOUT_SECONDS)
                system.api.start("api")
                restarts += 1
        finally:
            stop.set()
        for client in clients:
            client.result(TIMEOUT_SECONDS)
    unanswered = {
        name: count for name, count in outcomes.items() if name not in (ANSWERED, REFUSED)
    }
    return [
        Measurement(
            figure="restarts",
            case=f"{outcomes[ANSWERED]:,} connections over {restarts} restarts",
            unit="without a response",
            values=[sum(unanswered.values())],
            target=Target(0, "without a response", at_least=False),
            remark=f"a connection per request, {CLIENTS} clients; {outcomes[REFUSED]:,} refused",
            extra=dict(outcomes),
        )
    ]


def _connect_until(stop: threading.Event, api: System, outcomes: Counter[str]) -> None:
    address = ("127.0.0.1", urlsplit(api.base_url).port or 0)
    while not stop.is_set():
        outcome = _request(address)
        with _COUNTING:
            outcomes[outcome] += 1
        if outcome == REFUSED:
            PAUSE.wait(0.005)


def _request(address: tuple[str, int]) -> str:
    try:
        connection = socket.create_connection(address, TIMEOUT_SECONDS)
    except ConnectionRefusedError:
        return REFUSED
    except OSError as error:
        return f"{type(error).__name__} while connecting"
    with connection:
        try:
            connection.sendall(REQUEST)
            response = b"".join(iter(lambda: connection.recv(65_536), b""))
        except OSError as error:
            return type(error).__name__
    return ANSWERED if response.startswith(b"HTTP/1.1 200 ") else "closed without a response"
