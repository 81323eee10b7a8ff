"""Carries the requests of Stripe's client: bounded in time and size, never repeated, and with the
one difference that Stripe's own carriers do not make: whether a request has certainly not been
sent."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import stripe
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

CONNECT_SECONDS: Final = 3.0
"""Of opening a connection, with TLS. A network that accepts connections does so within one."""

MAX_BODY_BYTES: Final = 4_194_304
"""Of one response: a page of 100 objects takes about 300 KB."""

CHUNK_BYTES: Final = 65_536

_deadline: ContextVar[float] = ContextVar("deadline")
"""Of the requests of this thread, on the monotonic clock."""


class RequestNotSent(stripe.APIConnectionError):
    """No connection was opened, so Stripe has not seen the request."""


@contextmanager
def time_limit(deadline: float) -> Iterator[None]:
    """Requests of this thread end at the deadline, a moment on the monotonic clock."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


class StripeHttpClient(stripe.HTTPClient):
    """Every request needs `time_limit`. Raises RequestNotSent or APIConnectionError."""

    name = "urllib3"

    def __init__(self, connections: int) -> None:
        super().__init__()
        self._pool = urllib3.PoolManager(num_pools=2, maxsize=connections, retries=False)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        **_: object,
    ) -> tuple[str, int, Mapping[str, str]]:
        try:
            return self._exchange(method.upper(), url, headers, post_data)
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise RequestNotSent("no connection") from error
        except SSLError as error:
            if error.args and isinstance(error.args[0], ssl.SSLCertVerificationError):
                raise RequestNotSent("certificate not accepted") from error
            raise stripe.APIConnectionError("connection failed") from error
        except HTTPError as error:
            raise stripe.APIConnectionError("connection failed") from error

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        seconds = _measure_time_left()
        response = self._pool.request(
            method,
            url,
            body=body,
            headers=headers,
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(seconds, CONNECT_SECONDS), read=seconds),
        )
        try:
            content = _read_body(response)
        except BaseException:
            # The rest of the response would be taken for the next one.
            response.close()
            raise
        response.release_conn()
        return content.decode("utf-8", errors="replace"), response.status, response.headers

    def close(self) -> None:
        self._pool.clear()


def _measure_time_left() -> float:
    seconds = _deadline.get() - time.monotonic()
    if seconds <= 0:
        raise RequestNotSent("no time left")
    return seconds


def _read_body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Piece by piece, because a time-out of the connection bounds each piece, not all of them."""
    content = bytearray()
    while chunk := response.read1(CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise stripe.APIConnectionError("response too large")
        if time.monotonic() > _deadline.get():
            raise stripe.APIConnectionError("response too slow")
    return bytes(content)
