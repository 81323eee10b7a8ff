"""Every documented status of every operation occurs, and no other. ConformanceClient checks that
the responses conform."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from atomic_core.domain.errors import IdempotencyKeyInUse, StorageUnavailable
from atomic_core.domain.origins import OPERATOR
from atomic_core.domain.webhooks import MAX_ENDPOINTS
from atomic_core.use_cases.maintenance import Health
from atomic_web.context import BASE_PATH
from atomic_web.openapi import examples
from web.conformance import Contract
from web.network_event_client import NETWORK_EVENTS, build_event, configure_stripe, sign
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    API_KEYS,
    EMAIL,
    PASSWORD,
    PAYMENT_BODY,
    REGISTER,
    SESSIONS,
    WebApp,
)

PATH = f"{BASE_PATH}/openapi.json"
UNKNOWN = "01999999-0000-7000-8000-000000000000"

MALFORMED, UNREADABLE = "400", {"408", "414", "431"}
"""Answered by the gunicorn worker before the application is called: see tests/web/
test_malformed_requests.py and tests/e2e/test_slow_clients.py."""


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_arguments: object) -> None:
        raise error

    return fail


class FailingRateLimiter:
    count = staticmethod(failing(RuntimeError("a bug")))


def report_not_ready() -> Health:
    return Health({"postgres": False}, is_ready=False)


LOGIN = {"email": EMAIL, "password": PASSWORD}
KEYS, ROTATE, LOGOUT = "/merchants/api-keys", "/merchants/api-keys/{id}/rotate", "/merchants/logout"
ENDPOINTS = "/webhook-endpoints"
TRANSACTIONS, DISPUTES = "/ledger/transactions", "/disputes"
PERIODS = "/ledger/periods"
BODIES: dict[str, Any] = {
    "/payments": PAYMENT_BODY,
    "/payments/batch": {"payments": [PAYMENT_BODY]},
    "/accounts": ACCOUNT_BODY,
    TRANSACTIONS: {
        "entries": [
            {"accountId": UNKNOWN, "amount": -1},
            {"accountId": UNKNOWN.replace("0199", "0198"), "amount": 1},
        ]
    },
    f"{PERIODS}/close": {"endDate": "2020-01-31"},
    "/ledger/exchanges": {
        **{
            f"{side}{kind}Id": UNKNOWN
            for side in ("source", "target")
            for kind in ("Account", "Position")
        },
        "sourceAmount": 1,
        "rate": "1",
    },
    f"{TRANSACTIONS}/batch": {
        "transactions": [
            {
                "entries": [
                    {"accountId": UNKNOWN, "amount": -1},
                    {"accountId": UNKNOWN.replace("0199", "0198"), "amount": 1},
                ]
            }
        ]
    },
    "/merchants/register": {**LOGIN, "email": "new@shop.example"},
    "/merchants/login": LOGIN,
    KEYS: {"name": "till"},
    ENDPOINTS: {"url": "https://shop.example/webhooks"},
    f"{ENDPOINTS}/{{id}}/replay": {"fromSequence": 1},
    f"{DISPUTES}/{{id}}/evidence": {"explanation": "It was delivered."},
    # The same password, so that later logins succeed.
    "/merchants/password": {"currentPassword": PASSWORD, "newPassword": PASSWORD},
}
"""Request bodies; those of other paths may be empty."""


class StatusCollector:
    """Sends requests that provoke every status of every operation."""

    def __init__(self, web: WebApp) -> None:
        self.web = web
        self.merchant = web.create_merchant()
        self.session_client = web.register_and_log_in()
        # For every scope there is a key without it.
        issue = web.application.api_keys.issue
        self.limited_keys = [
            issue(self.session_client.merchant_id, scope, frozenset({scope})).raw
            for scope in ("refunds:write", "accounts:read")
        ]
        bug, unavailable = failing(RuntimeError("a bug")), failing(StorageUnavailable())
        self.unavailable_web = web.with_use_cases(
            {
                "api_keys.identify": unavailable,
                "maintenance.check_health": report_not_ready,
                "sessions.authenticate": unavailable,
                "merchants.register": unavailable,
                "sessions.log_in": unavailable,
            }
        )
        self.broken_web = web.with_settings().with_use_cases(
            {
                "api_keys.identify": bug,
                "maintenance.check_health": bug,
                "rate_limiter": FailingRateLimiter(),
            }
        )
        self.settled_web = web.with_use_cases(
            {
                "payments.wait": lambda *_: examples.SUCCESS,
                "refunds.wait": lambda *_: examples.REFUNDED,
            }
        )
        in_use = failing(IdempotencyKeyInUse())
        self.key_in_use_web = web.with_use_cases(
            {
                "payments.create": in_use,
                "idempotency.perform_once": in_use,
                "merchants.register": in_use,
                "sessions.log_in": in_use,
                "sessions.change_password": in_use,
            }
        )
        self.rate_limited_web = web.with_settings(
            RATE_LIMIT_GLOBAL="1/900", RATE_LIMIT_SERVICE="1/900"
        )
        self.rate_limited_web.client.get("/nowhere")
        self.rate_limited_web.client.options(PATH)
        self.statuses: set[tuple[str, str, str]] = set()

    def send(self, web: WebApp, method: str, template: str, path: str = "", **request: Any) -> None:
        headers = self.get_authorization(template) | request.pop("headers", {})
        url = BASE_PATH + (path or template.format(id=UNKNOWN, key=UNKNOWN, code=UNKNOWN))
        response = web.client.open(url, method=method, headers=headers, **request)
        self.statuses.add((method, template, str(response.status_code)))

    def get_authorization(self, template: str) -> dict[str, str]:
        if not template.startswith("/merchants/"):
            return self.merchant.authorization
        # Each logout needs a session of its own.
        return (self.web.log_in() if template == LOGOUT else self.session_client).authorization

    def send_to_every_route(self, method: str, template: str) -> None:
        has_body = method in ("POST", "PATCH")
        request: dict[str, Any] = {"json": BODIES.get(template, {})} if has_body else {}
        path = template.format(id=UNKNOWN, key=UNKNOWN, code=UNKNOWN)
        self.send(self.web, method, template, **request)
        self.send(self.web, method, template, f"{path}?x=1", **request)
        if template == "/":
            self.send(self.web, method, template, headers={"Accept": "text/html"})
        self.send(self.web, method, template, headers={"Authorization": "Bearer no"}, **request)
        if not template.startswith("/merchants/"):
            for key in self.limited_keys:
                headers = {"Authorization": f"Bearer {key}"}
                self.send(self.web, method, template, headers=headers, **request)
        self.send(self.rate_limited_web, method, template, **request)
        self.send(self.unavailable_web, method, template, **request)
        self.send(self.broken_web, method, template, **request)

    def send_posts(self, template: str) -> None:
        body = BODIES.get(template, {})
        others_payment = {**PAYMENT_BODY, "merchantId": UNKNOWN}
        forbidden = {
            "/payments": others_payment,
            "/payments/batch": {"payments": [others_payment]},
        }
        key = {"Idempotency-Key": template.replace("/", ".")}
        too_large = b"x" * 2_200_000
        self.send(self.web, "POST", template, json=forbidden.get(template, body))
        self.send(self.key_in_use_web, "POST", template, json=body, headers=key)
        self.send(self.web, "POST", template, data=b"{}", content_type="text/plain")
        self.send(self.web, "POST", template, data=too_large, content_type="application/json")
        if template.startswith("/merchants/"):
            self.send_merchant_posts(template, key)
            return
        first_path = "/accounts" if template == "/payments" else "/payments"
        self.merchant.post(
            BASE_PATH + first_path, BODIES[first_path], Idempotency_Key=key["Idempotency-Key"]
        )
        self.send(self.web, "POST", template, json=body, headers=key)

    def send_captures_cancellations_and_refunds(self) -> None:
        for action, capture in (
            ("capture", "manual"),
            ("cancel", "manual"),
            ("refunds", "automatic"),
        ):
            payment = self.merchant.pay(capture=capture).headers["Location"]
            self.web.application.settlement.settle()
            path = f"{payment.removeprefix(BASE_PATH)}/{action}"
            template = f"/payments/{{id}}/{action}"
            self.send(self.web, "POST", template, path, json={}, query_string={"wait": 0})
            again = self.merchant.pay(capture=capture).headers["Location"]
            self.web.application.settlement.settle()
            path = f"{again.removeprefix(BASE_PATH)}/{action}"
            settled = self.settled_web
            self.send(settled, "POST", template, path, json={}, query_string={"wait": 1})
        query = {"wait": 1}
        self.send(self.settled_web, "POST", "/payments", json=PAYMENT_BODY, query_string=query)

    def send_ledger_transactions(self) -> None:
        self.merchant.pay()
        self.web.application.settlement.settle()
        self.merchant.post(ACCOUNTS, ACCOUNT_BODY)
        accounts = self.merchant.get(ACCOUNTS).get_json()["data"]["items"]
        other, funded = accounts[0]["id"], accounts[-1]["id"]
        entries = [{"accountId": funded, "amount": -1}, {"accountId": other, "amount": 1}]
        body = {"entries": entries, "externalId": "a"}
        for content in (body | {"dryRun": True}, body, body, {"entries": entries[:1] * 2}):
            self.send(self.web, "POST", TRANSACTIONS, json=content)
        too_much = [{**entry, "amount": 10**9 * entry["amount"]} for entry in entries]
        self.send(self.web, "POST", TRANSACTIONS, json={"entries": too_much})
        self.send_ledger_batches(entries, too_much)
        [posted] = self.merchant.get(BASE_PATH + TRANSACTIONS).get_json()["data"]["items"]
        path = f"{TRANSACTIONS}/{posted['id']}"
        self.send(self.web, "GET", f"{TRANSACTIONS}/{{id}}", path)
        for _ in range(2):
            template = f"{TRANSACTIONS}/{{id}}/reverse"
            self.send(self.web, "POST", template, f"{path}/reverse", json={})
        pending = {"entries": entries, "pending": True}
        for action in ("post", "void"):
            reserved = self.merchant.post(BASE_PATH + TRANSACTIONS, pending)
            path = f"{TRANSACTIONS}/{reserved.get_json()['data']['id']}/{action}"
            for _ in range(2):
                self.send(self.web, "POST", f"{TRANSACTIONS}/{{id}}/{action}", path, json={})
        self.send_exchanges(funded, other)

    def send_exchanges(self, source: str, position: str) -> None:
        self.merchant.pay(currency="EUR")
        self.web.application.settlement.settle()
        euros = self.merchant.post(ACCOUNTS, ACCOUNT_BODY | {"currency": "EUR"})
        accounts = self.merchant.get(f"{ACCOUNTS}?currency=EUR").get_json()["data"]["items"]
        body = {
            "sourceAccountId": source,
            "sourcePositionId": position,
            "targetPositionId": accounts[-1]["id"],
            "targetAccountId": euros.get_json()["data"]["id"],
            "sourceAmount": 1,
            "rate": "1",
        }
        for changes in (
            {"dryRun": True},
            {"externalId": "exchange"},
            {"externalId": "exchange"},
            {"rate": "100000000"},
        ):
            self.send(self.web, "POST", "/ledger/exchanges", json=body | changes)

    def send_ledger_batches(self, entries: Any, too_much: Any) -> None:
        batch = f"{TRANSACTIONS}/batch"
        unknown = [{**entry, "accountId": UNKNOWN} for entry in entries[:1]] + entries[1:]
        for refused in (
            {"entries": too_much},
            {"entries": entries, "externalId": "a"},
            {"entries": unknown},
        ):
            for members in ({}, {"atomic": True}, {"dryRun": True}):
                content = {"transactions": [refused], **members}
                self.send(self.web, "POST", batch, json=content)

    def send_periods(self) -> None:
        # The first request to every route has closed it.
        [period] = self.merchant.get(BASE_PATH + PERIODS).get_json()["data"]["items"]
        path = f"{PERIODS}/{period['id']}"
        self.send(self.web, "GET", f"{PERIODS}/{{id}}", path)
        self.send(self.web, "GET", f"{PERIODS}/{{id}}/balances", f"{path}/balances")

    def send_disputes(self) -> None:
        for _ in range(2):
            self.merchant.pay(source="tok_disputed")
        self.web.application.settlement.settle()
        self.web.application.disputes.process("sandbox")
        items = self.merchant.get(BASE_PATH + DISPUTES).get_json()["data"]["items"]
        for item, action in zip(items, ("evidence", "accept"), strict=True):
            path = f"{DISPUTES}/{item['id']}"
            self.send(self.web, "GET", f"{DISPUTES}/{{id}}", path)
            template = f"{DISPUTES}/{{id}}/{action}"
            for _ in range(2):
                body = BODIES.get(template, {})
                self.send(self.web, "POST", template, f"{path}/{action}", json=body)

    def send_network_events(self) -> None:
        event = build_event(UUID(int=1))
        template = NETWORK_EVENTS.removeprefix(BASE_PATH)
        json_type = {"content_type": "application/json"}

        def send(web: WebApp, body: bytes = event, **request: Any) -> None:
            headers = {"Stripe-Signature": sign(event)}
            self.send(web, "POST", template, data=body, headers=headers, **json_type | request)

        stripe_web = configure_stripe(self.web)
        for body in (event, b"{}", b" " * 300_000):
            send(stripe_web, body)
        send(stripe_web, content_type="text/plain")
        for error in (RuntimeError("a bug"), StorageUnavailable()):
            send(stripe_web.with_use_cases({"network_events.receive": failing(error)}))
        limited = configure_stripe(self.web, RATE_LIMIT_NETWORK_EVENTS="1/900")
        for _ in range(2):
            send(limited)

    def send_webhooks(self) -> None:
        for number in range(MAX_ENDPOINTS):
            body = {"url": f"https://shop.example/{number}"}
            self.merchant.post(BASE_PATH + ENDPOINTS, body)
        self.send(self.web, "POST", ENDPOINTS, json=BODIES[ENDPOINTS])
        self.send(self.web, "GET", ENDPOINTS)
        self.merchant.pay(webhookUrl="https://shop.example/own")
        self.web.application.settlement.settle()
        self.web.application.webhooks.deliver()
        endpoints = self.merchant.get(BASE_PATH + ENDPOINTS).get_json()["data"]
        [default] = [endpoint["id"] for endpoint in endpoints if endpoint["url"] is None]
        [id, other, *_] = [endpoint["id"] for endpoint in endpoints if endpoint["url"]]
        for template in ("", "/deliveries"):
            self.send(
                self.web, "GET", f"{ENDPOINTS}/{{id}}{template}", f"{ENDPOINTS}/{id}{template}"
            )
        path = f"{ENDPOINTS}/{id}/deliveries"
        [delivery, *_] = self.merchant.get(BASE_PATH + path).get_json()["data"]["items"]
        self.send(self.web, "GET", "/deliveries/{id}", f"/deliveries/{delivery['id']}")
        retry = f"/deliveries/{delivery['id']}/retry"
        self.send(self.web, "POST", "/deliveries/{id}/retry", retry)
        for name, body in (("rotate-secret", {}), ("test", {}), ("replay", {"fromSequence": 1})):
            path = f"{ENDPOINTS}/{id}/{name}"
            self.send(self.web, "POST", f"{ENDPOINTS}/{{id}}/{name}", path, json=body)
        self.send(self.web, "POST", f"{ENDPOINTS}/{{id}}/test", f"{ENDPOINTS}/{default}/test")
        self.send_changes(id, default)
        self.send(self.web, "POST", "/deliveries/{id}/retry", retry)
        path = f"{ENDPOINTS}/{id}/replay"
        self.send(self.web, "POST", f"{ENDPOINTS}/{{id}}/replay", path, json={"fromSequence": 1})
        for deleted in (other, default):
            self.send(self.web, "DELETE", f"{ENDPOINTS}/{{id}}", f"{ENDPOINTS}/{deleted}")

    def send_changes(self, id: str, default: str) -> None:
        template, key = f"{ENDPOINTS}/{{id}}", {"Idempotency-Key": "change"}
        body = {"status": "disabled"}
        for path, content in ((id, body), (default, BODIES[ENDPOINTS])):
            self.send(self.web, "PATCH", template, f"{ENDPOINTS}/{path}", json=content)
        self.send(self.key_in_use_web, "PATCH", template, json=body, headers=key)
        self.send(self.web, "PATCH", template, data=b"{}", content_type="text/plain")
        too_large = b"x" * 2_200_000
        self.send(self.web, "PATCH", template, data=too_large, content_type="application/json")
        self.merchant.post(ACCOUNTS, ACCOUNT_BODY, Idempotency_Key="change")
        self.send(self.web, "PATCH", template, json=body, headers=key)

    def send_account_changes(self, path: str) -> None:
        template, key = "/accounts/{id}", {"Idempotency-Key": "change"}
        self.send(self.web, "GET", "/accounts/balances")
        for body in ({"name": "Till"}, {"status": "CLOSED"}):
            paid = self.merchant.get(ACCOUNTS).get_json()["data"]["items"][-1]["id"]
            changed = path if "name" in body else f"/accounts/{paid}"
            self.send(self.web, "PATCH", template, changed, json=body)
        self.send(self.key_in_use_web, "PATCH", template, path, json={}, headers=key)
        self.send(self.web, "PATCH", template, data=b"{}", content_type="text/plain")
        too_large = b"x" * 2_200_000
        self.send(self.web, "PATCH", template, data=too_large, content_type="application/json")
        self.merchant.post(ACCOUNTS, ACCOUNT_BODY, Idempotency_Key="change")
        self.send(self.web, "PATCH", template, path, json={}, headers=key)

    def send_merchant_posts(self, template: str, key: dict[str, str]) -> None:
        if template == "/merchants/register":
            other = {**BODIES[template], "email": "other@shop.example"}
            self.web.client.post(REGISTER, json=other, headers=key)
            self.send(self.web, "POST", template, json={**other, "name": "x"}, headers=key)
            self.send(self.web.with_settings(REGISTRATION="closed"), "POST", template, json=other)
        elif template == "/merchants/login":
            wrong = {**LOGIN, "password": "wrong horse"}
            self.send(self.web, "POST", template, json=wrong)
            suspended = self.web.register_and_log_in("suspended@shop.example")
            self.web.application.merchants.suspend(suspended.merchant_id, OPERATOR)
            self.send(self.web, "POST", template, json={**LOGIN, "email": suspended.email})
        elif template == "/merchants/password":
            wrong = {**BODIES[template], "currentPassword": "wrong horse"}
            self.send(self.web, "POST", template, json=wrong)
        if template == ROTATE:
            for headers in ({}, key):
                path = f"{KEYS}/{self.session_client.create_key()['id']}/rotate"
                self.send(self.web, "POST", template, path, json={}, headers=headers)
        if template != "/merchants/register":
            body = {"name": "another"}
            self.session_client.post(API_KEYS, body, Idempotency_Key=key["Idempotency-Key"])
            body = {"name": "x"} if template == KEYS else BODIES.get(template, {})
            self.send(self.web, "POST", template, json=body, headers=key)

    def send_deletes(self) -> None:
        key_id = self.session_client.create_key()["id"]
        self.send(self.web, "DELETE", f"{KEYS}/{{id}}", f"{KEYS}/{key_id}")
        self.web.log_in()
        [listed, *_] = self.session_client.get(SESSIONS).get_json()["data"]
        path = f"{SESSIONS.removeprefix(BASE_PATH)}/{{id}}"
        self.send(self.web, "DELETE", path, path.format(id=listed["id"]))

    def send_reads(self) -> None:
        payment = self.merchant.pay().headers["Location"]
        self.web.application.settlement.settle()
        refund = self.merchant.post(f"{payment}/refunds", {}).headers["Location"]
        [event, *_] = self.merchant.get(f"{BASE_PATH}/events").get_json()["data"]["items"]
        account = self.merchant.post(ACCOUNTS, ACCOUNT_BODY).headers["Location"]
        for template, location in (
            ("/payments/{id}", payment),
            ("/payments/{id}/timeline", f"{payment}/timeline"),
            ("/payments/{id}/refunds", f"{payment}/refunds"),
            ("/refunds/{id}", refund),
            ("/accounts/{id}", account),
            ("/accounts/{id}/entries", f"{account}/entries"),
            ("/accounts/{id}/balance", f"{account}/balance"),
            ("/accounts/{id}/explain", f"{account}/explain"),
            ("/accounts/{id}/balance-history", f"{account}/balance-history"),
            ("/events/{id}", f"{BASE_PATH}/events/{event['id']}"),
        ):
            self.send(self.web, "GET", template, location.removeprefix(BASE_PATH))
        self.send_account_changes(account.removeprefix(BASE_PATH))
        self.merchant.pay("a/key?")
        self.send(self.web, "GET", "/idempotency-keys/{key}", "/idempotency-keys/a/key%3F")
        self.send_purged_events()
        page = "/docs/errors/email_taken"
        self.send(self.web, "GET", "/docs/errors/{code}", page)
        etag = self.web.client.get(PATH).headers["ETag"]
        self.send(self.web, "GET", "/openapi.json", headers={"If-None-Match": etag})

    def send_purged_events(self) -> None:
        # Two events, of which the last one is always kept.
        other = self.web.create_merchant("Purged")
        other.pay()
        self.web.application.settlement.settle()
        self.web.clock.time += timedelta(days=401)
        self.web.application.maintenance.purge_events()
        response = other.get(f"{BASE_PATH}/events?after=0")
        self.statuses.add(("GET", "/events", str(response.status_code)))


def get_unreachable_statuses(method: str, path: str) -> set[str]:
    """The statuses of this operation that no application in memory can answer."""
    return {MALFORMED, *UNREADABLE} if path.startswith("/health") else UNREADABLE


def test_operations_answer_exactly_their_documented_statuses(
    web: WebApp, contract: Contract
) -> None:
    collector = StatusCollector(web)
    for method, path, _ in contract.operations():
        collector.send_to_every_route(method, path)
        if method == "POST":
            collector.send_posts(path)
    collector.send_deletes()
    collector.send_captures_cancellations_and_refunds()
    collector.send_reads()
    collector.send_ledger_transactions()
    collector.send_periods()
    collector.send_disputes()
    collector.send_webhooks()
    collector.send_network_events()

    documented = {
        (method, path, status)
        for method, path, operation in contract.operations()
        for status in operation["responses"].keys() - get_unreachable_statuses(method, path)
    }
    assert collector.statuses == documented
