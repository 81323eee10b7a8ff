"""HTTP connections to receivers: opened through the dialer, and kept for further requests."""

import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

from atomic_adapters.webhooks.dialer import Dialer
from atomic_adapters.webhooks.exchange import Exchange, ExchangeSocket, ExchangeTlsSocket

MAX_IDLE: Final = 256
"""Connections that are kept, each with a file descriptor."""

MAX_IDLE_PER_RECEIVER: Final = 64
"""As many as a process sends at once by default: several endpoints can have one host."""

IDLE_SECONDS: Final = 55.0
"""Less than the 60 s after which common servers and load balancers close an idle connection."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Receiver(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    """As in the URL; an IPv6 address without brackets."""
    port: int

    @classmethod
    def of(cls, url: Url) -> "Receiver":
        scheme = url.scheme or ""
        host = (url.host or "").removeprefix("[").removesuffix("]")
        return cls(scheme, host, url.port or DEFAULT_PORTS[scheme])


class ReceiverConnection(HTTPConnection):
    sock: ExchangeSocket | ExchangeTlsSocket | None
    dialer: Dialer
    exchange: Exchange

    def begin(self, exchange: Exchange) -> ExchangeSocket | ExchangeTlsSocket:
        """Before each request: connect if needed, and bound the socket by the exchange. Raises
        SendFailed and what the sockets raise."""
        self.exchange = exchange
        self.timeout = exchange.get_seconds_left()
        if self.sock is None:
            self.connect()
        if self.sock is None:
            raise RuntimeError("the connection has no socket")
        self.sock.exchange = exchange
        return self.sock

    def _new_conn(self) -> socket.socket:
        return self.dialer.connect(self._dns_host, self.port, self.exchange)


class TlsReceiverConnection(ReceiverConnection, HTTPSConnection):
    def begin(self, exchange: Exchange) -> ExchangeSocket | ExchangeTlsSocket:
        is_new = self.sock is None
        socket = super().begin(exchange)
        if is_new and isinstance(socket, ExchangeTlsSocket):
            exchange.activity = "negotiating TLS"
            socket.do_handshake()
        return socket


def create_tls_context() -> ssl.SSLContext:
    """Verifies certificates and host names, with the certificate authorities of the system."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(slots=True)
class ConnectionPool:
    """Opens connections, and keeps those that can serve a further request."""

    dialer: Dialer
    tls_context: ssl.SSLContext
    proxy: str | None
    """A forward proxy, which then resolves the names."""
    _idle: dict[ReceiverConnection, tuple[float, Receiver]] = field(default_factory=dict)
    """Since when, and whose. Oldest first."""
    _by_receiver: dict[Receiver, list[ReceiverConnection]] = field(default_factory=dict)
    """The same connections, oldest first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.tls_context.sslsocket_class = ExchangeTlsSocket

    def take(self, receiver: Receiver) -> ReceiverConnection | None:
        """A connection that has served before, and is not closed as far as this side knows."""
        while True:
            with self._lock:
                unused = self._remove_old()
                latest = self._by_receiver.get(receiver)
                connection = self._remove(latest[-1]) if latest else None
            _close_all(unused)
            if connection is None or connection.is_connected:
                return connection
            connection.close()

    def open(self, receiver: Receiver) -> ReceiverConnection:
        """A connection that is not connected yet."""
        through = parse_url(self.proxy) if self.proxy else None
        host, port = receiver.host, receiver.port
        if through is not None:
            _, host, port = Receiver.of(through)
        connection: ReceiverConnection
        if receiver.scheme == "https":
            connection = TlsReceiverConnection(host, port, ssl_context=self.tls_context)
        else:
            connection = ReceiverConnection(host, port)
        if through is not None and receiver.scheme == "https":
            connection.set_tunnel(receiver.host, receiver.port, self.get_proxy_headers())
        connection.dialer = self.dialer
        return connection

    def keep(self, receiver: Receiver, connection: ReceiverConnection) -> None:
        """For a further request. Above the bounds, the oldest connections are closed."""
        surplus: list[ReceiverConnection] = []
        with self._lock:
            self._idle[connection] = (time.monotonic(), receiver)
            same = self._by_receiver.setdefault(receiver, [])
            same.append(connection)
            if len(same) > MAX_IDLE_PER_RECEIVER:
                surplus.append(self._remove(same[0]))
            elif len(self._idle) > MAX_IDLE:
                surplus.append(self._remove(next(iter(self._idle))))
        _close_all(surplus)

    def close(self) -> None:
        with self._lock:
            connections = list(self._idle)
            self._idle.clear()
            self._by_receiver.clear()
        _close_all(connections)

    def get_proxy_headers(self) -> Mapping[str, str]:
        credentials = parse_url(self.proxy).auth if self.proxy else None
        if not credentials:
            return {}
        encoded = base64.b64encode(unquote(credentials).encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {encoded}"}

    def _remove_old(self) -> list[ReceiverConnection]:
        latest = time.monotonic() - IDLE_SECONDS
        removed: list[ReceiverConnection] = []
        while self._idle:
            connection, (since, _) = next(iter(self._idle.items()))
            if since >= latest:
                break
            removed.append(self._remove(connection))
        return removed

    def _remove(self, connection: ReceiverConnection) -> ReceiverConnection:
        _, receiver = self._idle.pop(connection)
        same = self._by_receiver[receiver]
        same.remove(connection)
        if not same:
            del self._by_receiver[receiver]
        return connection


def _close_all(connections: Iterable[ReceiverConnection]) -> None:
    """Without the pool's lock: closing takes a system call, or more with TLS."""
    for connection in connections:
        connection.close()
