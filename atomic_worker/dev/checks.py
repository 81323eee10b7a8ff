"""Checks that `atomic dev` makes before and during its start."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

CONNECT_SECONDS: Final = 0.5


@contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Lock the folder while the block runs. The kernel releases the lock of a killed process.

    Raises ClickException if another process holds the lock.
    """
    with (folder / "dev.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            process_id = lock.read().strip() or "unknown"
            raise click.ClickException(
                f"atomic dev is already running in this folder (process {process_id})."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def check_port_is_free(host: str, port: int, variable: str = "PORT") -> None:
    """Raise ClickException if the port, which the variable sets, cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # As the server does: closing connections of its predecessor do not block the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise click.ClickException(
                f"Port {port} on {host} cannot be used: {error.strerror}. "
                f"Stop what uses it, or choose another with {variable}."
            ) from error


@dataclass(slots=True)
class HealthProbe:
    """Polls a server for a page without blocking."""

    host: str
    port: int
    path: str
    _connection: socket.socket | None = None

    def has_succeeded(self) -> bool:
        """Whether the server has responded with 200. Call it until it returns True: a call sends
        the request, or reads the response if it has arrived."""
        try:
            if self._connection is None:
                self._send_request()
                return False
            response = self._connection.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        self.close()
        return response.startswith(b"HTTP/1.1 200")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send_request(self) -> None:
        # A connection to this machine succeeds or is refused at once.
        self._connection = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n"
        self._connection.sendall(request.encode("ascii"))
        self._connection.settimeout(0)
