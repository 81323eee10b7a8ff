"""How much has not ended, of all merchants."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from atomic_core.domain.open_work import (
    HOLD_AGES,
    MAX_HOLDS_COUNTED,
    MAX_OPEN_COUNTED,
    OpenItems,
    OpenWork,
)
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class MeasureOpenWork:
    """Open payments and refunds by card network, those of this deployment and any other that has
    some, and holds by age. Raises StorageUnavailable."""

    begin: UnitOfWorkFactory
    networks: Sequence[str]
    """Of this deployment."""
    hold_period: timedelta

    def __call__(self) -> OpenWork:
        with self.begin() as work:
            queries = work.admin_queries
            networks = sorted({*self.networks, *queries.list_open_networks()})
            items = [
                OpenItems(network, *queries.count_open(network, MAX_OPEN_COUNTED))
                for network in networks
            ]
            # A hold stores when it ends, and not when it began.
            holds = [
                queries.count_holds(
                    None if above is None else self.hold_period - above,
                    self.hold_period - least,
                    MAX_HOLDS_COUNTED,
                )
                for _, least, above in HOLD_AGES
            ]
        return OpenWork(items, holds)
