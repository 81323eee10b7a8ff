"""What a mutant is: a small edit of the source that breaks a promise."""

from dataclasses import dataclass
from pathlib import Path


class StaleMutant(Exception):
    """The source has moved on: the text to edit is not there exactly once."""


@dataclass(frozen=True, slots=True)
class Edit:
    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Raises StaleMutant."""
        file = root / self.path
        text = file.read_text(encoding="utf-8")
        if (times := text.count(self.old)) != 1:
            raise StaleMutant(f"{self.path} has it {times} times: {self.old!r}")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    breaks: str
    """The promise, as whoever relies on it would say it."""
    edits: tuple[Edit, ...]
    likely: tuple[str, ...]
    """The tests that most likely notice: tried first, for the sake of time. All others come
    after."""
    faults: tuple[str, ...] = ()
    """The faults of tests/fault under which clients and the books come to harm. With
    `--checks fault` they alone must notice."""
