"""The rate limiter and the job queue: in memory, on fakeredis and on a real Valkey."""

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from redis import Redis

from atomic_adapters.memory.services import MemoryJobQueue, MemoryRateLimiter
from atomic_adapters.redis.connections import CircuitBreaker
from atomic_adapters.redis.rate_limiter import RedisRateLimiter
from atomic_adapters.redis.rq_job_queue import RqJobQueue, get_wakeup_queue
from atomic_adapters.system import SystemClock
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.rate_limiter import RateLimit, RateLimiter, RateState
from support import run_concurrently

ALICE = RateLimit("payments", 3, 60, "alice")
BOB = RateLimit("payments", 3, 60, "bob")
GLOBAL = RateLimit("global", 4, 900, "192.0.2.1")


@pytest.fixture
def fake() -> Iterator[Redis]:
    # Imported here, because every test process reads this file.
    import fakeredis

    with fakeredis.FakeRedis() as redis:
        yield redis


LimiterFactory = Callable[[int], RateLimiter]


@pytest.fixture(params=["memory", "fake", "valkey"])
def create_limiter(request: pytest.FixtureRequest) -> LimiterFactory:
    """Creates a limiter with a maximum number of windows."""
    if request.param == "memory":
        return lambda max_windows: MemoryRateLimiter(SystemClock(), max_windows)
    redis = request.getfixturevalue(request.param)
    return lambda max_windows: RedisRateLimiter(redis, CircuitBreaker(), max_windows)


@pytest.fixture
def limiter(create_limiter: LimiterFactory) -> RateLimiter:
    return create_limiter(1_000)


def spend(limiter: RateLimiter, *limits: RateLimit) -> RateState:
    return limiter.count(limits)[-1]


def test_limit_is_exceeded_after_its_quota(limiter: RateLimiter) -> None:
    states = [spend(limiter, ALICE) for _ in range(5)]
    assert [state.remaining for state in states] == [2, 1, 0, 0, 0]
    assert [state.exceeded for state in states] == [False, False, False, True, True]
    assert all(30 <= state.reset <= 60 for state in states)
    assert states[0].limit == ALICE


def test_subjects_and_limit_names_are_counted_separately(limiter: RateLimiter) -> None:
    for _ in range(4):
        spend(limiter, ALICE)
    assert not spend(limiter, BOB).exceeded
    assert not spend(limiter, RateLimit("accounts", 3, 60, "alice")).exceeded


def test_request_counts_as_its_cost(limiter: RateLimiter) -> None:
    two = replace(ALICE, cost=2)
    states = [spend(limiter, two), spend(limiter, two), spend(limiter, ALICE)]
    assert [state.remaining for state in states] == [1, 0, 0]
    assert [state.exceeded for state in states] == [False, True, True]


def test_concurrent_counts_return_each_callers_limits(limiter: RateLimiter) -> None:
    many = RateLimit("payments", 100, 60, "many")
    requests = [[GLOBAL, ALICE], [many], [GLOBAL], [BOB, many]] * 10
    results = run_concurrently([lambda limits=limits: limiter.count(limits) for limits in requests])
    for limits, states in zip(requests, results, strict=True):
        counted = [state.limit for state in states]
        assert counted == limits[: len(counted)]
        assert len(counted) == len(limits) or states[-1].exceeded
        assert not any(state.exceeded for state in states[:-1])
    for limit in (GLOBAL, ALICE, BOB):
        accepted = [
            state
            for states in results
            for state in states
            if state.limit == limit and not state.exceeded
        ]
        assert len(accepted) <= limit.quota
    assert spend(limiter, many).remaining == 100 - 1 - 10 - sum(
        len(states) == 2 and states[1].limit == many for states in results
    )


def test_limits_of_a_request_are_counted_in_order(limiter: RateLimiter) -> None:
    states = limiter.count([GLOBAL, ALICE])
    assert [(state.limit, state.remaining) for state in states] == [(GLOBAL, 3), (ALICE, 2)]
    assert 870 <= states[0].reset <= 900


def test_counting_stops_at_first_exceeded_limit(limiter: RateLimiter) -> None:
    for _ in range(4):
        spend(limiter, GLOBAL)
    assert [state.exceeded for state in limiter.count([GLOBAL, ALICE])] == [True]
    assert spend(limiter, ALICE).remaining == 2, "a refused request counts against no other limit"


def test_new_subjects_share_a_window_when_there_are_too_many(
    create_limiter: LimiterFactory,
) -> None:
    limiter = create_limiter(2)
    carol, dave = replace(ALICE, subject="carol"), replace(ALICE, subject="dave")
    states = [spend(limiter, limit) for limit in (ALICE, BOB, carol, dave, carol, dave)]
    assert [state.remaining for state in states] == [2, 2, 2, 1, 0, 0]
    assert [state.exceeded for state in states] == [False] * 5 + [True]
    assert states[3].limit == dave
    # Those that have a window keep it.
    assert spend(limiter, ALICE).remaining == 1
    # Each limit has its own.
    assert spend(limiter, replace(carol, name="accounts")).remaining == 2


def test_empty_limits_return_nothing(limiter: RateLimiter) -> None:
    assert list(limiter.count([])) == []


def test_next_window_begins_with_next_request(limiter: RateLimiter) -> None:
    short = RateLimit("short", 1, 1, "alice")
    first, second = spend(limiter, short), spend(limiter, short)
    assert (first.exceeded, second.exceeded, second.reset) == (False, True, 1)
    deadline = SystemClock().now() + timedelta(seconds=second.reset)
    while SystemClock().now() < deadline:
        pass
    assert not spend(limiter, short).exceeded


@pytest.fixture(params=["fake", "valkey"])
def queue_redis(request: pytest.FixtureRequest) -> Redis:
    return request.getfixturevalue(request.param)


@pytest.fixture
def job_queue(queue_redis: Redis) -> JobQueue:
    return RqJobQueue(queue_redis, CircuitBreaker())


def count_wake_ups(redis: Redis) -> int:
    return get_wakeup_queue(redis).count


def test_wake_ups_are_coalesced_until_cleared(job_queue: JobQueue, queue_redis: Redis) -> None:
    for _ in range(5):
        job_queue.notify(Job.SETTLE)
    assert count_wake_ups(queue_redis) == 1
    job_queue.clear(Job.SETTLE)
    job_queue.notify(Job.SETTLE)
    assert count_wake_ups(queue_redis) == 2


def test_lost_wake_up_blocks_further_ones_for_two_seconds_at_most(
    job_queue: JobQueue, queue_redis: Redis
) -> None:
    job_queue.notify(Job.SETTLE)
    remaining_ms = queue_redis.pttl("atomic:wakeup:settle")
    assert isinstance(remaining_ms, int)
    assert 0 < remaining_ms <= 2_000


def test_enqueued_job_carries_no_payload(job_queue: JobQueue, queue_redis: Redis) -> None:
    job_queue.notify(Job.SETTLE)
    (job,) = get_wakeup_queue(queue_redis).jobs
    assert (job.func_name, list(job.args), job.kwargs) == ("atomic_worker.jobs.settle", [], {})


def test_job_is_serialized_as_json(job_queue: JobQueue, queue_redis: Redis) -> None:
    """A pickle could run code when it is loaded."""
    job_queue.notify(Job.SETTLE)
    (id,) = get_wakeup_queue(queue_redis).job_ids
    stored = queue_redis.hget(f"rq:job:{id}", "data")
    assert isinstance(stored, bytes)
    assert json.loads(zlib.decompress(stored))[0] == "atomic_worker.jobs.settle"


def test_memory_job_queue_keeps_wake_up_until_cleared() -> None:
    job_queue = MemoryJobQueue()
    job_queue.notify(Job.SETTLE)
    job_queue.notify(Job.SETTLE)
    assert job_queue.notified_jobs == {Job.SETTLE}
    job_queue.clear(Job.SETTLE)
    assert job_queue.notified_jobs == set()
