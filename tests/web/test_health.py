from dataclasses import dataclass

import pytest

from atomic_core.use_cases.maintenance import CheckHealth
from web.web_client import WebApp, error_code


@dataclass
class Dependency:
    name: str
    is_required: bool
    up: bool

    def is_up(self) -> bool:
        return self.up


def with_dependencies(web: WebApp, postgres: bool, redis: bool) -> WebApp:
    dependencies = [
        Dependency("postgres", is_required=True, up=postgres),
        Dependency("redis", is_required=False, up=redis),
    ]
    return web.with_use_cases({"maintenance.check_health": CheckHealth(dependencies)})


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
    assert response.get_json()["data"] == {"status": status, "checks": checks}


def test_readiness_is_degraded_while_a_card_network_does_not_answer(web: WebApp) -> None:
    dependencies = [Dependency("postgres", True, True), Dependency("stripe", False, False)]
    degraded = web.with_use_cases({"maintenance.check_health": CheckHealth(dependencies)})
    response = degraded.client.get("/api/v1/health/ready")
    assert response.status_code == 200
    assert response.get_json()["data"] == {
        "status": "degraded",
        "checks": {"postgres": "up", "stripe": "down"},
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
