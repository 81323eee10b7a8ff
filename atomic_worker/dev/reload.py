"""Detects changes of the code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
FOLDERS: Final = ("atomic_core", "atomic_adapters", "atomic_web", "atomic_worker", "migrations")
SUFFIXES: Final = frozenset({".py", ".sql", ".lua"})


@dataclass(slots=True)
class FileWatcher:
    """Compares modification times with those of the previous scan. A scan of a few hundred files
    takes about a millisecond, and needs no dependency."""

    root: Path = ROOT
    _times_by_path: Mapping[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._times_by_path = self._scan()

    def list_changed_files(self) -> list[Path]:
        """Return the files that were created, deleted or changed since the last call."""
        previous, self._times_by_path = self._times_by_path, self._scan()
        current = self._times_by_path
        return sorted(
            path
            for path in previous.keys() | current.keys()
            if previous.get(path) != current.get(path)
        )

    def _scan(self) -> dict[Path, int]:
        times_by_path: dict[Path, int] = {}
        for folder in FOLDERS:
            for path in (self.root / folder).rglob("*"):
                if path.suffix in SUFFIXES:
                    try:
                        times_by_path[path] = path.stat().st_mtime_ns
                    except FileNotFoundError:
                        continue  # Deleted since it was listed, as editors do.
        return times_by_path
