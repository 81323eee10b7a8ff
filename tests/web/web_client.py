"""The web layer over an in-memory application, and clients that call it."""

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from atomic_adapters.memory import MemoryStore
from atomic_adapters.settings import Settings
from atomic_adapters.system import ManualClock
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_web.app import bind_application, create_routes
from atomic_web.errors import STATUS
from support import with_use_cases
from web.conformance import get_contract

PAYMENTS = "/api/v1/payments"
BATCH = "/api/v1/payments/batch"
ACCOUNTS = "/api/v1/accounts"

REGISTER = "/api/v1/merchants/register"
LOGIN = "/api/v1/merchants/login"
LOGOUT = "/api/v1/merchants/logout"
DASHBOARD = "/api/v1/merchants/dashboard"
API_KEYS = "/api/v1/merchants/api-keys"
SESSIONS = "/api/v1/merchants/sessions"
CHANGE_PASSWORD = "/api/v1/merchants/password"
AUDIT_LOG = "/api/v1/merchants/audit-log"

PAYMENT_BODY = {"amount": 1234, "currency": "USD", "source": "tok_visa"}
ACCOUNT_BODY = {"name": "Sales", "currency": "USD"}
EMAIL = "owner@shop.example"
PASSWORD = "correct horse battery staple"

NO_LIMITS = {
    f"RATE_LIMIT_{name}": "off"
    for name in (
        *("GLOBAL", "SERVICE", "PAYMENTS", "REGISTER"),
        *("LOGIN_ADDRESS", "LOGIN_EMAIL", "PASSWORD", "NETWORK_EVENTS"),
    )
}


_ROUTES: dict[str, Flask] = {}
"""By settings. Compiling the URLs takes longer than most tests."""


def _create_app(application: Application, settings: Settings) -> Flask:
    """As `create_app`, with routes that applications with the same settings share."""
    key = repr(settings)
    if key not in _ROUTES:
        _ROUTES[key] = create_routes(settings)
    routes = _ROUTES[key]
    app = copy(routes)
    app.extensions = dict(routes.extensions)
    bind_application(app, application, settings)
    return app


class ConformanceClient(FlaskClient):
    """Checks every response of every test against the OpenAPI document."""

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = settings

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        request = response.request
        contract = get_contract(self.application, self.settings)
        contract.check(request.method, request.path, response)
        return response


@dataclass
class MerchantClient:
    """A merchant with an API key."""

    client: FlaskClient
    merchant_id: UUID
    key_id: UUID
    key: str = field(repr=False)

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers=self.authorization | _to_header_names(headers))

    def delete(self, path: str, **headers: str) -> TestResponse:
        return self.client.delete(path, headers=self.authorization | _to_header_names(headers))

    def patch(self, path: str, body: object, **headers: str) -> TestResponse:
        return self.client.patch(path, json=body, headers=self.authorization | headers)

    def post(self, path: str, body: object, **headers: str) -> TestResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json"} | self.authorization
        return self.client.post(path, data=data, headers=all_headers | _to_header_names(headers))

    def pay(self, key: str | None = None, **changes: Any) -> TestResponse:
        headers = {} if key is None else {"Idempotency_Key": key}
        return self.post(PAYMENTS, PAYMENT_BODY | changes, **headers)

    def pay_batch(self, *payments: object, **headers: str) -> TestResponse:
        return self.post(BATCH, {"payments": payments}, **headers)


@dataclass
class SessionClient(MerchantClient):
    """A merchant with a session. `key` is its token, `key_id` is unused."""

    email: str = EMAIL

    def create_key(self, name: str = "till", **fields: object) -> dict[str, Any]:
        response = self.post(API_KEYS, {"name": name, **fields})
        assert response.status_code == 201, response.data
        return response.get_json()["data"]

    def list_audit_events(self) -> list[str]:
        """Newest first."""
        rows = self.get(f"{AUDIT_LOG}?limit=100").get_json()["data"]["items"]
        return [row["event"] for row in rows]


@dataclass
class WebApp:
    application: Application
    settings: Settings
    clock: ManualClock

    def __post_init__(self) -> None:
        self.app = _create_app(self.application, self.settings)
        self.app.test_client_class = ConformanceClient
        self.client = self.app.test_client(settings=self.settings)

    def with_settings(self, **variables: str) -> "WebApp":
        """The same application with other web settings."""
        return replace(self, settings=settings(**variables))

    def with_use_cases(self, replacements: Mapping[str, Any]) -> "WebApp":
        """The same web layer over an application with some use cases or ports replaced."""
        return replace(self, application=with_use_cases(self.application, replacements))

    def create_merchant(self, name: str = "Merchant") -> MerchantClient:
        merchant = self.application.merchants.add(name)
        issued = self.application.api_keys.issue(merchant.id, "test")
        return MerchantClient(self.client, merchant.id, issued.key.id, issued.raw)

    def register_and_log_in(self, email: str = EMAIL) -> SessionClient:
        response = self.client.post(REGISTER, json={"email": email, "password": PASSWORD})
        assert response.status_code == 201, response.data
        return self.log_in(email)

    def log_in(self, email: str = EMAIL) -> SessionClient:
        response = self.client.post(LOGIN, json={"email": email, "password": PASSWORD})
        assert response.status_code == 200, response.data
        data = response.get_json()["data"]
        merchant_id = UUID(data["merchant"]["id"])
        return SessionClient(self.client, merchant_id, UUID(int=0), data["token"], email)

    def connect(self, merchant: MerchantClient) -> MerchantClient:
        """The same merchant as a client of this web app."""
        return replace(merchant, client=self.client)

    @property
    def effects(self) -> tuple[int, int, int]:
        """The numbers of payments, accounts and idempotency keys. A refused request adds none."""
        begin = self.application.payments.record.begin
        store = cast(MemoryStore, getattr(begin, "__self__"))  # noqa: B009
        tables = store.tables
        return len(tables.payments.rows), len(tables.accounts.rows), len(tables.idempotency.rows)


def settings(**variables: str) -> Settings:
    required = {
        "ATOMIC_ENV": "test",
        "DATABASE_URL": "postgresql:///unused",
        "WEBHOOK_ALLOW_PRIVATE": "none",
    }
    return Settings.from_environ(required | variables)


def build_clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 15, 30, 13, 153_999, tzinfo=UTC))


def build_web_app(clock: ManualClock) -> WebApp:
    """Without most rate limits: the tests of rate limits configure their own."""
    return WebApp(in_memory(clock), settings(**NO_LIMITS), clock)


def error_type(response: TestResponse) -> str:
    """The family of an error response's code."""
    error_code(response)
    return response.get_json()["error"]["type"]


def error_code(response: TestResponse) -> str:
    """The code of an error response, which must have the complete envelope."""
    body = response.get_json()
    assert response.mimetype == "application/json"
    assert body["success"] is False
    assert set(body) == {"success", "error", "meta"}
    required = {"code", "type", "message", "retryable", "docUrl"}
    assert required <= set(body["error"]) <= {*required, "param", "details"}
    assert body["error"]["message"]
    assert body["error"]["docUrl"] == f"/api/v1/docs/errors/{body['error']['code']}"
    assert STATUS[body["error"]["type"]] == response.status_code
    assert body["meta"]["requestId"] == response.headers["X-Request-Id"]
    return body["error"]["code"]


def _to_header_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
