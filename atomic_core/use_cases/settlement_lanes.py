"""Card networks whose payments no process settles."""

from collections.abc import Sequence
from dataclasses import dataclass

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
