"""A Valkey that tests kill and replace."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from atomic_adapters.embedded import EmbeddedValkey

DATABASES: Final = 16
"""That Valkey has unless it is configured otherwise."""


@dataclass
class ReplaceableValkey:
    """Its URL stays the same."""

    folder: Path
    server: EmbeddedValkey = field(init=False)
    _databases: Iterator[int] = field(default_factory=lambda: iter(range(DATABASES)), init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.server = EmbeddedValkey.start(self.folder)

    def create_database(self) -> str:
        """The URL of a database that no other caller gets: workers of two systems in one database
        would take each other's wake-ups. Raises StopIteration after DATABASES."""
        return f"{self.server.url}?db={next(self._databases)}"

    def kill(self) -> None:
        self.server.process.kill()
        self.server.process.wait()
        self.server.stop()
