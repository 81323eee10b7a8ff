from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from atomic_adapters.memory.services import CurrentSchema
from atomic_core.domain.backlog import BACKLOG_ALARM, Backlog
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.process_load import PoolLoad, ProcessLoad
from atomic_core.use_cases.maintenance import CheckHealth
from atomic_web import metrics
from atomic_web.server.backlog_watch import ROUNDS_PER_WARNING, BacklogWatch
from web.web_client import WebApp, error_code

SECOND = timedelta(seconds=1)


@dataclass
class Dependency:
    name: str
    is_required: bool
    up: bool

    def is_up(self) -> bool:
        return self.up


POSTGRES_UP = Dependency("postgres", is_required=True, up=True)


class OutdatedSchema:
    def list_pending(self) -> Sequence[str]:
        return ["0031.one", "0032.two"]


def with_dependencies(web: WebApp, postgres: bool, redis: bool) -> WebApp:
    dependencies = [
        Dependency("postgres", is_required=True, up=postgres),
        Dependency("redis", is_required=False, up=redis),
    ]
    return with_health(web, CheckHealth(dependencies, CurrentSchema()))


def with_health(web: WebApp, check: CheckHealth) -> WebApp:
    return web.with_use_cases({"maintenance.check_health": check})


def test_health_returns_healthy(web: WebApp) -> None:
    response = web.client.get("/api/v1/health")
    assert response.status_code == 200
    assert response.get_json()["data"] == {"status": "healthy"}


def test_liveness_depends_on_no_dependency(web: WebApp) -> None:
    response = with_dependencies(web, postgres=False, redis=False).client.get("/api/v1/health/live")
    assert response.status_code == 200
    assert response.get_json()["data"] == {"status": "live"}


@pytest.mark.parametrize(("redis", "status"), [(True, "ready"), (False, "degraded")])
def test_readiness_is_degraded_without_redis(web: WebApp, redis: bool, status: str) -> None:
    response = with_dependencies(web, postgres=True, redis=redis).client.get("/api/v1/health/ready")
    assert response.status_code == 200
    checks = {"postgres": "up", "redis": "up" if redis else "down"}
    assert response.get_json()["data"] == {
        "status": status,
        "checks": checks,
        "backlog": None,
    }


def test_readiness_is_degraded_while_a_card_network_does_not_answer(web: WebApp) -> None:
    dependencies = [Dependency("postgres", True, True), Dependency("stripe", False, False)]
    degraded = CheckHealth(dependencies, CurrentSchema())
    response = with_health(web, degraded).client.get("/api/v1/health/ready")
    assert response.status_code == 200
    assert response.get_json()["data"] == {
        "status": "degraded",
        "checks": {"postgres": "up", "stripe": "down"},
        "backlog": None,
    }


@pytest.mark.parametrize(("redis", "down"), [(True, ["postgres"]), (False, ["postgres", "redis"])])
def test_readiness_returns_503_with_the_dependencies_that_are_down(
    web: WebApp, redis: bool, down: list[str]
) -> None:
    response = with_dependencies(web, postgres=False, redis=redis).client.get(
        "/api/v1/health/ready"
    )
    assert response.status_code == 503
    assert error_code(response) == "not_ready"
    assert sorted(response.get_json()["error"]["details"]) == down
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("age", "status", "shown"),
    [
        (BACKLOG_ALARM - SECOND, "ready", None),
        (BACKLOG_ALARM, "degraded", {"due": 5, "oldestAgeSeconds": 15}),
    ],
)
def test_readiness_is_degraded_while_no_worker_settles_payments(
    web: WebApp, age: timedelta, status: str, shown: dict[str, int] | None
) -> None:
    check = CheckHealth([POSTGRES_UP], CurrentSchema(), lambda: Backlog(5, age))
    response = with_health(web, check).client.get("/api/v1/health/ready")
    assert response.status_code == 200
    data = response.get_json()["data"]
    assert data == {"status": status, "checks": {"postgres": "up"}, "backlog": shown}


def test_backlog_is_not_measured_without_the_database() -> None:
    def measure() -> Backlog:
        raise StorageUnavailable

    up = CheckHealth([POSTGRES_UP], CurrentSchema(), measure)()
    assert up.is_ready
    assert not up.is_degraded
    down = Dependency("postgres", is_required=True, up=False)
    assert not CheckHealth([down], CurrentSchema(), measure)().is_ready


def test_stalled_backlog_is_logged_once_per_minute_and_measured_each_time() -> None:
    backlogs = [Backlog(5, BACKLOG_ALARM + n * SECOND) for n in range(ROUNDS_PER_WARNING + 1)]
    rounds = iter([*backlogs, Backlog(0, 0 * SECOND), Backlog(1, SECOND)])
    watch = BacklogWatch(lambda: next(rounds))
    with capture_logs() as logs:
        for number in range(len(backlogs)):
            watch.watch()
            assert metrics.DUE_ITEMS._value.get() == 5
            assert metrics.DUE_OLDEST_AGE._value.get() == 15 + number
        watch.watch()
        watch.watch()
    texts = [log["event"].split(":")[0] for log in logs]
    assert texts == [*2 * ["payments are not settled"], "payments are settled again"]
    assert (logs[0]["due"], logs[0]["oldest_age_s"]) == (5, 15.0)
    assert metrics.DUE_OLDEST_AGE._value.get() == 1


def test_watch_adds_up_what_its_process_has_used() -> None:
    first = ProcessLoad(PoolLoad(8, 3, 2, 10, 1.5, 1), 4)
    second = ProcessLoad(PoolLoad(8, 1, 0, 15, 2.0, 1), 6)
    loads = iter([first, second])
    watch = BacklogWatch(lambda: Backlog(0, 0 * SECOND), lambda: next(loads))
    counters = (metrics.POOL_WAITS, metrics.POOL_WAIT_SECONDS, metrics.LOST_WAKEUPS)
    before = [counter._value.get() for counter in counters]
    for load in (first, second):
        watch.watch()
        assert metrics.POOL_IN_USE._value.get() == load.pool.in_use
        assert metrics.POOL_WAITING._value.get() == load.pool.waiting
    after = [counter._value.get() for counter in counters]
    used = [end - begin for begin, end in zip(before, after, strict=True)]
    assert used == [15, 2.0, 6]


def test_watch_outlives_an_outage_of_the_database() -> None:
    def measure() -> Backlog:
        raise StorageUnavailable

    BacklogWatch(measure).watch()


def test_readiness_names_pending_migrations_and_not_the_database(web: WebApp) -> None:
    response = with_health(web, CheckHealth([POSTGRES_UP], OutdatedSchema())).client.get(
        "/api/v1/health/ready"
    )
    assert response.status_code == 503
    assert error_code(response) == "not_ready"
    assert response.get_json()["error"]["details"] == {
        "migrations": ["0031.one is pending.", "0032.two is pending.", "Run: atomic migrate up"]
    }
