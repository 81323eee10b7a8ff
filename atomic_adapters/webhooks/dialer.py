"""Connects to receivers, and to no address that a webhook may not reach.

A name may resolve to another address at each look-up (DNS rebinding). So the name is resolved once,
each of its addresses is checked, and the connection goes to one of these addresses.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from atomic_adapters.webhooks.exchange import (
    CONNECT_SECONDS,
    Exchange,
    ExchangeSocket,
    SendFailed,
)
from atomic_core.domain.webhook_urls import Network, is_allowed_address

MAX_ABANDONED_LOOK_UPS: Final = 32
"""Look-ups that have not returned in time. Each keeps a thread, which Python cannot stop; with more
of them, no further look-up begins until one returns."""

Resolver = Callable[[str, int], Sequence[str]]
"""The IP addresses of a host name, for a port. Raises OSError."""


def resolve_name(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(slots=True)
class Dialer:
    allowed_networks: Sequence[Network]
    """Which may be connected to besides public addresses."""
    resolve: Resolver = resolve_name
    _abandoned: set[Future[Sequence[str]]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, host: str, port: int, exchange: Exchange) -> ExchangeSocket:
        """Raises SendFailed. One address that is not allowed refuses the whole name: which one is
        used would be chance."""
        deadline = min(exchange.deadline, time.monotonic() + CONNECT_SECONDS)
        addresses = self._look_up(host, port, deadline)
        for address in addresses:
            if not is_allowed_address(address, self.allowed_networks):
                raise SendFailed(f"private address: the host resolves to {address}")
        failure = SendFailed("name not found")
        for position, address in enumerate(addresses):
            # An address that does not respond leaves time for those after it.
            seconds = (deadline - time.monotonic()) / (len(addresses) - position)
            try:
                return _connect(address, port, seconds, exchange)
            except SendFailed as error:
                failure = error
        raise failure

    def _look_up(self, host: str, port: int, deadline: float) -> Sequence[str]:
        with self._lock:
            self._abandoned = {future for future in self._abandoned if not future.done()}
            if len(self._abandoned) >= MAX_ABANDONED_LOOK_UPS:
                raise SendFailed("name not found: too many look-ups have not returned")
        future: Future[Sequence[str]] = Future()
        threading.Thread(
            target=_run, args=(future, self.resolve, host, port), name="look-up", daemon=True
        ).start()
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            if future.done():
                raise SendFailed("name not found") from error
            with self._lock:
                self._abandoned.add(future)
            raise SendFailed("timed out while looking up the name") from error
        except (OSError, UnicodeError) as error:
            raise SendFailed("name not found") from error


def _run(future: Future[Sequence[str]], resolve: Resolver, host: str, port: int) -> None:
    try:
        future.set_result(resolve(host, port))
    except BaseException as error:  # noqa: BLE001 - raised to the caller by the future
        future.set_exception(error)


def _connect(address: str, port: int, seconds: float, exchange: Exchange) -> ExchangeSocket:
    if seconds <= 0:
        raise SendFailed("timed out while connecting")
    connection = ExchangeSocket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        connection.settimeout(seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((address, port))
    except TimeoutError as error:
        connection.close()
        raise SendFailed("timed out while connecting") from error
    except ConnectionRefusedError as error:
        connection.close()
        raise SendFailed("connection refused") from error
    except OSError as error:
        connection.close()
        raise SendFailed(f"cannot connect: {error.strerror or error}") from error
    connection.exchange = exchange
    # For the time before the sockets ask the exchange.
    connection.settimeout(exchange.get_seconds_left())
    return connection
