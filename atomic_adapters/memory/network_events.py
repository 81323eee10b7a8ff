"""Events of card networks in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from operator import itemgetter

from atomic_adapters.memory.tables import MemorySession, NetworkEventRow
from atomic_core.domain.network_events import NetworkEvent


@dataclass(frozen=True, slots=True)
class MemoryNetworkEventRepository:
    session: MemorySession

    def add(self, event: NetworkEvent) -> bool:
        tables = self.session.tables
        key = (event.network, event.id)
        if key in tables.network_events.rows:
            return False
        now = tables.clock.now()
        tables.network_events.put(key, NetworkEventRow(event, now, now))
        return True

    def lock_due(self, limit: int) -> Sequence[NetworkEvent]:
        return self._list_due(None, limit)

    def lock_due_of_disputes(self, network: str, limit: int) -> Sequence[NetworkEvent]:
        return self._list_due(network, limit)

    def _list_due(self, network: str | None, limit: int) -> Sequence[NetworkEvent]:
        """Those of a network's disputes; without a network, the others."""
        tables = self.session.tables
        now = tables.clock.now()
        due = [
            (row.due_at, key, row.event)
            for key, row in tables.network_events.rows.items()
            if row.due_at is not None
            and row.due_at <= now
            and network == (row.event.network if row.event.dispute_reference else None)
        ]
        return [event for _, _, event in sorted(due, key=itemgetter(0, 1))[:limit]]

    def lease(self, events: Sequence[NetworkEvent], lease: timedelta) -> None:
        tables = self.session.tables
        for event in events:
            key = (event.network, event.id)
            due_at = tables.clock.now() + lease
            tables.network_events.put(key, replace(tables.network_events.rows[key], due_at=due_at))

    def finish(self, events: Sequence[NetworkEvent]) -> None:
        table = self.session.tables.network_events
        for event in events:
            key = (event.network, event.id)
            table.put(key, replace(table.rows[key], due_at=None))

    def postpone(self, events: Sequence[NetworkEvent], delay: timedelta) -> None:
        tables = self.session.tables
        for event in events:
            key = (event.network, event.id)
            row = tables.network_events.rows[key]
            postponed = event._replace(postponements=event.postponements + 1)
            due_at = tables.clock.now() + delay
            tables.network_events.put(key, replace(row, event=postponed, due_at=due_at))

    def purge(self, age: timedelta, limit: int) -> int:
        tables = self.session.tables
        latest = tables.clock.now() - age
        keys = sorted(
            (row.received_at, key)
            for key, row in tables.network_events.rows.items()
            if row.due_at is None and row.received_at <= latest
        )[:limit]
        for _, key in keys:
            tables.network_events.remove(key)
        return len(keys)
