"""The lanes of card networks: what waits in each, and what waits for none."""

from collections.abc import Sequence
from dataclasses import dataclass

from atomic_core.domain.network_load import MAX_PARKED, NetworkLoad
from atomic_core.ports.breaker_states import BreakerStates
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class ListUnservedNetworks:
    """The card networks of open payments and refunds that this deployment has no settings of: they
    wait until it has."""

    begin: UnitOfWorkFactory
    served: Sequence[str]

    def __call__(self) -> Sequence[str]:
        with self.begin() as work:
            networks = work.admin_queries.list_open_networks()
        return [network for network in networks if network not in self.served]


@dataclass(frozen=True, slots=True)
class MeasureNetworks:
    """What waits for each card network, and how many processes have an open breaker for it."""

    begin: UnitOfWorkFactory
    breaker_states: BreakerStates
    networks: Sequence[str]
    """Of this deployment."""

    def __call__(self) -> Sequence[NetworkLoad]:
        # Read before the transaction: the states may be in another store.
        open_breakers = {name: self.breaker_states.count_open(name) for name in self.networks}
        with self.begin() as work:
            return [
                NetworkLoad(
                    name, open_breakers[name], work.admin_queries.count_parked(name, MAX_PARKED)
                )
                for name in self.networks
            ]
