"""HTTP connections to receivers: opened through the dialer, and kept for further requests."""

import base64
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

from atomic_adapters.webhooks.dialer import Dialer
from atomic_adapters.webhooks.exchange import Exchange, ExchangeSocket, ExchangeTlsSocket

MAX_IDLE: Final = 256
"""Connections that are kept, each with a file descriptor."""

MAX_IDLE_PER_RECEIVER: Final = 10
"""As many as one endpoint has requests at once."""

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

    def begin(self, exchange: Exchange) -> None:
        """Before each request: connect if needed, and bound the sockets by the exchange. Raises
        SendFailed and what the sockets raise."""
        self.exchange = exchange
        self.timeout = exchange.get_seconds_left()
        if self.sock is None:
            self.connect()
        if self.sock is not None:
            self.sock.exchange = exchange

    def _new_conn(self) -> socket.socket:
        return self.dialer.connect(self._dns_host, self.port, self.exchange)


class TlsReceiverConnection(ReceiverConnection, HTTPSConnection):
    def begin(self, exchange: Exchange) -> None:
        is_new = self.sock is None
        super().begin(exchange)
        if is_new and isinstance(self.sock, ExchangeTlsSocket):
            exchange.activity = "negotiating TLS"
            self.sock.do_handshake()


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
    _idle: list[tuple[float, Receiver, ReceiverConnection]] = field(default_factory=list)
    """Oldest first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.tls_context.sslsocket_class = ExchangeTlsSocket

    def take(self, receiver: Receiver) -> ReceiverConnection | None:
        """A connection that has served before, and is not closed as far as this side knows."""
        with self._lock:
            self._drop_old()
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][1] == receiver:
                    *_, connection = self._idle.pop(index)
                    if connection.is_connected:
                        return connection
                    connection.close()
        return None

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
        with self._lock:
            self._idle.append((time.monotonic(), receiver, connection))
            same = [entry for entry in self._idle if entry[1] == receiver]
            if len(same) > MAX_IDLE_PER_RECEIVER:
                self._drop(same[0])
            elif len(self._idle) > MAX_IDLE:
                self._drop(self._idle[0])

    def close(self) -> None:
        with self._lock:
            while self._idle:
                self._drop(self._idle[0])

    def get_proxy_headers(self) -> Mapping[str, str]:
        credentials = parse_url(self.proxy).auth if self.proxy else None
        if not credentials:
            return {}
        encoded = base64.b64encode(unquote(credentials).encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {encoded}"}

    def _drop_old(self) -> None:
        latest = time.monotonic() - IDLE_SECONDS
        while self._idle and self._idle[0][0] < latest:
            self._drop(self._idle[0])

    def _drop(self, entry: tuple[float, Receiver, ReceiverConnection]) -> None:
        self._idle.remove(entry)
        entry[2].close()
