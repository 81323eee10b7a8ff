"""The metrics of a worker's or sweeper's process, on a port of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atomic_core.application import Application
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.domain.webhooks import RoundRecord
from atomic_core.use_cases.settlement import SettledBatch
from atomic_worker.settlement.batch_log import ignore_batch

if TYPE_CHECKING:
    from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class ProcessObservers:
    """What counts the work of a process. By default nothing does."""

    on_round: Callable[[RoundRecord], None] = lambda _: None
    """Called with what was sent to an endpoint."""
    on_batch: Callable[[str, SettledBatch], None] = ignore_batch
    """Called with the name of the card network and a batch."""
    on_ledger_check: Callable[[LedgerReport | None, float], None] = lambda _, __: None
    """Called with the report of a verification and the seconds it took; None if it was aborted."""


def start_metrics(
    host: str,
    port: int | None,
    application: Application,
    *,
    settles: bool = False,
    delivers: bool = False,
    verifies: bool = False,
) -> ProcessObservers:
    """Serve the metrics of what the process does, if it has a port for them."""
    if port is None:
        return ProcessObservers()
    # Imported here: a process without metrics starts faster.
    from atomic_worker.settlement import metrics as settlement_metrics
    from atomic_worker.webhooks import metrics as webhook_metrics

    maintenance = application.maintenance
    collectors: list[Collector] = [settlement_metrics.LoadCollector(maintenance.read_load)]
    ledger_checks = settlement_metrics.LedgerCheckCollector()
    if settles:
        settlement_metrics.initialize(application.settlement.lanes)
        collectors.append(
            settlement_metrics.OpenWorkCollector(
                maintenance.measure_backlog, maintenance.measure_open_work
            )
        )
    if delivers:
        webhook_metrics.initialize()
        collectors.append(
            webhook_metrics.StoreCollector(
                application.webhooks.measure,
                application.events.count,
                application.reconciliation.get_last_scheduled,
                application.settlement.measure_networks,
                application.admin.sum_unresolved,
                application.disputes.count_open,
            )
        )
    if verifies:
        collectors.append(ledger_checks)
    webhook_metrics.serve_metrics(host, port, *collectors)
    return ProcessObservers(
        webhook_metrics.observe_round, settlement_metrics.observe_batch, ledger_checks.observe
    )
