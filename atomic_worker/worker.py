"""The worker: answers the bell."""

from typing import Final

import structlog
from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from atomic_adapters.rq_job_queue import QUEUE, bell_queue
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_worker import jobs

WORKER_TTL_SECONDS: Final = 20
"""RQ waits 15 s less than this for a job before it looks after itself: by default 405 s, in
which nobody would clean up after a killed worker."""

MAINTENANCE_SECONDS: Final = 60

CONNECT_SECONDS: Final = 2.0

RETRIES: Final = 3
"""Bridges a Redis that restarts. redis-py's own ten would hold a stopping worker for longer than
its supervisor waits; whoever watches over us starts us again."""

_log = structlog.get_logger(__name__)


class BellWorker(SimpleWorker):
    """Runs jobs in its own process, one at a time: a fork per job would cost more than the job,
    and the application could not keep its connections."""

    max_connection_wait_time = 1.0
    """A Redis that returns is found within a second; RQ would let up to a minute pass."""

    def request_stop(self, signum, frame) -> None:
        # RQ stops by raising where the signal meets it; in the moments between taking a job
        # and working on it that would be taken for the job's failure, and forgotten.
        self._stop_requested = True
        super().request_stop(signum, frame)

    @property
    def was_asked_to_stop(self) -> bool:
        return self._stop_requested

    def subscribe(self) -> None:
        """No remote commands: whoever reaches Redis may ring the bell, and no more."""


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
    worker = BellWorker(
        [bell_queue(redis)],
        connection=redis,
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
    )
    jobs.use(application, stopping=lambda: worker.was_asked_to_stop)
    _log.info("worker started", queue=QUEUE)
    try:
        worker.work()
    except RedisError as error:
        # Also on the way out: it could not sign off.
        _log.warning("redis is away", problem=str(error))
    _log.info("worker stopped", asked=worker.was_asked_to_stop)
    return worker.was_asked_to_stop
