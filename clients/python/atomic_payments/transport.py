"""Requests over HTTP with retries. The standard library only: a payment client is a dependency of
the most careful services, and needs one connection per thread and JSON."""

import http.client
import json
import random
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import quote, urlencode, urlsplit

from atomic_payments.errors import TransportError, build_error

BASE_PATH: Final = "/api/v1"
FIRST_DELAY: Final = 0.25
MAX_DELAY: Final = 8.0
"""Seconds between two tries, unless the server names a longer time."""
USER_AGENT: Final = "atomic-payments-python/0.1.0"

Query = Mapping[str, str | int | None]


@dataclass(slots=True)
class Transport:
    """Sends requests to one server. Each thread has a connection of its own."""

    base_url: str
    api_key: str
    timeout: float
    max_retries: int
    max_retry_after: float
    sleep: Callable[[float], None] = time.sleep
    _local: threading.local = field(default_factory=threading.local)
    _connections: weakref.WeakSet[http.client.HTTPConnection] = field(
        default_factory=weakref.WeakSet[http.client.HTTPConnection]
    )
    """Of all threads that live."""

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Query | None = None,
        idempotency_key: str | None = None,
        wait: float = 0,
    ) -> Any:
        """The `data` of the response. Every POST and PATCH has an Idempotency-Key, the same in each
        try, so a request whose answer is lost takes effect once. Raises ApiError, and
        TransportError if there is no answer."""
        headers = {"Authorization": f"Bearer {self.api_key}", "User-Agent": USER_AGENT}
        content = None
        if method in ("POST", "PATCH"):
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
            headers["Content-Type"] = "application/json"
            content = json.dumps(body or {}).encode()
        given = {name: value for name, value in (query or {}).items() if value is not None}
        url = f"{urlsplit(self.base_url).path.rstrip('/')}{BASE_PATH}{path}"
        url += f"?{urlencode(given)}" if given else ""
        tries = 0
        while True:
            delay = self._compute_delay(tries)
            try:
                status, answer_headers, answer = self._send(method, url, content, headers, wait)
            except (OSError, http.client.HTTPException) as error:
                if tries >= self.max_retries:
                    raise TransportError(f"{method} {path}: no answer: {error}") from error
            else:
                if status < 300:
                    return cast(dict[str, Any], json.loads(answer))["data"]
                failure = build_error(status, answer_headers, answer)
                delay = max(delay, failure.retry_after or 0)
                has_tries_left = tries < self.max_retries and delay <= self.max_retry_after
                if not (failure.retryable and has_tries_left):
                    raise failure
            tries += 1
            self.sleep(delay)

    def _send(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: Mapping[str, str],
        wait: float,
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = self._get_connection()
        connection.timeout = self.timeout + wait
        if connection.sock is not None:
            connection.sock.settimeout(self.timeout + wait)
        try:
            connection.request(method, url, content, dict(headers))
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            # Half an answer may be left in it.
            connection.close()
            raise
        return response.status, {k.lower(): v for k, v in response.getheaders()}, answer

    def _get_connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            parts = urlsplit(self.base_url)
            is_plain = parts.scheme == "http"
            kind = http.client.HTTPConnection if is_plain else http.client.HTTPSConnection
            connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
            self._local.connection = connection
            self._connections.add(connection)
        return connection

    def close(self) -> None:
        """Close the connections of all threads. A later request opens one again."""
        for connection in list(self._connections):
            connection.close()

    def _compute_delay(self, tries: int) -> float:
        """Exponential, with a random half: clients that failed together do not return together."""
        longest = min(MAX_DELAY, FIRST_DELAY * 2**tries)
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - no secret


def quote_id(id: str) -> str:
    return quote(id, safe="")
