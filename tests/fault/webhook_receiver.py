"""A receiver of webhooks that fails in many ways, and what must have arrived at the end (I8)."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from uuid import UUID

import psycopg
from standardwebhooks import Webhook, WebhookVerificationError

from fault.oracle import Oracle
from processes import Client, wait_until

DELIVERED_SECONDS: Final = 120
"""Until all events are delivered at the end. Only stops a run that hangs: the claim of a killed
worker ends after 21 s."""


class Kind(StrEnum):
    """How an endpoint answers."""

    GOOD = "good"
    ORDERED = "ordered"
    """As `good`; its events arrive in order."""
    FLAKY = "flaky"
    """Some requests fail in turn: 500, a redirect, no answer, an answer that is cut off."""
    ORDERED_FLAKY = "ordered-flaky"
    HANGING = "hanging"
    """Never answers: it must delay no other, and is not checked."""


KINDS: Final = tuple(Kind)

FAILING_REQUESTS: Final = {Kind.FLAKY: 10, Kind.ORDERED_FLAKY: 200}
"""Every such request fails. At each failure an ordered endpoint waits for 5 s."""

HURRY: Final = """
WITH pending AS (
    UPDATE webhook_deliveries
       SET next_attempt_at = now()
     WHERE status = 'pending' AND next_attempt_at > now()
    RETURNING endpoint_id
)
UPDATE webhook_endpoints
   SET retry_at = now(), paused_until = NULL
  FROM pending
 WHERE webhook_endpoints.id = pending.endpoint_id
"""
"""As if the time of each retry had come."""

FAILURES: Final = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",
)

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Endpoint:
    merchant_id: UUID
    kind: Kind
    secret: str
    position: int
    """After which its events begin."""
    requests: int = 0
    accepted: list[tuple[int, str]] = field(default_factory=list)
    """Sequence number and webhook-id of each request that was answered 200, in order."""
    invalid: list[str] = field(default_factory=list)


@dataclass
class WebhookReceiver:
    port: int
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """By path."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    @contextmanager
    def run(cls) -> Iterator["WebhookReceiver"]:
        server = _Server(("127.0.0.1", 0), _Handler)
        receiver = server.receiver = cls(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.ended.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def add_endpoint(self, client: Client, merchant_id: UUID, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        path = f"/{kind}/{number}"
        body = {"url": f"http://127.0.0.1:{self.port}{path}", "ordered": kind.startswith("ordered")}
        created = client.request("POST", "/webhook-endpoints", body)
        assert created.status == 201, created.raw
        self.endpoints[path] = Endpoint(
            merchant_id, kind, created.data["secret"], created.data["endpoint"]["position"]
        )

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
        """None: do not answer."""
        endpoint = self.endpoints[path]
        with self._lock:
            endpoint.requests += 1
            if endpoint.kind is Kind.HANGING:
                return None
            every = FAILING_REQUESTS.get(endpoint.kind)
            if every and endpoint.requests % every == 0:
                return FAILURES[endpoint.requests // every % len(FAILURES)]
            try:
                Webhook(endpoint.secret).verify(body, dict(headers))
            except WebhookVerificationError as error:
                endpoint.invalid.append(str(error))
            endpoint.accepted.append((json.loads(body)["sequence"], headers["webhook-id"]))
            return OK

    def check_deliveries(self, connection: psycopg.Connection[Any], oracle: Oracle) -> None:
        """Check I8, once everything is settled."""
        streams = {endpoint.merchant_id: {} for endpoint in self.endpoints.values()}
        rows = connection.execute(
            "SELECT merchant_id, sequence, id::text FROM events WHERE sequence IS NOT NULL"
        ).fetchall()
        for merchant_id, sequence, id in rows:
            streams.setdefault(merchant_id, {})[sequence] = id
        checked = [each for each in self.endpoints.values() if each.kind is not Kind.HANGING]

        def is_complete() -> bool:
            connection.execute(HURRY)
            connection.commit()
            return all(
                {number for number, _ in list(endpoint.accepted)}
                >= set(list_expected(endpoint, streams[endpoint.merchant_id]))
                for endpoint in checked
            )

        try:
            wait_until(is_complete, DELIVERED_SECONDS, "all webhooks are delivered")
        except AssertionError as error:
            oracle.add_violation("I8", str(error))
        for path, endpoint in self.endpoints.items():
            if endpoint.kind is not Kind.HANGING:
                _check_endpoint(path, endpoint, streams[endpoint.merchant_id], oracle)


def list_expected(endpoint: Endpoint, stream: Mapping[int, str]) -> list[int]:
    """The numbers of the events that the endpoint must get."""
    return [number for number in stream if number > endpoint.position]


def _check_endpoint(
    path: str, endpoint: Endpoint, stream: Mapping[int, str], oracle: Oracle
) -> None:
    expected = {(number, stream[number]) for number in list_expected(endpoint, stream)}
    received = set(endpoint.accepted)
    oracle.check("I8", holds=not endpoint.invalid, details=f"{path}: {endpoint.invalid[:3]}")
    for number, id in sorted(expected | received):
        holds = (number, id) in expected and (number, id) in received
        oracle.check("I8", holds=holds, details=f"{path}: event {number}, {id}")
    if endpoint.kind.startswith("ordered"):
        first_times = list(dict.fromkeys(number for number, _ in endpoint.accepted))
        is_sorted = first_times == sorted(first_times)
        oracle.check("I8", holds=is_sorted, details=f"{path}: not in order: {first_times[:100]}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: WebhookReceiver

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ended = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that is killed resets its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        assert isinstance(server, _Server)
        answer = server.receiver.answer(self.path, dict(self.headers), body)
        if answer is None:
            server.ended.wait()
            return
        self.wfile.write(answer)
        if answer != OK:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""
