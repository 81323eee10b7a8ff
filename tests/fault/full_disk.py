"""A file system of adjustable size: PostgreSQL's disk can be filled without filling the host's."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

SIZE_MEGABYTES: Final = 4_096
"""More than a run of ten minutes writes. Only written data takes memory."""

MOUNT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class TmpfsDisk:
    """A tmpfs, where this user may mount one: Linux, as root. Elsewhere a plain folder that cannot
    be filled."""

    folder: Path
    unavailable_reason: str | None
    """Why it cannot be filled; None if it can."""

    @classmethod
    def create(cls, folder: Path) -> Self:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MEGABYTES}m", "atomic", str(folder)]
        try:
            mounted = subprocess.run(
                command, capture_output=True, text=True, timeout=MOUNT_SECONDS, check=False
            )
        except OSError as error:
            return cls(folder, f"cannot mount a tmpfs: {error}")
        if mounted.returncode:
            return cls(folder, f"cannot mount a tmpfs: {mounted.stderr.strip()}")
        return cls(folder, None)

    def fill(self, spare_bytes: int) -> None:
        """Shrink the file system until only `spare_bytes` are free."""
        self._resize(shutil.disk_usage(self.folder).used + spare_bytes)

    def restore_size(self) -> None:
        self._resize(SIZE_MEGABYTES * 2**20)

    def unmount(self) -> None:
        if self.unavailable_reason is None:
            subprocess.run(
                ["umount", "--lazy", str(self.folder)], check=True, timeout=MOUNT_SECONDS
            )

    def _resize(self, size_bytes: int) -> None:
        assert self.unavailable_reason is None, self.unavailable_reason
        # The kernel rounds to whole pages.
        pages = -(-size_bytes // 4_096)
        subprocess.run(
            ["mount", "-o", f"remount,size={pages * 4}k", str(self.folder)],
            check=True,
            timeout=MOUNT_SECONDS,
        )
