"""The worker: answers the bell."""

from typing import Final

import structlog
from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from atomic_adapters.redis.rq_job_queue import JOB_PATHS, QUEUE_NAME, get_wakeup_queue
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_worker import jobs
from atomic_worker.settlement.garbage_collection import tune_garbage_collection

WORKER_TTL_SECONDS: Final = 20
"""RQ waits 15 s less than this for a job before it looks after itself: by default 405 s, in
which nobody would clean up after a killed worker."""

MAINTENANCE_SECONDS: Final = 60

CONNECT_SECONDS: Final = 2.0

RETRIES: Final = 3
"""Bridges a Redis that restarts. redis-py's own ten would hold a stopping worker for longer than
its supervisor waits; whoever watches over us starts us again."""

_EXTRAS: Final = (
    "success_callback_name",
    "failure_callback_name",
    "stopped_callback_name",
    "webhooks",
)
"""What else RQ would do for a job: call functions, and ask addresses on the network."""

_log = structlog.get_logger(__name__)


class SettlementWorker(SimpleWorker):
    """Runs jobs in its own process, one at a time: a fork per job would cost more than the job,
    and the application could not keep its connections."""

    max_connection_wait_time = 1.0
    """A Redis that returns is found within a second; RQ would let up to a minute pass."""

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()
        # Said from here on, when it also can be asked to stop.
        _log.info("worker started", queue=QUEUE_NAME)

    def request_stop(self, signum, frame) -> None:
        # RQ stops by raising where the signal meets it; in the moments between taking a job
        # and working on it that would be taken for the job's failure, and forgotten.
        self._stop_requested = True
        super().request_stop(signum, frame)

    @property
    def was_asked_to_stop(self) -> bool:
        return self._stop_requested

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Only what we ring for is done: RQ would call whatever a job names, and whoever can
        write to Redis would then run code here."""
        if not _is_ours(job):
            _log.error("foreign job refused", job_id=job.id)
            job.delete()
            return
        super().execute_job(job, queue)

    def subscribe(self) -> None:
        """No remote commands: whoever reaches Redis may ring the bell, and no more."""


def _is_ours(job: Job) -> bool:
    """A job of ours names one of our functions, and asks for nothing else."""
    try:
        named = job.func_name in JOB_PATHS.values() and not job.args and not job.kwargs
    except DeserializationError:
        return False
    stored = job.to_dict(include_meta=False)
    return named and not any(stored.get(extra) for extra in _EXTRAS)


def run_worker(settings: Settings, application: Application) -> bool:
    """Work until asked to stop; the batch in hand is finished first.

    Returns False if it ended for another reason, above all because Redis stayed away: to be
    started again by whoever watches over it. Raises RedisError if Redis is away at the start.
    """
    redis = Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), RETRIES),
    )
    worker = SettlementWorker(
        [get_wakeup_queue(redis)],
        connection=redis,
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
    )
    jobs.use(application, stopping=lambda: worker.was_asked_to_stop)
    tune_garbage_collection()
    try:
        worker.work()
    except RedisError as error:
        # Also on the way out: it could not sign off.
        _log.warning("redis is away", problem=str(error))
    _log.info("worker stopped", asked=worker.was_asked_to_stop)
    return worker.was_asked_to_stop
