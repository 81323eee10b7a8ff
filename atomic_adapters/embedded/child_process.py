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
    """Start a program in a session of its own, so that a terminal's Ctrl-C does not reach it:
    its parent decides in which order things stop.

    On Linux it is sent `death_signal` when the thread that started it ends, however that comes
    about; so start children from a thread that lives as long as they should. `user` is a
    (uid, gid) to run as.
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
        # Only what cannot block with other threads gone: see below.
        preexec_fn=_dies_with_parent(death_signal),  # noqa: PLW1509
    )


def _dies_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # All that needs a lock or memory is done before the fork, where other threads still run.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number = int(death_signal)
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        # The parent may have died before the line above took effect.
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def wait_for_exit(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process has ended within this time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
