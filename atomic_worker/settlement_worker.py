"""The RQ worker: settles, or delivers webhooks, when a wake-up arrives."""

import signal
from collections.abc import Callable
from typing import Final

import structlog
from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.exceptions import OutOfMemoryError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from atomic_adapters.redis.rq_job_queue import (
    JOB_PATHS,
    enqueue_wakeup,
    get_wakeup_queue,
    has_memory,
)
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.webhooks import RoundRecord
from atomic_core.ports.job_queue import Job as WakeUp
from atomic_core.use_cases.settlement import SettledBatch
from atomic_worker import jobs
from atomic_worker.settlement.batch_log import ignore_batch
from atomic_worker.settlement.garbage_collection import tune_garbage_collection
from atomic_worker.stop_request import StopRequest

WORKER_TTL_SECONDS: Final = 20
"""RQ waits up to 15 s less than this for a job before it runs its own maintenance. With RQ's
default, 405 s pass before it cleans up after a killed worker."""

MAINTENANCE_SECONDS: Final = 60

CONNECT_TIMEOUT_SECONDS: Final = 2.0

MEMORY_CHECK_SECONDS: Final = 1.0
"""Between two looks at a full Redis, as between two attempts to reconnect."""

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

    While Redis is full, it waits: the sweeper settles meanwhile.

    Returns False if it ended for another reason, such as an unreachable Redis: its supervisor
    should restart it. Raises RedisError if Redis is unreachable at the start, or while it is waited
    for.
    """
    redis = Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), MAX_RETRIES),
    )
    tune_garbage_collection()
    while True:
        # A new one each time: one that could not deregister may not register again.
        worker = SettlementWorker(
            [get_wakeup_queue(redis, wake_up)],
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_SECONDS,
            maintenance_interval=MAINTENANCE_SECONDS,
        )
        worker.on_stop_request = on_stop_request
        jobs.set_job_context(application, lambda w=worker: w.is_stop_requested, on_round, on_batch)
        is_redis_full = _work_until_full(worker, wake_up)
        jobs.close_job_context()
        has_stopped = worker.is_stop_requested
        if is_redis_full and not has_stopped:
            has_stopped = _wait_for_memory(redis)
        if has_stopped or not is_redis_full:
            _log.info("worker stopped", requested=has_stopped)
            return has_stopped


def _work_until_full(worker: SettlementWorker, wake_up: WakeUp) -> bool:
    """Work until the worker ends; return whether Redis has no memory left, which RQ needs to
    register the worker. Raises RedisError if Redis is unreachable at the start."""
    try:
        # A killed worker takes the wake-up with it that it has dequeued, and the work stays due:
        # its successor looks for work at once.
        enqueue_wakeup(worker.queues[0], wake_up)
    except OutOfMemoryError:
        return True
    try:
        worker.work()
    except OutOfMemoryError:
        return True
    except RedisError as error:
        # Also raised while stopping, when the worker cannot deregister.
        _log.warning("redis unreachable", problem=str(error))
    return False


def _wait_for_memory(redis: Redis) -> bool:
    """Wait until Redis accepts writes, or answers no more; return whether a stop was requested."""
    # Those of the ended worker. Until the next one installs its own, a signal ends the process.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _log.warning("redis full", advice="raise maxmemory; the sweeper settles meanwhile")
    with StopRequest.on_signals() as stop:
        while not has_memory(redis):
            if stop.wait(MEMORY_CHECK_SECONDS):
                return True
    _log.info("redis accepts writes")
    return False
