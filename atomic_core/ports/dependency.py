"""A service that this process uses."""

from typing import Protocol


class Dependency(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def is_required(self) -> bool:
        """Whether the process is not ready without it."""
        ...

    def is_up(self) -> bool:
        """Whether it responds now. Has a time-out; never raises."""
        ...
