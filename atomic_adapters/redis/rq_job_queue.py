"""The bell, on RQ. It says that there is work, never which; the work is in PostgreSQL."""

from collections.abc import Mapping
from typing import Final

import structlog
from redis import Redis, RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from atomic_adapters.redis.connections import CircuitBreaker
from atomic_core.ports.job_queue import Job

QUEUE_NAME: Final = "atomic"

JOB_PATHS: Final[Mapping[Job, str]] = {Job.SETTLE: "atomic_worker.jobs.settle"}

JOB_TIMEOUT_SECONDS: Final = 180
"""MAX_BATCHES batches take a tenth of this; the statements in them have time-outs of their own."""

WAKEUP_TTL_MS: Final = 2_000
"""How long a ring stands for those after it. If the job it enqueued is lost (a flush, a killed
worker), this is how long the bell is dumb; the sweeper does not need it."""

FAILURE_TTL_SECONDS: Final = 3_600
"""A failed job says nothing that the log does not; RQ would keep it for a year."""

_log = structlog.get_logger(__name__)


class RqJobQueue:
    def __init__(self, redis: Redis, breaker: CircuitBreaker) -> None:
        self._redis = redis
        self._breaker = breaker
        self._queue = get_wakeup_queue(redis)

    def notify(self, job: Job) -> None:
        if self._breaker.is_open:
            return
        try:
            if self._redis.set(_bell(job), 1, nx=True, px=WAKEUP_TTL_MS):
                self._queue.enqueue_call(
                    JOB_PATHS[job],
                    timeout=JOB_TIMEOUT_SECONDS,
                    result_ttl=0,
                    ttl=JOB_TIMEOUT_SECONDS,
                    failure_ttl=FAILURE_TTL_SECONDS,
                )
        except RedisError as error:
            self._breaker.trip()
            _log.warning("bell not rung", job=job.value, error=str(error))

    def clear(self, job: Job) -> None:
        try:
            self._redis.delete(_bell(job))
        except RedisError as error:
            # It falls silent by itself after WAKEUP_TTL_MS.
            _log.warning("bell not reset", job=job.value, error=str(error))


def get_wakeup_queue(redis: Redis) -> Queue:
    """The queue that both sides use. Jobs are JSON: with RQ's own pickle, whoever can write to
    Redis could run any code in the worker."""
    return Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer)


def _bell(job: Job) -> str:
    return f"atomic:bell:{job.value}"
