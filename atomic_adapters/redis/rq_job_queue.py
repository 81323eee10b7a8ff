"""Wake-ups for the worker, on RQ.

A wake-up carries no payload: due work is read from PostgreSQL, so a lost or duplicate wake-up is
harmless.
"""

from collections.abc import Mapping
from typing import Final

import structlog
from redis import Redis, RedisError
from redis.exceptions import OutOfMemoryError
from rq import Queue
from rq.serializers import JSONSerializer

from atomic_adapters.redis.connections import CircuitBreaker
from atomic_core.ports.job_queue import Job

QUEUE_NAMES: Final[Mapping[Job, str]] = {Job.SETTLE: "atomic", Job.DELIVER: "atomic-webhooks"}
"""A queue each: a worker of one does not run the jobs of the other."""

JOB_PATHS: Final[Mapping[Job, str]] = {
    Job.SETTLE: "atomic_worker.jobs.settle",
    Job.DELIVER: "atomic_worker.jobs.deliver",
}

JOB_TIMEOUT_SECONDS: Final = 180
"""When RQ kills a job. A full one takes a tenth of this if it settles, half of it if it delivers
webhooks; each statement and each webhook has its own time-out."""

WAKEUP_TTL_MS: Final = 2_000
"""How long one enqueued job stands for later notifications, unless the worker clears it earlier. If
that job is lost (a flushed Redis, a killed worker), no job is enqueued for this long; the sweeper
settles meanwhile."""

_MEMORY_KEY: Final = "atomic:memory"

FAILURE_TTL_SECONDS: Final = 3_600
"""An hour: the log holds everything a failed job does. RQ would keep it for a year."""

_log = structlog.get_logger(__name__)


class RqJobQueue:
    def __init__(self, redis: Redis, breaker: CircuitBreaker) -> None:
        self._redis = redis
        self._breaker = breaker
        self._queues = {job: get_wakeup_queue(redis, job) for job in Job}
        self.lost_wakeups = 0
        """Wake-ups of this process that could not be sent."""

    def notify(self, job: Job) -> None:
        if self._breaker.is_open:
            self.lost_wakeups += 1
            return
        try:
            if self._redis.set(_wakeup_key(job), 1, nx=True, px=WAKEUP_TTL_MS):
                enqueue_wakeup(self._queues[job], job)
        except RedisError as error:
            self._breaker.trip()
            self.lost_wakeups += 1
            _log.warning("wake-up failed", job=job.value, error=str(error))

    def clear(self, job: Job) -> None:
        try:
            self._redis.delete(_wakeup_key(job))
        except RedisError as error:
            # The key expires after WAKEUP_TTL_MS.
            _log.warning("wake-up not cleared", job=job.value, error=str(error))


def get_wakeup_queue(redis: Redis, job: Job = Job.SETTLE) -> Queue:
    """The RQ queue of this job, of web processes and workers. Jobs are JSON: with RQ's default,
    pickle, write access to Redis would allow running any code in the worker."""
    return Queue(QUEUE_NAMES[job], connection=redis, serializer=JSONSerializer)


def enqueue_wakeup(queue: Queue, job: Job) -> None:
    """Also if another one is queued. Raises RedisError."""
    queue.enqueue_call(
        JOB_PATHS[job],
        timeout=JOB_TIMEOUT_SECONDS,
        result_ttl=0,
        ttl=JOB_TIMEOUT_SECONDS,
        failure_ttl=FAILURE_TTL_SECONDS,
    )


def has_memory(redis: Redis) -> bool:
    """Whether Redis has memory for a write. Raises RedisError if it is unreachable."""
    try:
        redis.set(_MEMORY_KEY, 1, px=1)
    except OutOfMemoryError:
        return False
    return True


def _wakeup_key(job: Job) -> str:
    return f"atomic:wakeup:{job.value}"
