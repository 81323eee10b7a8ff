"""Redis may be down or frozen: a request loses at most a quarter of a second, and no payment."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from atomic_adapters.embedded import EmbeddedValkey
from atomic_adapters.redis.connections import (
    COOL_DOWN_SECONDS,
    CircuitBreaker,
    RedisDependency,
    create_request_client,
)
from atomic_adapters.redis.rate_limiter import RedisRateLimiter
from atomic_adapters.redis.rq_job_queue import RqJobQueue
from atomic_adapters.settings import Settings
from atomic_core.ports.job_queue import Job
from atomic_core.ports.rate_limiter import RateLimit, RateLimiterFull, RateLimiterUnavailable

TIMEOUT_SECONDS = 3.0
"""Long beside what a busy machine adds, so that it tells one time-out from none and from two."""

LIMITS = [RateLimit("global", 100, 900, "192.0.2.1"), RateLimit("payments", 10, 60, "m")]


@pytest.fixture
def own_valkey(scratch: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey.start(scratch / "frozen")
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.stop()


def one_request(redis: Redis, breaker: CircuitBreaker) -> tuple[bool, float]:
    """What a POST asks of Redis: count, then ring. Whether it could count, and how long it took."""
    begun = time.monotonic()
    counted = True
    try:
        RedisRateLimiter(redis, breaker).count(LIMITS)
    except RateLimiterUnavailable:
        counted = False
    RqJobQueue(redis, breaker).notify(Job.SETTLE)
    return counted, time.monotonic() - begun


def test_refused_redis_connection_does_not_delay_requests(
    settings_for: Callable[..., Settings],
) -> None:
    redis = create_request_client(
        settings_for(redis_url="redis://localhost:1", REDIS_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS))
    )
    for _ in range(3):
        counted, seconds = one_request(redis, CircuitBreaker())
        assert not counted
        assert seconds < TIMEOUT_SECONDS
    assert not RedisDependency(redis).is_up()


def test_wakeups_that_cannot_be_sent_are_counted(settings_for: Callable[..., Settings]) -> None:
    redis = create_request_client(settings_for(redis_url="redis://localhost:1"))
    queue = RqJobQueue(redis, CircuitBreaker())
    for _ in range(3):
        queue.notify(Job.SETTLE)
    assert queue.lost_wakeups == 3


@pytest.mark.parametrize("warm", [True, False], ids=["connected before", "connecting"])
def test_frozen_redis_delays_one_request_by_its_time_out(
    own_valkey: EmbeddedValkey, settings_for: Callable[..., Settings], warm: bool
) -> None:
    settings = settings_for(redis_url=own_valkey.url, REDIS_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS))
    redis, breaker = create_request_client(settings), CircuitBreaker()
    if warm:
        assert one_request(redis, breaker)[0]
    os.kill(own_valkey.process.pid, signal.SIGSTOP)
    counted, seconds = one_request(redis, breaker)
    assert not counted
    assert TIMEOUT_SECONDS <= seconds < 2 * TIMEOUT_SECONDS, "the job queue is not tried as well"
    counted, seconds = one_request(redis, breaker)
    assert not counted
    assert seconds < TIMEOUT_SECONDS, "the circuit breaker is open"


def test_redis_is_tried_again_after_the_cool_down(
    own_valkey: EmbeddedValkey, settings_for: Callable[..., Settings]
) -> None:
    redis, breaker = create_request_client(settings_for(redis_url=own_valkey.url)), CircuitBreaker()
    os.kill(own_valkey.process.pid, signal.SIGSTOP)
    assert not one_request(redis, breaker)[0]
    os.kill(own_valkey.process.pid, signal.SIGCONT)
    deadline = time.monotonic() + COOL_DOWN_SECONDS + 20
    while not one_request(redis, breaker)[0]:
        assert time.monotonic() < deadline


def test_flushed_redis_starts_new_windows(valkey: Redis) -> None:
    limiter = RedisRateLimiter(valkey, CircuitBreaker())
    limiter.count(LIMITS)
    valkey.flushall()
    valkey.script_flush()
    assert [state.remaining for state in limiter.count(LIMITS)] == [99, 9]


def test_window_without_expiry_is_replaced(valkey: Redis) -> None:
    limiter = RedisRateLimiter(valkey, CircuitBreaker())
    valkey.set("atomic:limit:global:192.0.2.1", 50)
    (state,) = limiter.count(LIMITS[:1])
    assert (state.remaining, state.reset) == (99, 900)


def test_remaining_window_time_is_rounded_up(valkey: Redis) -> None:
    limiter = RedisRateLimiter(valkey, CircuitBreaker())
    limiter.count(LIMITS[:1])
    valkey.pexpire("atomic:limit:global:192.0.2.1", 1_950)
    (state,) = limiter.count(LIMITS[:1])
    assert state.reset == 2, "waiting one second would be early"


def test_window_ends_in_its_last_millisecond(valkey: Redis) -> None:
    """Redis keeps a key for all of the millisecond in which it expires."""
    limiter, limit = RedisRateLimiter(valkey, CircuitBreaker()), LIMITS[0]
    key = f"atomic:limit:{limit.name}:{limit.subject}"
    for _ in range(50):
        valkey.set(key, limit.quota, px=3)
        ends_ms = valkey.pexpiretime(key)
        assert isinstance(ends_ms, int)
        while time.time() * 1000 < ends_ms:
            pass
        assert limiter.count([limit])[0].remaining == limit.quota - 1


def test_full_redis_is_reported(
    own_valkey: EmbeddedValkey, settings_for: Callable[..., Settings]
) -> None:
    redis = create_request_client(settings_for(redis_url=own_valkey.url))
    assert RedisDependency(redis).is_up()
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", "1")
    with pytest.raises(RateLimiterFull):
        RedisRateLimiter(redis, CircuitBreaker()).count(LIMITS)
    RqJobQueue(redis, CircuitBreaker()).notify(Job.SETTLE)
    assert not RedisDependency(redis).is_up(), "PING is answered, but no write is"
    redis.config_set("maxmemory", "0")
    assert RedisDependency(redis).is_up()


def test_windows_leave_room_for_the_other_keys(valkey: Redis) -> None:
    limiter = RedisRateLimiter(valkey, CircuitBreaker(), max_keys=20)
    for number in range(100):
        limiter.count([RateLimit("global", 100, 900, f"192.0.2.{number}")])
    assert valkey.dbsize() == 21, "one key more: the shared window"
