"""The version of the store's schema."""

from collections.abc import Sequence
from typing import Protocol


class SchemaVersion(Protocol):
    def list_pending(self) -> Sequence[str]:
        """The ids of the migrations that this code includes and the store lacks, in order. Raises
        StorageUnavailable."""
        ...
