"""A service this process needs."""

from typing import Protocol


class Dependency(Protocol):
    """Something this process needs to do its work."""

    @property
    def name(self) -> str: ...

    @property
    def is_required(self) -> bool:
        """Whether nothing useful can be done without it."""
        ...

    def is_up(self) -> bool:
        """Whether it answers now. Bounded in time; never raises."""
        ...
