"""The RQ jobs. Redis stores their paths (atomic_adapters/redis/rq_job_queue.py); a test resolves
each."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application
from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.webhooks import RoundRecord
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.settlement import MAX_BATCHES, SettledBatch
from atomic_worker.settlement.batch_log import StoppedBetweenBatches, ignore_batch
from atomic_worker.settlement.lanes import SettlementLanes
from atomic_worker.webhooks.delivery_log import deliver_and_log

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobContext:
    """What the jobs of this process need: RQ calls them without arguments."""

    application: Application
    should_stop: Callable[[], bool]
    """Checked after each batch."""
    lanes: SettlementLanes
    on_round: Callable[[RoundRecord], None]
    """Called with what was sent to an endpoint."""


_current_context: list[JobContext] = []
"""At most one."""


def set_job_context(
    application: Application,
    should_stop: Callable[[], bool] = lambda: False,
    on_round: Callable[[RoundRecord], None] = lambda _: None,
    on_batch: Callable[[str, SettledBatch], None] = ignore_batch,
) -> None:
    """Run the jobs of this process on this application."""
    close_job_context()
    lanes = SettlementLanes(application, "worker", should_stop, observe=on_batch)
    _current_context[:] = [JobContext(application, should_stop, lanes, on_round)]


def close_job_context() -> None:
    """Finish the batches that are under way beside the jobs."""
    for context in _current_context:
        context.lanes.close()
    _current_context.clear()


def settle() -> None:
    """Settle every payment and refund that is due."""
    context = _get_job_context()
    application = context.application
    # Cleared first: a payment that arrives from here on causes another wake-up, even if this job
    # has looked for due payments for the last time.
    application.job_queue.clear(Job.SETTLE)
    try:
        claimed = context.lanes.settle()
    except StoppedBetweenBatches:
        # More may be due.
        application.job_queue.notify(Job.SETTLE)
        return
    except AtomicError as error:
        if not error.retryable:
            raise
        # No retry by RQ: the claims are due again after their lease, and the sweeper settles them.
        _log.warning("settlement postponed", problem=error.message, cause=repr(error.__cause__))
        return
    if claimed >= MAX_BATCHES * context.lanes.own_lane.batch_size:
        application.job_queue.notify(Job.SETTLE)
    if claimed:
        application.job_queue.notify(Job.DELIVER)


def deliver() -> None:
    """Deliver every webhook that is due."""
    context = _get_job_context()
    application = context.application
    # Cleared first, as in settle().
    application.job_queue.clear(Job.DELIVER)
    try:
        deliver_and_log(application, "worker", context.should_stop, on_round=context.on_round)
    except AtomicError as error:
        if not error.retryable:
            raise
        # No retry by RQ: what is due stays due, and the sweeper delivers it.
        _log.warning("delivery postponed", problem=error.message, cause=repr(error.__cause__))


def _get_job_context() -> JobContext:
    """The context that was set, or a new one under RQ's own `rq worker`, which sets none."""
    if not _current_context:
        settings = Settings.load()
        configure_logging(settings)
        set_job_context(build_application(settings))
    return _current_context[0]
