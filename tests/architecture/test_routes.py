"""Every route says who may call it and what limits it."""

from collections.abc import Iterator

import pytest
from flask import Flask

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import Access, access_of, authenticated
from atomic_web.app import create_app

SETTINGS = Settings.from_environ({"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused"})
APP = create_app(in_memory(), SETTINGS)

PUBLIC = {
    *("/api/v1/openapi.json", "/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"),
    *("/api/v1/merchants/register", "/api/v1/merchants/login"),
}
SCOPES = {
    ("/api/v1/payments", "POST"): Scope.PAYMENTS_WRITE,
    ("/api/v1/payments/batch", "POST"): Scope.PAYMENTS_WRITE,
    ("/api/v1/payments/<id>", "GET"): Scope.PAYMENTS_READ,
    ("/api/v1/accounts", "POST"): Scope.ACCOUNTS_WRITE,
    ("/api/v1/accounts/<id>", "GET"): Scope.ACCOUNTS_READ,
}
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


def test_whoever_is_asked_for_a_key_is_asked_for_a_scope_and_all_others_for_none() -> None:
    for rule, access in declarations(APP):
        assert access
        wants_a_key = access.authenticated and not access.session
        assert (access.scope is not None) == wants_a_key, rule


def test_a_scope_that_does_not_exist_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="payments:all"):
        authenticated(scope="payments:all")
    with pytest.raises(TypeError, match="scope"):
        authenticated()  # type: ignore[call-arg]


def test_sessions_and_nothing_else_manage_merchants() -> None:
    for rule, access in declarations(APP):
        assert access
        is_theirs = rule.startswith("/api/v1/merchants/") and rule not in PUBLIC
        assert access.session == is_theirs, rule


def test_each_route_asks_for_the_scope_that_was_promised() -> None:
    asked = {
        (rule.rule, method): access.scope
        for rule in APP.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if (access := access_of(APP.view_functions[rule.endpoint])) and access.scope
    }
    assert asked.items() >= SCOPES.items()
    for (rule, method), scope in asked.items():
        assert (scope.endswith(":read")) == (method == "GET"), rule


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
