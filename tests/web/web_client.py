"""A web door over an application in memory, and the callers who stand before it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from atomic_adapters.memory import MemoryStore
from atomic_adapters.settings import Settings
from atomic_adapters.system import ManualClock
from atomic_core.application import Application
from atomic_web.app import create_app
from support import with_use_cases
from web.conformance import contract_of

PAYMENTS = "/api/v1/payments"
BATCH = "/api/v1/payments/batch"
ACCOUNTS = "/api/v1/accounts"

REGISTER = "/api/v1/merchants/register"
LOGIN = "/api/v1/merchants/login"
LOGOUT = "/api/v1/merchants/logout"
DASHBOARD = "/api/v1/merchants/dashboard"
API_KEYS = "/api/v1/merchants/api-keys"
AUDIT_LOG = "/api/v1/merchants/audit-log"

ORDER = {"amount": 1234, "currency": "USD", "source": "tok_visa"}
ACCOUNT = {"name": "Sales", "currency": "USD"}
EMAIL = "owner@shop.example"
PASSWORD = "correct horse battery staple"

NO_LIMITS = {
    f"RATE_LIMIT_{name}": "off"
    for name in ("GLOBAL", "PAYMENTS", "REGISTER", "LOGIN_ADDRESS", "LOGIN_EMAIL")
}


class Checked(FlaskClient):
    """Holds every answer of every test to the OpenAPI document."""

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = settings

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        asked = response.request
        contract_of(self.application, self.settings).check(asked.method, asked.path, response)
        return response


@dataclass
class Caller:
    """A merchant with a key."""

    client: FlaskClient
    merchant_id: UUID
    key_id: UUID
    key: str = field(repr=False)

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers=self.authorization | _dashed(headers))

    def delete(self, path: str, **headers: str) -> TestResponse:
        return self.client.delete(path, headers=self.authorization | _dashed(headers))

    def post(self, path: str, body: object, **headers: str) -> TestResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | self.authorization | _dashed(headers)
        return self.client.post(path, data=raw, headers=sent)

    def pay(self, key: str | None = None, **changes: Any) -> TestResponse:
        headers = {} if key is None else {"Idempotency_Key": key}
        return self.post(PAYMENTS, ORDER | changes, **headers)

    def pay_all(self, *orders: object, **headers: str) -> TestResponse:
        return self.post(BATCH, {"payments": orders}, **headers)


@dataclass
class Member(Caller):
    """A merchant with a session; the key is its token, and the key's id nobody's."""

    email: str = EMAIL

    def new_key(self, name: str = "till", **asked: object) -> dict[str, Any]:
        answer = self.post(API_KEYS, {"name": name, **asked})
        assert answer.status_code == 201, answer.data
        return answer.get_json()["data"]

    def events(self) -> list[str]:
        """Newest first."""
        rows = self.get(f"{AUDIT_LOG}?limit=100").get_json()["data"]["items"]
        return [row["event"] for row in rows]


@dataclass
class Web:
    application: Application
    settings: Settings
    clock: ManualClock

    def __post_init__(self) -> None:
        self.app = create_app(self.application, self.settings)
        self.app.test_client_class = Checked
        self.client = self.app.test_client(settings=self.settings)

    def configured(self, **variables: str) -> "Web":
        """The same application behind a door with other settings."""
        return replace(self, settings=settings(**variables))

    def with_use_cases(self, replacements: Mapping[str, Any]) -> "Web":
        """The same web layer over an application with some use cases or ports replaced."""
        return replace(self, application=with_use_cases(self.application, replacements))

    def merchant(self, name: str = "Merchant") -> Caller:
        merchant = self.application.merchants.add(name)
        issued = self.application.api_keys.issue(merchant.id, "test")
        return Caller(self.client, merchant.id, issued.key.id, issued.raw)

    def member(self, email: str = EMAIL) -> Member:
        """A merchant who has registered and logged in at this door."""
        registered = self.client.post(REGISTER, json={"email": email, "password": PASSWORD})
        assert registered.status_code == 201, registered.data
        return self.log_in(email)

    def log_in(self, email: str = EMAIL) -> Member:
        answer = self.client.post(LOGIN, json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.data
        data = answer.get_json()["data"]
        return Member(self.client, UUID(data["merchant"]["id"]), UUID(int=0), data["token"], email)

    def seen_by(self, caller: Caller) -> Caller:
        """The caller at this door."""
        return replace(caller, client=self.client)

    @property
    def effects(self) -> tuple[int, int, int]:
        """How many payments, accounts and kept keys there are: what a refusal must not add."""
        begin = self.application.payments.accept.begin
        store = cast(MemoryStore, getattr(begin, "__self__"))  # noqa: B009
        tables = store.tables
        return len(tables.payments.rows), len(tables.accounts.rows), len(tables.idempotency.rows)


def settings(**variables: str) -> Settings:
    known = {"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused"}
    return Settings.from_environ(known | variables)


def error_code(response: TestResponse) -> str:
    """The code of a complete, well-formed error answer."""
    body = response.get_json()
    assert response.mimetype == "application/json"
    assert body["success"] is False
    assert set(body) == {"success", "error", "meta"}
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
    assert body["error"]["message"]
    assert body["meta"]["requestId"] == response.headers["X-Request-Id"]
    return body["error"]["code"]


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
