"""One request to a receiver and its answer: the time that is left, and the bytes that may be read.

The sockets ask the exchange before each operation, so that a receiver that sends one byte at a time
holds a thread no longer than one that does not answer.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

CONNECT_SECONDS: Final = 3.0
"""For all addresses of a name together, its look-up included."""

MAX_BYTES: Final = 65_536
"""Of an answer that are read, its headers included."""


class SendFailed(Exception):
    """The message says in words what went wrong."""


@dataclass(slots=True)
class Exchange:
    deadline: float
    """By time.monotonic()."""
    activity: str = "connecting"
    """What is under way, for the message of a time-out."""
    received: int = 0
    """Bytes of the answer."""

    @classmethod
    def begin(cls, seconds: float) -> "Exchange":
        return cls(time.monotonic() + seconds)

    def get_seconds_left(self) -> float:
        """Above 0. Raises SendFailed."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise self.time_out()
        return seconds

    def get_bytes_left(self) -> int:
        """At least 1. Raises SendFailed."""
        if self.received >= MAX_BYTES:
            raise SendFailed(f"the answer's headers are longer than {MAX_BYTES} bytes")
        return MAX_BYTES - self.received

    def time_out(self) -> SendFailed:
        return SendFailed(f"timed out while {self.activity}")


class ExchangeSocket(socket.socket):
    """A socket without TLS."""

    exchange: Exchange

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        size = min(nbytes or len(buffer), self.exchange.get_bytes_left())
        self.settimeout(self.exchange.get_seconds_left())
        try:
            count = super().recv_into(buffer, size, flags)
        except TimeoutError as error:
            raise self.exchange.time_out() from error
        self.exchange.received += count
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        # The time-out bounds the whole call.
        self.settimeout(self.exchange.get_seconds_left())
        try:
            super().sendall(data, flags)
        except TimeoutError as error:
            raise self.exchange.time_out() from error


class ExchangeTlsSocket(ssl.SSLSocket):
    """A socket with TLS. It does not block inside of the TLS library, which under gevent begins a
    new time-out with each byte of a record."""

    exchange: Exchange | None = None
    """None while `SSLContext.wrap_socket` creates the socket: the handshake follows later, bounded
    by the exchange."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - overrides
        if self.exchange is not None:
            self._perform(super().do_handshake)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        exchange = self._get_exchange()
        size = min(nbytes or len(buffer), exchange.get_bytes_left())
        receive = super().recv_into
        count = self._perform(lambda: receive(buffer, size, flags))
        exchange.received += count
        return count

    def send(self, data: Any, flags: int = 0) -> int:
        send = super().send
        return self._perform(lambda: send(data, flags))

    def _get_exchange(self) -> Exchange:
        if self.exchange is None:
            raise RuntimeError("the socket belongs to no exchange")
        return self.exchange

    def _perform(self, operation: Callable[[], Any]) -> Any:
        self.settimeout(0)
        while True:
            self._get_exchange().get_seconds_left()
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._await(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._await(select.POLLOUT)

    def _await(self, event: int) -> None:
        exchange = self._get_exchange()
        poll = select.poll()
        poll.register(self, event)
        if not poll.poll(exchange.get_seconds_left() * 1_000):
            raise exchange.time_out()
