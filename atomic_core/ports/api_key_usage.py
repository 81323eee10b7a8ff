"""Recording when an API key was last used."""

from typing import Protocol
from uuid import UUID


class ApiKeyUsage(Protocol):
    def record_use(self, key_id: UUID) -> None:
        """Remember that a key was used, and let the store know of it now and then: once a minute
        for each key at most. Costs next to nothing, and is never an error; what is lost with a
        process is no harm."""
        ...
