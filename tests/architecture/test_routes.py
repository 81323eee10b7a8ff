"""Every route says who may call it and what limits it."""

from collections.abc import Iterator

import pytest
from flask import Flask

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_web.app import create_app
from atomic_web.auth import Access, access_of

SETTINGS = Settings.from_environ({"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused"})
APP = create_app(in_memory(), SETTINGS)

PUBLIC = {"/api/v1/openapi.json", "/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"}
UNLIMITED = {"/api/v1/health/live", "/api/v1/health/ready"}


def declarations(app: Flask) -> Iterator[tuple[str, Access | None]]:
    for rule in app.url_map.iter_rules():
        yield rule.rule, access_of(app.view_functions[rule.endpoint])


def undeclared(app: Flask) -> list[str]:
    return [rule for rule, access in declarations(app) if access is None]


def test_every_route_declares_its_access() -> None:
    assert undeclared(APP) == []


def test_a_route_that_declares_nothing_would_be_found() -> None:
    app = create_app(in_memory(), SETTINGS)
    app.add_url_rule("/api/v1/backdoor", "backdoor", lambda: "in")
    assert undeclared(app) == ["/api/v1/backdoor"]


def test_only_health_is_public_and_only_probes_are_unlimited() -> None:
    declared = {rule: access for rule, access in declarations(APP) if access}
    assert {rule for rule, access in declared.items() if not access.authenticated} == PUBLIC
    assert {rule for rule, access in declared.items() if not access.limited} == UNLIMITED


@pytest.mark.parametrize(("rule", "access"), list(declarations(APP)))
def test_a_limit_that_is_named_can_be_configured(rule: str, access: Access | None) -> None:
    assert access
    assert access.limit is None or access.limit in SETTINGS.rate_limits


def test_every_route_is_under_the_base_path() -> None:
    assert [rule for rule, _ in declarations(APP) if not rule.startswith("/api/v1/")] == []
