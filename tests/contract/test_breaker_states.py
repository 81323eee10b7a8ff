"""Reports of circuit breakers, in memory and in Redis."""

from collections.abc import Callable

import pytest
from redis import Redis

from atomic_adapters.memory.services import MemoryBreakerStates
from atomic_adapters.redis.breaker_states import (
    REPORT_SECONDS,
    NetworkDependency,
    RedisBreakerStates,
)
from atomic_adapters.redis.connections import CircuitBreaker
from atomic_core.ports.breaker_states import BreakerStates

NOW = 1_000.0


@pytest.fixture
def memory_states() -> BreakerStates:
    return MemoryBreakerStates()


@pytest.fixture
def redis_process(valkey: Redis) -> Callable[..., RedisBreakerStates]:
    """Builds what one process has."""

    def build(now: float = NOW) -> RedisBreakerStates:
        return RedisBreakerStates(valkey, CircuitBreaker(), lambda: now)

    return build


@pytest.fixture
def redis_states(redis_process: Callable[..., RedisBreakerStates]) -> BreakerStates:
    return redis_process()


@pytest.fixture(params=["memory", "redis"])
def states(request: pytest.FixtureRequest) -> BreakerStates:
    return request.getfixturevalue(f"{request.param}_states")


def test_open_breaker_is_counted_until_it_closes(states: BreakerStates) -> None:
    assert states.count_open("stripe") == 0
    states.report("stripe", is_open=True)
    states.report("stripe", is_open=True)
    assert (states.count_open("stripe"), states.count_open("other")) == (1, 0)
    states.report("stripe", is_open=False)
    assert states.count_open("stripe") == 0


def test_each_process_reports_for_itself(
    redis_process: Callable[..., RedisBreakerStates],
) -> None:
    worker, sweeper, web = redis_process(), redis_process(), redis_process()
    worker.report("stripe", is_open=True)
    sweeper.report("stripe", is_open=True)
    assert web.count_open("stripe") == 2
    worker.report("stripe", is_open=False)
    assert web.count_open("stripe") == 1
    assert not NetworkDependency(web, "stripe").is_up()
    sweeper.report("stripe", is_open=False)
    assert NetworkDependency(web, "stripe").is_up()


def test_report_of_a_dead_process_ends(
    redis_process: Callable[..., RedisBreakerStates], valkey: Redis
) -> None:
    redis_process().report("stripe", is_open=True)
    assert redis_process(NOW + REPORT_SECONDS - 1).count_open("stripe") == 1
    assert redis_process(NOW + REPORT_SECONDS).count_open("stripe") == 0
    assert 0 < valkey.ttl("atomic:breaker:stripe") <= REPORT_SECONDS


def test_without_redis_the_state_is_not_known() -> None:
    states = RedisBreakerStates(Redis.from_url("redis://localhost:1"), CircuitBreaker())
    states.report("stripe", is_open=True)
    assert states.count_open("stripe") is None
    states.breaker = CircuitBreaker()
    assert states.count_open("stripe") is None
    assert NetworkDependency(states, "stripe").is_up()
