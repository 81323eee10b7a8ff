"""Sends webhooks by HTTP."""

import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPException
from typing import Final

from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from atomic_adapters.webhooks.answers import Answer, describe_error, describe_status, read_answer
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

FIXED_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "Atomic-Webhooks/1"}


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

    def send(self, request: WebhookRequest) -> WebhookResult:
        headers = FIXED_HEADERS | build_headers(
            request.id, request.timestamp, request.body, request.secrets
        )
        started = time.monotonic()
        answer, error = Answer(), None
        try:
            answer = self._post(request.url, request.body, headers)
            error = describe_status(answer.status)
        except SendFailed as failure:
            error = str(failure)
        duration_ms = round((time.monotonic() - started) * 1_000)
        return WebhookResult(answer.status, error, duration_ms, answer.text, answer.retry_after)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises SendFailed."""
        if problem := find_url_problem(url, self._allowed_networks):
            raise SendFailed("private address" if problem == NOT_PUBLIC else "the URL is not valid")
        parts = parse_url(url)
        receiver, target = Receiver.of(parts), parts.request_uri
        if self._is_proxied and receiver.scheme == "http":
            target = parts._replace(fragment=None).url
            headers = {**headers, **self._pool.get_proxy_headers()}
        exchange = Exchange.begin(self._timeout.total_seconds())
        while True:
            connection = self._pool.take(receiver)
            is_reused = connection is not None
            connection = connection or self._pool.open(receiver)
            try:
                return self._exchange(connection, receiver, exchange, target, body, headers)
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
        target: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Answer:
        can_be_kept = False
        try:
            connection.begin(exchange)
            exchange.activity = "waiting for the answer"
            # A receiver may answer and close the connection before it has read everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    "POST", target, body, headers, preload_content=False, decode_content=False
                )
            response = connection.getresponse()
            exchange.activity = "reading the answer"
            answer = read_answer(response, exchange)
            can_be_kept = answer.is_complete and not connection.is_closed
            return answer
        finally:
            if can_be_kept:
                self._pool.keep(receiver, connection)
            else:
                connection.close()
