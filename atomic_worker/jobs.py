"""What RQ calls. Job paths are in atomic_adapters/redis/rq_job_queue.py; a test resolves each."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application
from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.settlement import MAX_BATCHES
from atomic_worker.settlement.batch_log import StoppedBetweenBatches
from atomic_worker.settlement.concurrent_settlement import settle_concurrently

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bench:
    """What this process's jobs work with."""

    application: Application
    stopping: Callable[[], bool]
    """Whether to leave after the batch in hand."""


_benches: list[Bench] = []


def use(application: Application, stopping: Callable[[], bool] = lambda: False) -> None:
    """Do this process's jobs with this application."""
    _benches[:] = [Bench(application, stopping)]


def settle() -> None:
    """Settle everything that is due."""
    bench = _bench()
    application = bench.application
    # First: a payment that arrives from here on rings again, so none is overlooked between
    # the last look and the end of this job.
    application.job_queue.clear(Job.SETTLE)
    try:
        claimed = settle_concurrently(application, "worker", bench.stopping)
    except StoppedBetweenBatches:
        # There may be more: for another worker, or for this one when it is back.
        application.job_queue.notify(Job.SETTLE)
        return
    except AtomicError as error:
        if not error.retryable:
            raise
        # Not RQ's business: the payments are due again when their lease ends, and the sweeper
        # finds them.
        _log.warning("settling put off", problem=error.message, cause=repr(error.__cause__))
        return
    if claimed >= MAX_BATCHES * application.settlement.settle.batch_size:
        application.job_queue.notify(Job.SETTLE)


def _bench() -> Bench:
    """The one in use; under RQ's own `rq worker` nobody has made one yet."""
    if not _benches:
        settings = Settings.load()
        configure_logging(settings)
        use(build_application(settings))
    return _benches[0]
