"""The wall clock."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, for display and rate limits. Ledger timestamps come from PostgreSQL's
        clock, not from this one."""
        ...
