"""Temporary folders of tests, and the deletion of those that killed processes left behind.

A process locks each folder that it creates. The lock ends with the process, however it ends, so
that a later run deletes the folder and never that of a live run.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK_NAME: Final = ".owner.lock"

LEFTOVER_SECONDS: Final = 24 * 3600
"""The age at which a folder without a lock counts as left behind."""

UNMOUNT_SECONDS: Final = 10

_LOCKED: Final = re.compile(r"(atomic|atomic-(bench|dev|fault)|mutant)-[a-z0-9_]{8}")
"""The folders that tests create here. A socket directory of `make run` has a longer name."""

_NUMBERED: Final = re.compile(r"atomic-metrics-(?P<pid>[0-9]+)-[a-z0-9_]{8}")
"""The folders of an API server's metrics."""


def create_scratch_folder(prefix: str) -> Path:
    """Create a folder in the temporary directory that belongs to this process. Its path is short,
    because those of Unix sockets are limited."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    assert _LOCKED.fullmatch(folder.name), f"{folder.name} would not be found again"
    # Left open: closing it, as the end of the process does, would unlock the folder.
    lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A folder that is deleted when the block ends."""
    folder = create_scratch_folder(prefix)
    try:
        yield folder
    finally:
        # Servers of killed tests may still be stopping.
        shutil.rmtree(folder, ignore_errors=True)


def delete_leftovers(directory: Path) -> list[str]:
    """Delete the folders in this directory whose processes have ended; return their names."""
    return sorted(path.name for path in directory.iterdir() if _delete_leftover(path))


def _delete_leftover(folder: Path) -> bool:
    try:
        status = folder.lstat()
        if folder.is_symlink() or not folder.is_dir() or status.st_uid != os.geteuid():
            return False
        if number := _NUMBERED.fullmatch(folder.name):
            is_left = _is_old(folder) and not _is_running(int(number["pid"]))
            return is_left and _delete(folder)
        return bool(_LOCKED.fullmatch(folder.name)) and _delete_unless_locked(folder)
    except FileNotFoundError:
        return False  # Its owner, or another run, has deleted it meanwhile.


def _delete_unless_locked(folder: Path) -> bool:
    locks = [path for path in folder.iterdir() if path.name.endswith(".lock")]
    if LOCK_NAME not in {path.name for path in locks} and not _is_old(folder):
        return False  # It is being created or deleted, or an earlier version has created it.
    taken: list[int] = []
    try:
        # Running servers lock files beside their data, with or without an owner.
        for path in locks:
            taken.append(os.open(path, os.O_RDWR))
            fcntl.flock(taken[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _delete(folder)
    except BlockingIOError:
        return False
    finally:
        for lock in taken:
            os.close(lock)


def _delete(folder: Path) -> bool:
    for path in folder.iterdir():
        if path.is_mount():
            command = ["umount", "--lazy", str(path)]
            subprocess.run(command, check=False, timeout=UNMOUNT_SECONDS)
    # What remains, such as files of a server that is still stopping, is left to the next run.
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _is_old(folder: Path) -> bool:
    return time.time() - folder.stat().st_mtime > LEFTOVER_SECONDS


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
