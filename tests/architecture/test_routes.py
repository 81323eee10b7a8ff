"""Every route declares its access policy."""

from collections.abc import Iterator

import pytest
from flask import Flask

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import AccessPolicy, get_access_policy, requires_api_key
from atomic_web.access.rate_limiting import SERVICE_LIMIT
from atomic_web.app import create_app
from atomic_web.openapi.document import ALIASES

SETTINGS = Settings.from_environ({"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused"})
APP = create_app(in_memory(), SETTINGS)

PUBLIC = {
    *("/api/v1/openapi.json", "/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"),
    *("/api/v1/merchants/register", "/api/v1/merchants/login"),
    *("/", "/docs", "/api/v1", "/api/v1/", "/api/v1/docs"),
    "/api/v1/docs/errors/<code>",
    "/api/v1/networks/stripe/events",
}
SCOPES = {
    ("/api/v1/payments", "POST"): Scope.PAYMENTS_WRITE,
    ("/api/v1/payments/batch", "POST"): Scope.PAYMENTS_WRITE,
    ("/api/v1/payments/<id>", "GET"): Scope.PAYMENTS_READ,
    ("/api/v1/accounts", "POST"): Scope.ACCOUNTS_WRITE,
    ("/api/v1/accounts/<id>", "GET"): Scope.ACCOUNTS_READ,
    ("/api/v1/events", "GET"): Scope.EVENTS_READ,
    ("/api/v1/events/<id>", "GET"): Scope.EVENTS_READ,
    ("/api/v1/ledger/transactions", "POST"): Scope.LEDGER_WRITE,
    ("/api/v1/ledger/transactions/batch", "POST"): Scope.LEDGER_WRITE,
    ("/api/v1/ledger/transactions", "GET"): Scope.LEDGER_READ,
    ("/api/v1/ledger/exchanges", "POST"): Scope.LEDGER_WRITE,
    ("/api/v1/ledger/transactions/<id>", "GET"): Scope.LEDGER_READ,
    ("/api/v1/ledger/transactions/<id>/reverse", "POST"): Scope.LEDGER_WRITE,
}
NETWORK_EVENTS = "/api/v1/networks/stripe/events"
PROBES = PUBLIC - {"/api/v1/merchants/register", "/api/v1/merchants/login", NETWORK_EVENTS}


def iterate_policies(app: Flask) -> Iterator[tuple[str, AccessPolicy | None]]:
    for rule in app.url_map.iter_rules():
        yield rule.rule, get_access_policy(app.view_functions[rule.endpoint])


def find_routes_without_policy(app: Flask) -> list[str]:
    return [rule for rule, policy in iterate_policies(app) if policy is None]


def test_every_route_declares_an_access_policy() -> None:
    assert find_routes_without_policy(APP) == []


def test_a_route_without_an_access_policy_is_found() -> None:
    app = create_app(in_memory(), SETTINGS)
    app.add_url_rule("/api/v1/undeclared", "undeclared", lambda: "in")
    assert find_routes_without_policy(app) == ["/api/v1/undeclared"]


def test_routes_with_an_api_key_and_only_those_require_a_scope() -> None:
    for rule, policy in iterate_policies(APP):
        assert policy
        is_api_key_required = not policy.is_public and not policy.is_session_required
        assert (policy.scope is not None) == is_api_key_required, rule


def test_requires_api_key_refuses_an_unknown_or_missing_scope() -> None:
    with pytest.raises(ValueError, match="payments:all"):
        requires_api_key(scope="payments:all")
    with pytest.raises(TypeError, match="scope"):
        requires_api_key()  # type: ignore[call-arg]


def test_merchant_routes_and_only_those_require_a_session() -> None:
    for rule, policy in iterate_policies(APP):
        assert policy
        is_merchant_route = rule.startswith("/api/v1/merchants/") and rule not in PUBLIC
        assert policy.is_session_required == is_merchant_route, rule


def test_each_route_requires_its_documented_scope() -> None:
    scopes = {
        (rule.rule, method): policy.scope
        for rule in APP.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if (policy := get_access_policy(APP.view_functions[rule.endpoint])) and policy.scope
    }
    assert scopes.items() >= SCOPES.items()
    for (rule, method), scope in scopes.items():
        assert (scope.endswith(":read")) == (method == "GET"), rule


def test_only_listed_routes_are_public_and_only_probes_and_documents_have_own_limits() -> None:
    policies = {rule: policy for rule, policy in iterate_policies(APP) if policy}
    assert {rule for rule, policy in policies.items() if policy.is_public} == PUBLIC
    without_global_limit = {rule for rule in policies if not policies[rule].has_global_limit}
    assert without_global_limit == {*PROBES, NETWORK_EVENTS}
    assert policies[NETWORK_EVENTS].rate_limit == "network_events"
    assert {
        rule for rule, policy in policies.items() if policy.rate_limit == SERVICE_LIMIT
    } == PROBES


def test_requests_that_test_a_password_are_refused_if_they_cannot_be_counted() -> None:
    must_be_counted = {
        rule for rule, policy in iterate_policies(APP) if policy and policy.must_be_counted
    }
    assert must_be_counted == {"/api/v1/merchants/register", "/api/v1/merchants/login"}


@pytest.mark.parametrize(("rule", "policy"), list(iterate_policies(APP)))
def test_every_rate_limit_of_a_route_is_configurable(
    rule: str, policy: AccessPolicy | None
) -> None:
    assert policy
    assert policy.rate_limit is None or policy.rate_limit in SETTINGS.rate_limits


def test_every_route_but_the_aliases_is_under_the_base_path() -> None:
    outside = {rule for rule, _ in iterate_policies(APP) if not rule.startswith("/api/v1/")}
    assert outside == ALIASES == {"/", "/docs", "/api/v1"}
