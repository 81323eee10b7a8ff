"""A Valkey that tests kill and replace."""

from dataclasses import dataclass, field
from pathlib import Path

from atomic_adapters.embedded import EmbeddedValkey


@dataclass
class ReplaceableValkey:
    """Its URL stays the same."""

    folder: Path
    server: EmbeddedValkey = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.server = EmbeddedValkey.start(self.folder)

    def kill(self) -> None:
        self.server.process.kill()
        self.server.process.wait()
        self.server.stop()
