"""Sends webhooks by HTTP."""

import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from http.client import HTTPException
from typing import Final, NamedTuple

from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from atomic_adapters.webhooks.answer_reader import AnswerReader
from atomic_adapters.webhooks.answers import Answer, describe_error, describe_status
from atomic_adapters.webhooks.connections import (
    ConnectionPool,
    Receiver,
    ReceiverConnection,
    create_tls_context,
)
from atomic_adapters.webhooks.dialer import Dialer, Resolver, resolve_name
from atomic_adapters.webhooks.exchange import Exchange, SendFailed
from atomic_adapters.webhooks.signature import build_headers
from atomic_core.domain.webhook_urls import EVERY_NETWORK, NOT_PUBLIC, Network, find_url_problem
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult

DEFAULT_TIMEOUT: Final = timedelta(seconds=10)

FIXED_HEADERS: Final = {
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "Atomic-Webhooks/1",
}

MAX_TARGETS: Final = 1_024
"""URLs whose checked and parsed form is kept. Addresses are checked at each connection."""


class _Target(NamedTuple):
    """A URL that was checked."""

    receiver: Receiver
    head: str
    """The beginning of each request to it."""

    def build_message(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """One message, which one system call sends."""
        length = {"Content-Length": str(len(body))}
        return f"{self.head}{_format_headers({**headers, **length})}\r\n".encode("ascii") + body


class HttpWebhookSender:
    """POSTs webhooks: signed, without following redirects, without the proxies that environment
    variables name, and only to allowed addresses."""

    def __init__(
        self,
        allowed_networks: Sequence[Network] = (),
        timeout: timedelta = DEFAULT_TIMEOUT,
        proxy: str | None = None,
        resolve: Resolver = resolve_name,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout` bounds each request with its answer. Webhooks go to public addresses and to
        `allowed_networks`. With a proxy, only addresses in URLs are checked here: it resolves the
        names, and must itself refuse private addresses."""
        self._allowed_networks = tuple(allowed_networks)
        self._timeout = timeout
        self._is_proxied = proxy is not None
        dialer = Dialer(EVERY_NETWORK if self._is_proxied else self._allowed_networks, resolve)
        self._pool = ConnectionPool(dialer, tls_context or create_tls_context(), proxy)
        self._get_target = lru_cache(MAX_TARGETS)(self._build_target)

    def send(self, request: WebhookRequest) -> WebhookResult:
        headers = build_headers(request.id, request.timestamp, request.body, request.secrets)
        started = time.monotonic()
        answer, error = Answer(), None
        try:
            target = self._get_target(request.url)
            answer = self._post(target, target.build_message(headers, request.body))
            error = describe_status(answer.status)
        except SendFailed as failure:
            error = str(failure)
        duration_ms = round((time.monotonic() - started) * 1_000)
        return WebhookResult(answer.status, error, duration_ms, answer.text, answer.retry_after)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _build_target(self, url: str) -> "_Target":
        """Raises SendFailed."""
        if problem := find_url_problem(url, self._allowed_networks):
            raise SendFailed("private address" if problem == NOT_PUBLIC else "the URL is not valid")
        parts = parse_url(url)
        receiver, path = Receiver.of(parts), parts.request_uri
        headers = {"Host": parts.netloc or "", **FIXED_HEADERS}
        if self._is_proxied and receiver.scheme == "http":
            path = parts._replace(fragment=None).url
            headers |= self._pool.get_proxy_headers()
        return _Target(receiver, f"POST {path} HTTP/1.1\r\n{_format_headers(headers)}")

    def _post(self, target: "_Target", message: bytes) -> Answer:
        """Raises SendFailed."""
        receiver = target.receiver
        exchange = Exchange.begin(self._timeout.total_seconds())
        while True:
            connection = self._pool.take(receiver)
            is_reused = connection is not None
            connection = connection or self._pool.open(receiver)
            try:
                return self._exchange(connection, receiver, exchange, message)
            except (OSError, HTTPException, HTTPError) as error:
                # The receiver may close an idle connection at the moment of its next use: it has
                # read nothing then, or it recognizes the webhook-id.
                if not (is_reused and exchange.received == 0):
                    raise describe_error(error, exchange) from error

    def _exchange(
        self,
        connection: ReceiverConnection,
        receiver: Receiver,
        exchange: Exchange,
        message: bytes,
    ) -> Answer:
        can_be_kept = False
        try:
            socket = connection.begin(exchange)
            exchange.activity = "waiting for the answer"
            # A receiver may answer and close the connection before it has read everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                socket.sendall(message)
            answer = AnswerReader(socket, exchange).read()
            can_be_kept = answer.is_reusable
            return Answer.of(answer)
        finally:
            if can_be_kept:
                self._pool.keep(receiver, connection)
            else:
                connection.close()


def _format_headers(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
