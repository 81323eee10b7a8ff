"""The events of card networks: stored once, acted on, and deleted."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from atomic_core.domain.network_events import NetworkEvent


class NetworkEventRepository(Protocol):
    def add(self, event: NetworkEvent) -> bool:
        """Store an event that is due at once. False if its network has sent one with this id
        before."""
        ...

    def lock_due(self, limit: int) -> Sequence[NetworkEvent]:
        """Up to `limit` events of payments and refunds that are due, oldest first, locked until the
        unit of work ends. Skips those that another unit of work has locked."""
        ...

    def lock_due_of_disputes(self, network: str, limit: int) -> Sequence[NetworkEvent]:
        """As `lock_due`, those of one network's disputes."""
        ...

    def lease(self, events: Sequence[NetworkEvent], lease: timedelta) -> None:
        """Make the events due again when `lease` ends, unless they are finished before."""
        ...

    def finish(self, events: Sequence[NetworkEvent]) -> None:
        """Keep the events, and act on them no more."""
        ...

    def postpone(self, events: Sequence[NetworkEvent], delay: timedelta) -> None:
        """Make the events due after `delay`, and count it."""
        ...

    def purge(self, age: timedelta, limit: int) -> int:
        """Delete up to `limit` events that were received `age` ago and are not due; return how
        many."""
        ...
