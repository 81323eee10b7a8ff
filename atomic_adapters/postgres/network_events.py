"""Events of card networks in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from atomic_adapters.postgres.arrays import text_array
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.network_events import NetworkEvent

_SQL: Final = load_statements("network_events")


@dataclass(frozen=True, slots=True)
class PostgresNetworkEventRepository:
    session: DatabaseSession

    def add(self, event: NetworkEvent) -> bool:
        added = self.session.execute(
            _SQL["insert_network_event"],
            network=event.network,
            id=event.id,
            type=event.type,
            payment_id=event.payment_id,
            refund_id=event.refund_id,
            dispute_reference=event.dispute_reference,
        )
        return added == 1

    def lock_due(self, limit: int) -> Sequence[NetworkEvent]:
        rows = self.session.fetch_all(_SQL["lock_due_network_events"], limit=limit)
        return [NetworkEvent(*row) for row in rows]

    def lock_due_of_disputes(self, network: str, limit: int) -> Sequence[NetworkEvent]:
        rows = self.session.fetch_all(
            _SQL["lock_due_events_of_disputes"], network=network, limit=limit
        )
        return [NetworkEvent(*row) for row in rows]

    def lease(self, events: Sequence[NetworkEvent], lease: timedelta) -> None:
        self._update(_SQL["lease_network_events"], events, delay=lease)

    def finish(self, events: Sequence[NetworkEvent]) -> None:
        self._update(_SQL["finish_network_events"], events)

    def postpone(self, events: Sequence[NetworkEvent], delay: timedelta) -> None:
        self._update(_SQL["postpone_network_events"], events, delay=delay)

    def purge(self, age: timedelta, limit: int) -> int:
        return self.session.execute(_SQL["purge_network_events"], age=age, limit=limit)

    def _update(
        self, statement: bytes, events: Sequence[NetworkEvent], **parameters: object
    ) -> None:
        if events:
            self.session.execute(
                statement,
                networks=text_array(event.network for event in events),
                ids=text_array(event.id for event in events),
                **parameters,
            )
