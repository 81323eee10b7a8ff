"""What `atomic doctor` judges Redis, and the processes that report themselves there, by."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis, RedisError
from rq import Worker

from atomic_adapters.certificates import read_certificate_end
from atomic_adapters.redis.process_reports import LEDGER_CHECK_KEY, build_running_key
from atomic_adapters.redis.rq_job_queue import QUEUE_NAMES
from atomic_adapters.settings import Settings
from atomic_core.domain.diagnosis import RedisFacts
from atomic_core.ports.job_queue import Job

TIMEOUT_SECONDS: Final = 2.0

_SAVES: Final = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")


def read_redis_facts(settings: Settings) -> RedisFacts | str:
    """Returns the problem if Redis cannot be reached."""
    redis = Redis.from_url(
        settings.redis_url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )
    try:
        with redis:
            return _read(redis)
    except RedisError as error:
        return str(error) or type(error).__name__


def _read(redis: Redis) -> RedisFacts:
    info: Mapping[str, Any] = redis.info()
    return RedisFacts(
        str(info.get("valkey_version", info["redis_version"])),
        info["role"] == "master",
        int(info.get("maxmemory", 0)),
        str(info.get("maxmemory_policy", "noeviction")),
        all(info.get(name, "ok") == "ok" for name in _SAVES),
        _read_certificate_end(redis),
        {
            "worker": _find_last_heartbeat(redis, Job.SETTLE),
            "sweeper": _read_time(redis.get(build_running_key("sweeper"))),
            "webhooks": _find_last_heartbeat(redis, Job.DELIVER),
        },
        _read_ledger_check(redis.get(LEDGER_CHECK_KEY)),
    )


def _find_last_heartbeat(redis: Redis, job: Job) -> datetime | None:
    """RQ's workers report themselves, and are forgotten when they have been silent for long."""
    workers = Worker.all(connection=redis)
    beats = [
        worker.last_heartbeat
        for worker in workers
        if worker.last_heartbeat and QUEUE_NAMES[job] in worker.queue_names()
    ]
    latest = max(beats, default=None)
    return latest.replace(tzinfo=UTC) if latest and latest.tzinfo is None else latest


def _read_time(stored: Any) -> datetime | None:
    return datetime.fromtimestamp(float(stored), UTC) if stored else None


def _read_ledger_check(stored: Any) -> tuple[datetime, int] | None:
    if not stored:
        return None
    at, findings = stored.split()
    return datetime.fromtimestamp(float(at), UTC), int(findings)


def _read_certificate_end(redis: Redis) -> datetime | None:
    options = redis.connection_pool.connection_kwargs
    if not redis.connection_pool.connection_class.__name__.startswith("SSL"):
        return None
    return read_certificate_end(options["host"], options["port"])
