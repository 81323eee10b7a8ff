"""Whether payments and refunds are being settled."""

from dataclasses import dataclass

from atomic_core.domain.backlog import MAX_COUNTED, NO_BACKLOG, Backlog
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class MeasureBacklog:
    """What is due and not claimed, of all card networks: also of those that this deployment has no
    settings of."""

    begin: UnitOfWorkFactory

    def __call__(self) -> Backlog:
        with self.begin() as work:
            queries = work.admin_queries
            backlogs = [
                queries.measure_backlog(network, MAX_COUNTED)
                for network in queries.list_open_networks()
            ]
        return Backlog(
            sum(backlog.due for backlog in backlogs),
            max((backlog.oldest_age for backlog in backlogs), default=NO_BACKLOG.oldest_age),
        )
