"""The RQ worker: settles, or delivers webhooks, when a wake-up arrives."""

from collections.abc import Callable
from typing import Final

import structlog
from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from atomic_adapters.redis.rq_job_queue import JOB_PATHS, enqueue_wakeup, get_wakeup_queue
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.webhooks import RoundRecord
from atomic_core.ports.job_queue import Job as WakeUp
from atomic_core.use_cases.settlement import SettledBatch
from atomic_worker import jobs
from atomic_worker.settlement.batch_log import ignore_batch
from atomic_worker.settlement.garbage_collection import tune_garbage_collection

WORKER_TTL_SECONDS: Final = 20
"""RQ waits up to 15 s less than this for a job before it runs its own maintenance. With RQ's
default, 405 s pass before it cleans up after a killed worker."""

MAINTENANCE_SECONDS: Final = 60

CONNECT_TIMEOUT_SECONDS: Final = 2.0

MAX_RETRIES: Final = 3
"""Bridges a restart of Redis. With redis-py's default of ten, a stopping worker would outlast its
supervisor's time-out. If Redis stays unreachable, the worker exits and is restarted."""

_FORBIDDEN_FIELDS: Final = (
    "success_callback_name",
    "failure_callback_name",
    "stopped_callback_name",
    "webhooks",
)
"""Fields of a job that make RQ call further functions or URLs."""

_log = structlog.get_logger(__name__)


class SettlementWorker(SimpleWorker):
    """Runs jobs in its own process, one at a time: a fork per job would cost more than the job and
    could not share the application's connections."""

    on_stop_request: Callable[[], None] = staticmethod(lambda: None)
    """Called in the signal handler."""

    max_connection_wait_time = 1.0
    """Reconnects within a second after Redis returns; RQ's default is up to a minute."""

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()
        # Logged here because from now on SIGTERM stops it cleanly.
        _log.info("worker started", queues=self.queue_names())

    def request_stop(self, signum, frame) -> None:
        # RQ stops by raising an exception from its signal handler. Between dequeuing a job and
        # running it, RQ records that exception as the job's failure and forgets the request.
        self._stop_requested = True
        self.on_stop_request()
        super().request_stop(signum, frame)

    @property
    def is_stop_requested(self) -> bool:
        return self._stop_requested

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run only known jobs: RQ calls any function that a job names, so write access to Redis
        would be remote code execution."""
        if not _is_known_job(job):
            _log.error("unknown job rejected", job_id=job.id)
            job.delete()
            return
        super().execute_job(job, queue)

    def subscribe(self) -> None:
        """Accept no remote commands: access to Redis allows wake-ups and nothing more."""


def _is_known_job(job: Job) -> bool:
    """Whether the job calls one of our functions without arguments, callbacks or webhooks."""
    try:
        is_known = job.func_name in JOB_PATHS.values() and not job.args and not job.kwargs
    except DeserializationError:
        return False
    stored = job.to_dict(include_meta=False)
    return is_known and not any(stored.get(field) for field in _FORBIDDEN_FIELDS)


def run_worker(
    settings: Settings,
    application: Application,
    wake_up: WakeUp = WakeUp.SETTLE,
    on_stop_request: Callable[[], None] = lambda: None,
    on_round: Callable[[RoundRecord], None] = lambda _: None,
    on_batch: Callable[[str, SettledBatch], None] = ignore_batch,
) -> bool:
    """Do this kind of work until a signal requests a stop; the current batch is finished first.
    `on_stop_request` is called in the signal handler, `on_round` with what was sent to an endpoint,
    `on_batch` with the name of the card network and each batch.

    Returns False if it ended for another reason, such as an unreachable Redis: its supervisor
    should restart it. Raises RedisError if Redis is unreachable at the start.
    """
    redis = Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), MAX_RETRIES),
    )
    worker = SettlementWorker(
        [get_wakeup_queue(redis, wake_up)],
        connection=redis,
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
    )
    worker.on_stop_request = on_stop_request
    jobs.set_job_context(application, lambda: worker.is_stop_requested, on_round, on_batch)
    tune_garbage_collection()
    # A killed worker takes the wake-up with it that it has dequeued, and the work stays due: its
    # successor looks for work at once.
    enqueue_wakeup(get_wakeup_queue(redis, wake_up), wake_up)
    try:
        worker.work()
    except RedisError as error:
        # Also raised while stopping, when the worker cannot deregister.
        _log.warning("redis unreachable", problem=str(error))
    jobs.close_job_context()
    _log.info("worker stopped", requested=worker.is_stop_requested)
    return worker.is_stop_requested
