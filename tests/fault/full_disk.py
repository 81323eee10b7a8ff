"""A file system of a size that can be changed, so that a disk can be full without filling ours."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

SIZE_MEGABYTES: Final = 4_096
"""Far more than a run of ten minutes writes. Memory is used only for what is written."""

MOUNT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Volume:
    """A tmpfs, where this user may mount one: Linux, as root. Without it a plain folder, on which
    no disk is ever full."""

    folder: Path
    reason: str | None
    """Why it cannot be filled; None if it can."""

    @classmethod
    def make(cls, folder: Path) -> Self:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MEGABYTES}m", "atomic", str(folder)]
        try:
            mounted = subprocess.run(
                command, capture_output=True, text=True, timeout=MOUNT_SECONDS, check=False
            )
        except OSError as error:
            return cls(folder, f"no tmpfs can be mounted here: {error}")
        if mounted.returncode:
            return cls(folder, f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        return cls(folder, None)

    def fill(self, spare: int) -> None:
        """Leave `spare` bytes."""
        self._resize(shutil.disk_usage(self.folder).used + spare)

    def free(self) -> None:
        self._resize(SIZE_MEGABYTES * 2**20)

    def remove(self) -> None:
        if self.reason is None:
            subprocess.run(
                ["umount", "--lazy", str(self.folder)], check=True, timeout=MOUNT_SECONDS
            )

    def _resize(self, size: int) -> None:
        assert self.reason is None, self.reason
        # In whole pages, as the kernel counts.
        pages = -(-size // 4_096)
        subprocess.run(
            ["mount", "-o", f"remount,size={pages * 4}k", str(self.folder)],
            check=True,
            timeout=MOUNT_SECONDS,
        )
