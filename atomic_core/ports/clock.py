"""The wall clock."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC. For display and rate windows; money's times are the store's."""
        ...
