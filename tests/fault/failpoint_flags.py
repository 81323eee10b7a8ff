"""Arms failpoints in other processes. A file named after the failpoint holds the action; the first
process that reaches the failpoint takes the file and executes the action, once."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

FLAGS_VARIABLE: Final = "ATOMIC_FAULT_FLAGS"
"""The environment variable that holds the folder of the flags."""


@dataclass(frozen=True, slots=True)
class FailpointFlags:
    folder: Path

    @classmethod
    def from_environ(cls) -> Self:
        return cls(Path(os.environ[FLAGS_VARIABLE]))

    def arm(self, failpoint: str, action: str) -> None:
        """Have the next process that reaches the failpoint execute the action."""
        self.disarm(failpoint)
        unpublished = self.folder / f".{failpoint}"
        unpublished.write_text(action)
        unpublished.rename(self.folder / failpoint)

    def disarm(self, failpoint: str) -> None:
        """Remove the action, whether it was taken or not."""
        (self.folder / failpoint).unlink(missing_ok=True)
        self._taken(failpoint).unlink(missing_ok=True)

    def take(self, failpoint: str) -> str | None:
        """Return the action, to exactly one caller; None if there is none."""
        flag = self.folder / failpoint
        # Checked at every call of a port: a stat is as cheap as the rename that would fail.
        if not flag.exists():
            return None
        with suppress(FileNotFoundError):
            flag.rename(self._taken(failpoint))
            return self._taken(failpoint).read_text()
        return None

    def is_taken(self, failpoint: str) -> bool:
        return self._taken(failpoint).exists()

    def _taken(self, failpoint: str) -> Path:
        return self.folder / f"{failpoint}.taken"
