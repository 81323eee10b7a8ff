"""How the run tells a process of the system to do something once, at an exact place: a file with
the place's name is an order, and whoever removes it carries it out."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

VARIABLE: Final = "ATOMIC_FAULT_FLAGS"
"""Where the processes under test find the folder."""


@dataclass(frozen=True, slots=True)
class Flags:
    folder: Path

    @classmethod
    def of_environment(cls) -> Self:
        return cls(Path(os.environ[VARIABLE]))

    def raise_(self, name: str, order: str) -> None:
        """Give the order: the next who comes by the place takes it."""
        self.lower(name)
        fresh = self.folder / f".{name}"
        fresh.write_text(order)
        fresh.rename(self.folder / name)

    def lower(self, name: str) -> None:
        """Take back an order that nobody took, and forget that one was."""
        (self.folder / name).unlink(missing_ok=True)
        self._taken(name).unlink(missing_ok=True)

    def take(self, name: str) -> str | None:
        """The order, for exactly one of all who ask."""
        flag = self.folder / name
        # Asked at every call of a port: looking costs a microsecond, a failed rename as much.
        if not flag.exists():
            return None
        with suppress(FileNotFoundError):
            flag.rename(self._taken(name))
            return self._taken(name).read_text()
        return None

    def is_taken(self, name: str) -> bool:
        return self._taken(name).exists()

    def _taken(self, name: str) -> Path:
        return self.folder / f"{name}.taken"
