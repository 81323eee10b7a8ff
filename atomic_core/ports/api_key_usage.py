"""Recording when an API key was last used."""

from typing import Protocol
from uuid import UUID


class ApiKeyUsage(Protocol):
    def record_use(self, key_id: UUID) -> None:
        """Record that a key was used just now. Buffered: a key is written at most once per
        minute, and records are lost if the process dies. Never raises."""
        ...
