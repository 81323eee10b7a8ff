"""What one process uses of what it shares: its connections, and what it could not do."""

from typing import Final, NamedTuple


class PoolLoad(NamedTuple):
    """Of the connections to the database."""

    size: int
    """Connections that are open."""
    in_use: int
    waiting: int
    """Callers that wait for one."""
    waits: int
    """Callers that have had to wait, since the process began."""
    wait_seconds: float
    """How long they have waited, together."""
    failures: int
    """Callers that got none in time."""


class ProcessLoad(NamedTuple):
    pool: PoolLoad
    lost_wakeups: int
    """Wake-ups that could not be sent, since the process began: the sweeper did their work."""


NO_LOAD: Final = ProcessLoad(PoolLoad(0, 0, 0, 0, 0.0, 0), 0)
