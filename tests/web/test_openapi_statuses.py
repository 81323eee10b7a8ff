"""Every status that the OpenAPI document names is answered, and no other. That the answers conform,
the client sees to (door.py)."""

from collections.abc import Callable
from typing import Any

from atomic_core.domain.errors import IdempotencyKeyInUse, StorageUnavailable
from atomic_web.context import BASE_PATH
from web.conformance import Contract
from web.web_client import ACCOUNT, ACCOUNTS, API_KEYS, EMAIL, ORDER, PASSWORD, REGISTER, Web

PATH = f"{BASE_PATH}/openapi.json"
UNKNOWN = "01999999-0000-7000-8000-000000000000"

UNREADABLE, UNREAD = "400", {"408", "414", "431"}
"""What gunicorn's worker answers before there is a request to visit with: tests/web/
test_unreadable.py and tests/e2e/test_slow_clients.py."""


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_arguments: object) -> None:
        raise error

    return fail


class Broken:
    count = staticmethod(failing(RuntimeError("a bug")))


class Unready:
    ready = False
    checks = {"postgres": False}  # noqa: RUF012


LOGIN = {"email": EMAIL, "password": PASSWORD}
KEYS, ROTATE, LOGOUT = "/merchants/api-keys", "/merchants/api-keys/{id}/rotate", "/merchants/logout"
BODIES: dict[str, Any] = {
    "/payments": ORDER,
    "/payments/batch": {"payments": [ORDER]},
    "/accounts": ACCOUNT,
    "/merchants/register": {**LOGIN, "email": "new@shop.example"},
    "/merchants/login": LOGIN,
    KEYS: {"name": "till"},
}
"""Others may be empty."""


class Statuses:
    """Which status each operation has answered; the client checks that each conforms."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.merchant = web.merchant()
        self.member = web.member()
        # Between them they lack every scope.
        self.powerless = [
            web.application.api_keys.issue(self.member.merchant_id, scope, frozenset({scope})).raw
            for scope in ("refunds:write", "accounts:read")
        ]
        bug, down = failing(RuntimeError("a bug")), failing(StorageUnavailable())
        self.without = web.with_use_cases(
            {
                "api_keys.recognize": down,
                "maintenance.check_health": Unready,
                "sessions.authenticate": down,
                "merchants.register": down,
                "sessions.log_in": down,
            }
        )
        limits = web.configured()
        self.broken = limits.with_use_cases(
            {
                "api_keys.recognize": bug,
                "maintenance.check_health": bug,
                "rate_limiter": Broken(),
            }
        )
        in_use = failing(IdempotencyKeyInUse())
        self.held = web.with_use_cases(
            {
                "payments.create": in_use,
                "idempotency.perform_once": in_use,
                "merchants.register": in_use,
                "sessions.log_in": in_use,
            }
        )
        self.limited = web.configured(RATE_LIMIT_GLOBAL="1/900")
        self.limited.client.get(PATH)
        self.seen: set[tuple[str, str, str]] = set()

    def ask(self, door: Web, method: str, path: str, asked: str = "", **sent: Any) -> None:
        headers = self.authorization(path) | sent.pop("headers", {})
        url = BASE_PATH + (asked or path.format(id=UNKNOWN, key=UNKNOWN))
        response = door.client.open(url, method=method, headers=headers, **sent)
        self.seen.add((method, path, str(response.status_code)))

    def authorization(self, path: str) -> dict[str, str]:
        if not path.startswith("/merchants/"):
            return self.merchant.authorization
        # Each ends its own.
        member = self.web.log_in() if path == LOGOUT else self.member
        return member.authorization

    def of_every_route(self, method: str, path: str) -> None:
        sent: dict[str, Any] = {"json": BODIES.get(path, {})} if method == "POST" else {}
        self.ask(self.web, method, path, **sent)
        self.ask(self.web, method, path, path.format(id=UNKNOWN, key=UNKNOWN) + "?x=1", **sent)
        self.ask(self.web, method, path, headers={"Authorization": "Bearer no"}, **sent)
        for key in self.powerless if not path.startswith("/merchants/") else ():
            powerless = {"Authorization": f"Bearer {key}"}
            self.ask(self.web, method, path, headers=powerless, **sent)
        self.ask(self.limited, method, path, **sent)
        self.ask(self.without, method, path, **sent)
        self.ask(self.broken, method, path, **sent)

    def of_posts(self, path: str) -> None:
        body = BODIES.get(path, {})
        order = {**ORDER, "merchantId": UNKNOWN}
        foreign = {"/payments": order, "/payments/batch": {"payments": [order]}}
        key = {"Idempotency-Key": path.replace("/", ".")}
        self.ask(self.web, "POST", path, json=foreign.get(path, body))
        self.ask(self.held, "POST", path, json=body, headers=key)
        self.ask(self.web, "POST", path, data=b"{}", content_type="text/plain")
        self.ask(self.web, "POST", path, data=b"x" * 2_200_000, content_type="application/json")
        if path.startswith("/merchants/"):
            self.of_merchants_posts(path, key)
            return
        used = BODIES["/accounts" if path == "/payments" else "/payments"]
        asked = "/accounts" if path == "/payments" else "/payments"
        self.merchant.post(BASE_PATH + asked, used, Idempotency_Key=key["Idempotency-Key"])
        self.ask(self.web, "POST", path, json=body, headers=key)

    def of_lives(self) -> None:
        """What becomes of payments that are held, and of one that succeeded."""
        for verb, capture in (
            ("capture", "manual"),
            ("cancel", "manual"),
            ("refunds", "automatic"),
        ):
            payment = self.merchant.pay(capture=capture).headers["Location"]
            self.web.application.settlement.settle()
            asked = f"{payment.removeprefix(BASE_PATH)}/{verb}"
            self.ask(self.web, "POST", f"/payments/{{id}}/{verb}", asked, json={})

    def of_merchants_posts(self, path: str, key: dict[str, str]) -> None:
        if path == "/merchants/register":
            other = {**BODIES[path], "email": "other@shop.example"}
            self.web.client.post(REGISTER, json=other, headers=key)
            self.ask(self.web, "POST", path, json={**other, "name": "x"}, headers=key)
        elif path == "/merchants/login":
            wrong = {**LOGIN, "password": "wrong horse"}
            self.ask(self.web, "POST", path, json=wrong)
        if path == ROTATE:
            made = self.member.new_key()["id"]
            self.ask(self.web, "POST", path, f"{KEYS}/{made}/rotate", json={})
            made = self.member.new_key()["id"]
            self.ask(self.web, "POST", path, f"{KEYS}/{made}/rotate", json={}, headers=key)
        if path != "/merchants/register":
            body = {"name": "another"}
            self.member.post(API_KEYS, body, Idempotency_Key=key["Idempotency-Key"])
            body = {"name": "x"} if path == KEYS else BODIES.get(path, {})
            self.ask(self.web, "POST", path, json=body, headers=key)

    def of_deletes(self) -> None:
        made = self.member.new_key()["id"]
        self.ask(self.web, "DELETE", f"{KEYS}/{{id}}", f"{KEYS}/{made}")

    def of_reads(self, method: str) -> None:
        payment = self.merchant.pay().headers["Location"]
        self.web.application.settlement.settle()
        refund = self.merchant.post(f"{payment}/refunds", {}).headers["Location"]
        timeline = f"{payment}/timeline".removeprefix(BASE_PATH)
        self.ask(self.web, method, "/refunds/{id}", refund.removeprefix(BASE_PATH))
        self.ask(self.web, method, "/payments/{id}/timeline", timeline)
        account = self.merchant.post(ACCOUNTS, ACCOUNT).headers["Location"]
        self.ask(self.web, method, "/payments/{id}", payment.removeprefix(BASE_PATH))
        self.ask(self.web, method, "/accounts/{id}", account.removeprefix(BASE_PATH))
        entries = f"{account}/entries".removeprefix(BASE_PATH)
        self.ask(self.web, method, "/accounts/{id}/entries", entries)
        refunds = f"{payment}/refunds".removeprefix(BASE_PATH)
        self.ask(self.web, method, "/payments/{id}/refunds", refunds)
        self.merchant.pay("a/key?")
        self.ask(self.web, method, "/idempotency-keys/{key}", "/idempotency-keys/a/key%3F")
        etag = self.web.client.get(PATH).headers["ETag"]
        self.ask(self.web, method, "/openapi.json", headers={"If-None-Match": etag})


def not_here(method: str, path: str) -> set[str]:
    """The statuses that this operation answers only where no application in memory gets to."""
    if method == "OPTIONS" or path == "/health/live":
        return {UNREADABLE, *UNREAD, "500"}
    return {UNREADABLE, *UNREAD} if path.startswith("/health") else UNREAD


def test_every_documented_status_is_answered_and_no_other(web: Web, contract: Contract) -> None:
    statuses = Statuses(web)
    for method, path, _ in contract.operations():
        statuses.of_every_route(method, path)
        if method == "POST":
            statuses.of_posts(path)
    statuses.of_deletes()
    statuses.of_lives()
    for method in ("GET", "HEAD"):
        statuses.of_reads(method)

    promised = {
        (method, path, status)
        for method, path, operation in contract.operations()
        for status in operation["responses"].keys() - not_here(method, path)
    }
    assert statuses.seen == promised
