"""A receiver of webhooks that fails in many ways, and what must have arrived at the end (I8)."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from standardwebhooks import Webhook, WebhookVerificationError

from fault.oracle import Oracle
from fault.webhook_endpoints import (
    COMPLETE,
    ENDLESS,
    ENDLESS_BYTES,
    ENDLESS_PART,
    GONE_AFTER,
    KINDS,
    OK,
    Endpoint,
    Kind,
)
from processes import Client, wait_until
from webhook_receivers import Certificates

DELIVERED_SECONDS: Final = 120
"""Until all events are delivered at the end. Only stops a run that hangs: the claim of a killed
worker ends after 21 s."""


HURRY: Final = """
WITH pending AS (
    UPDATE webhook_deliveries
       SET next_attempt_at = now()
     WHERE endpoint_id = ANY(%(ids)s::uuid[]) AND status = 'pending' AND next_attempt_at > now()
    RETURNING endpoint_id
)
UPDATE webhook_endpoints
   SET retry_at = CASE WHEN id IN (SELECT endpoint_id FROM pending) THEN now() ELSE retry_at END,
       paused_until = NULL
 WHERE id = ANY(%(ids)s::uuid[])
   AND (paused_until IS NOT NULL OR id IN (SELECT endpoint_id FROM pending))
"""
"""As if the time of each retry had come. A pause ends too: on a busy machine, an endpoint whose
answers come late is paused."""

FIND_ENDED: Final = """
SELECT disabled_reason,
       (SELECT count(*)
          FROM webhook_deliveries
         WHERE webhook_deliveries.endpoint_id = webhook_endpoints.id
           AND webhook_deliveries.status = 'succeeded'),
       (SELECT count(*)
          FROM webhook_attempts
          JOIN webhook_deliveries ON webhook_deliveries.id = webhook_attempts.delivery_id
         WHERE webhook_deliveries.endpoint_id = webhook_endpoints.id
           AND webhook_attempts.error LIKE 'TLS certificate not valid%%')
  FROM webhook_endpoints
 WHERE id = %s
"""


@dataclass
class WebhookReceiver:
    port: int
    bad_tls_port: int
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """By path."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    @contextmanager
    def run(cls, folder: Path) -> Iterator["WebhookReceiver"]:
        """`folder` gets a certificate."""
        server, bad_tls = _Server(), _Server()
        folder.mkdir()
        bad_tls.tls = Certificates(folder).server_context("127.0.0.1", is_self_signed=True)
        receiver = cls(server.server_address[1], bad_tls.server_address[1])
        server.receiver = bad_tls.receiver = receiver
        with server.serve(), bad_tls.serve():
            yield receiver

    def add_endpoint(self, client: Client, merchant_id: UUID, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        path = f"/{kind}/{number}"
        url = f"http://127.0.0.1:{self.port}{path}"
        if kind is Kind.BAD_TLS:
            url = f"https://127.0.0.1:{self.bad_tls_port}{path}"
        body = {"url": url, "ordered": kind.startswith("ordered")}
        created = client.request("POST", "/webhook-endpoints", body)
        assert created.status == 201, created.raw
        endpoint = created.data["endpoint"]
        self.endpoints[path] = Endpoint(
            endpoint["id"], merchant_id, kind, created.data["secret"], endpoint["position"]
        )

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
        """None: do not answer."""
        endpoint = self.endpoints[path]
        with self._lock:
            endpoint.requests += 1
            if endpoint.kind is Kind.HANGING:
                return None
            if (failure := endpoint.find_failure()) is not None:
                return failure
            try:
                Webhook(endpoint.secret).verify(body, dict(headers))
            except WebhookVerificationError as error:
                endpoint.invalid.append(str(error))
            endpoint.accepted.append((json.loads(body)["sequence"], headers["webhook-id"]))
            return ENDLESS if endpoint.is_endless else OK

    def check_deliveries(self, connection: psycopg.Connection[Any], oracle: Oracle) -> None:
        """Check I8, once everything is settled."""
        streams = {endpoint.merchant_id: {} for endpoint in self.endpoints.values()}
        rows = connection.execute(
            "SELECT merchant_id, sequence, id::text FROM events WHERE sequence IS NOT NULL"
        ).fetchall()
        for merchant_id, sequence, id in rows:
            streams.setdefault(merchant_id, {})[sequence] = id
        checked = [each for each in self.endpoints.values() if each.kind in COMPLETE]
        others = [each for each in self.endpoints.values() if each.kind not in COMPLETE]
        hurried = [each.id for each in self.endpoints.values() if each.kind is not Kind.HANGING]

        def is_complete() -> bool:
            connection.execute(HURRY, {"ids": hurried})
            connection.commit()
            return all(
                {number for number, _ in list(endpoint.accepted)}
                >= set(list_expected(endpoint, streams[endpoint.merchant_id]))
                for endpoint in checked
            ) and all(
                _has_ended(connection, endpoint, streams[endpoint.merchant_id])
                for endpoint in others
            )

        try:
            wait_until(is_complete, DELIVERED_SECONDS, "all webhooks are delivered")
        except AssertionError as error:
            oracle.add_violation("I8", str(error))
        for path, endpoint in self.endpoints.items():
            if endpoint.kind in COMPLETE:
                _check_endpoint(path, endpoint, streams[endpoint.merchant_id], oracle)
            else:
                stream = streams[endpoint.merchant_id]
                _check_failing_endpoint(path, endpoint, stream, connection, oracle)


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


def _is_gone(endpoint: Endpoint, stream: Mapping[int, str]) -> bool:
    """Whether an endpoint that is gone after some requests gets as many."""
    return len(list_expected(endpoint, stream)) > GONE_AFTER


def _has_ended(
    connection: psycopg.Connection[Any], endpoint: Endpoint, stream: Mapping[int, str]
) -> bool:
    """Whether an endpoint that does not get every event has failed in its way."""
    row = connection.execute(FIND_ENDED, [endpoint.id]).fetchone()
    connection.commit()
    assert row
    reason, _, tls_failures = row
    if endpoint.kind is Kind.GONE:
        return reason == "gone" or not _is_gone(endpoint, stream)
    return endpoint.kind is Kind.HANGING or tls_failures > 0


def _check_failing_endpoint(
    path: str,
    endpoint: Endpoint,
    stream: Mapping[int, str],
    connection: psycopg.Connection[Any],
    oracle: Oracle,
) -> None:
    row = connection.execute(FIND_ENDED, [endpoint.id]).fetchone()
    assert row
    reason, succeeded, _ = row
    if endpoint.kind is Kind.GONE and _is_gone(endpoint, stream):
        holds = reason == "gone" and len(endpoint.accepted) == GONE_AFTER
    elif endpoint.kind is Kind.GONE:
        holds = reason is None
    else:
        holds = succeeded == 0 and not endpoint.accepted
    details = f"{path}: {reason}, {succeeded} delivered, {len(endpoint.accepted)} accepted"
    oracle.check("I8", holds=holds, details=details)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: WebhookReceiver
    tls: ssl.SSLContext | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ended = threading.Event()

    @contextmanager
    def serve(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, name="receiver", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            self.shutdown()
            self.server_close()
            thread.join()

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.tls:
            connection.settimeout(DELIVERED_SECONDS)
            connection = self.tls.wrap_socket(connection, server_side=True)
        return connection, address

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
        if answer == ENDLESS:
            # The worker closes the connection after some of it.
            with suppress(OSError):
                for _ in range(ENDLESS_BYTES // len(ENDLESS_PART)):
                    self.wfile.write(ENDLESS_PART)
        if answer != OK:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""
