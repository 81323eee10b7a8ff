"""A mutant: a small edit of the source that breaks one guarantee."""

from dataclasses import dataclass
from pathlib import Path


class StaleMutant(Exception):
    """The source has changed: the text to replace does not occur exactly once."""


@dataclass(frozen=True, slots=True)
class Edit:
    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Raises StaleMutant."""
        file = root / self.path
        file.write_text(self.edit(file.read_text(encoding="utf-8")), encoding="utf-8")

    def edit(self, text: str) -> str:
        """Raises StaleMutant."""
        if (count := text.count(self.old)) != 1:
            raise StaleMutant(f"{self.path} contains this {count} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    guarantee: str
    """What the original code guarantees and the mutant breaks."""
    edits: tuple[Edit, ...]
    likely_tests: tuple[str, ...]
    """The tests that probably fail. They run first, to save time; all others follow."""
    faults: tuple[str, ...] = ()
    """The faults of tests/fault that reveal the mutant. With `--checks fault` they alone must
    catch it."""
