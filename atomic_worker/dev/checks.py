"""What must be so before `atomic dev` starts anything."""

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
    """Hold this folder while the block runs. A killed holder lets go."""
    with (folder / "dev.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise click.ClickException(
                f"atomic dev is already running in this folder (process {holder})."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def check_port_is_free(host: str, port: int) -> None:
    """Raises ClickException, naming the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the server will: connections of its predecessor that are still closing are no
        # obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(
                f"Port {port} on {host} cannot be used: {error.strerror}. "
                "Stop what uses it, or choose another with PORT."
            ) from error


@dataclass(slots=True)
class Probe:
    """Asks a server for a page until it answers, without ever waiting for it."""

    host: str
    port: int
    path: str
    _connection: socket.socket | None = None

    def has_answered(self) -> bool:
        """Whether the page has been answered with 200 by now. To be asked again until so."""
        try:
            if self._connection is None:
                self._ask()
                return False
            answer = self._connection.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        self.close()
        return answer.startswith(b"HTTP/1.1 200")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self) -> None:
        # On this machine: it connects or is refused at once.
        self._connection = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n"
        self._connection.sendall(request.encode("ascii"))
        self._connection.settimeout(0)
