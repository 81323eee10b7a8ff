"""Child processes that do not outlive their parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_PR_SET_PDEATHSIG: Final = 1

Stream = int | IO[bytes]


def start_child(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: Stream | None = None,
    stderr: Stream | None = None,
    user: tuple[int, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in its own session, so that a terminal's Ctrl-C does not reach it and the
    parent controls the order of shutdown.

    On Linux the child gets `death_signal` when the thread that started it ends for any reason:
    start it from a thread that lives as long as the child should. `user` is the (uid, gid) to run
    as.
    """
    uid, gid = user or (None, None)
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=env,
        cwd=cwd,
        user=uid,
        group=gid,
        extra_groups=None if user is None else [],
        start_new_session=True,
        # Safe after a fork of a multi-threaded process: it takes no lock, see below.
        preexec_fn=_build_preexec(death_signal),  # noqa: PLW1509
    )


def _build_preexec(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Everything that takes a lock or allocates memory happens before the fork.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number = int(death_signal)
    parent = os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        # The parent may have died before prctl took effect.
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


def wait_for_exit(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process has ended within this time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
