"""Noticing that the code has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
FOLDERS: Final = ("atomic_core", "atomic_adapters", "atomic_web", "atomic_worker", "migrations")
SUFFIXES: Final = frozenset({".py", ".sql", ".lua"})


@dataclass(slots=True)
class Watcher:
    """Compares the files' times with those it saw last. A few hundred files cost about a
    millisecond, and nothing has to be installed for it."""

    root: Path = ROOT
    _seen: Mapping[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._seen = self._look()

    def changed(self) -> list[Path]:
        """The files that came, went or changed since the last call."""
        now = self._look()
        before, self._seen = self._seen, now
        return sorted(
            path for path in before.keys() | now.keys() if before.get(path) != now.get(path)
        )

    def _look(self) -> dict[Path, int]:
        found: dict[Path, int] = {}
        for folder in FOLDERS:
            for path in (self.root / folder).rglob("*"):
                if path.suffix in SUFFIXES:
                    try:
                        found[path] = path.stat().st_mtime_ns
                    except FileNotFoundError:
                        continue  # gone since it was listed: an editor at work
        return found
