"""Each cause of an error has a code, which a request produces, and a page."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from werkzeug.test import TestResponse

from atomic_core.domain.errors import (
    AtomicError,
    IdempotencyKeyInUse,
    PasswordChanged,
    StorageUnavailable,
    TooManyPings,
    TooManyWaiting,
    WebhooksUnavailable,
)
from atomic_core.domain.merchants import MAX_LIVE_KEYS
from atomic_core.domain.origins import OPERATOR
from atomic_core.domain.webhooks import MAX_ENDPOINTS
from atomic_core.ports.secret_cipher import SecretUnreadable
from atomic_core.use_cases.maintenance import Health
from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.errors import ERROR_PAGES, RETRY_AFTER_SECONDS, STATUS, RequestTimeout
from atomic_web.server.malformed_requests import to_domain_error
from web.network_event_client import configure_stripe, post_event
from web.test_journal import Ledger, create_ledger
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    API_KEYS,
    BATCH,
    CHANGE_PASSWORD,
    DASHBOARD,
    EMAIL,
    LOGIN,
    NO_LIMITS,
    PASSWORD,
    PAYMENT_BODY,
    PAYMENTS,
    REGISTER,
    MerchantClient,
    SessionClient,
    WebApp,
    error_code,
)

ENDPOINTS = "/api/v1/webhook-endpoints"
PERIODS = "/api/v1/ledger/periods"
UNKNOWN = "01999999-0000-7000-8000-000000000000"
SERVER_ERRORS: dict[str, BaseException] = {
    "headers_too_large": LimitRequestHeaders(""),
    "request_timeout": RequestTimeout(),
    "uri_too_long": LimitRequestLine(1, 2),
}
"""Errors that the server finds before the application is called."""


class Shop:
    """A merchant with an API key and a session."""

    def __init__(self, web: WebApp, session_client: SessionClient) -> None:
        self.web, self.session = web, session_client
        self.merchant = self.build_caller(web)

    @cached_property
    def ledger(self) -> Ledger:
        return create_ledger(self.web, self.web.create_merchant())

    def build_caller(self, web: WebApp, *scopes: str) -> MerchantClient:
        fields: dict[str, object] = {"scopes": scopes} if scopes else {}
        raw = self.session.create_key("test", **fields)["rawKey"]
        return MerchantClient(web.client, self.session.merchant_id, self.session.key_id, raw)

    def create_payment(self, **changes: Any) -> str:
        path = self.merchant.pay(**changes).headers["Location"]
        self.web.application.settlement.settle()
        return path

    def authorize(self, header: str, path: str = PAYMENTS) -> TestResponse:
        return self.web.client.get(path, headers={"Authorization": header})

    def fail(self, use_case: str, error: Exception) -> WebApp:
        def raise_error(*_arguments: object, **_named: object) -> None:
            raise error

        return self.web.with_use_cases({use_case: raise_error})

    def register(self, web: WebApp, **changes: str) -> TestResponse:
        body = {"email": "new@shop.example", "password": PASSWORD} | changes
        return web.client.post(REGISTER, json=body)

    def refund(self, amount: int) -> TestResponse:
        return self.merchant.post(f"{self.create_payment()}/refunds", {"amount": amount})

    def capture(self, path: str, amount: int) -> TestResponse:
        return self.merchant.post(f"{path}/capture", {"amount": amount})

    def exceed_refunds(self) -> TestResponse:
        path = self.create_payment()
        answers = [self.merchant.post(f"{path}/refunds", {"amount": 1}) for _ in range(101)]
        return answers[-1]

    def exceed_keys(self) -> TestResponse:
        answers = [
            self.session.post(API_KEYS, {"name": str(number)}) for number in range(MAX_LIVE_KEYS)
        ]
        return answers[-1]

    def rotate_revoked_key(self) -> TestResponse:
        path = f"{API_KEYS}/{self.session.create_key()['id']}"
        self.session.delete(path)
        return self.session.post(f"{path}/rotate", {})

    def exceed_endpoints(self) -> TestResponse:
        answers = [self.add_endpoint() for _ in range(MAX_ENDPOINTS + 1)]
        return answers[-1]

    def add_endpoint(self) -> TestResponse:
        return self.merchant.post(ENDPOINTS, {"url": "https://shop.example/hooks"})

    def replay_disabled(self) -> TestResponse:
        path = f"{ENDPOINTS}/{self.add_endpoint().get_json()['data']['endpoint']['id']}"
        self.merchant.patch(path, {"status": "disabled"})
        return self.merchant.post(f"{path}/replay", {"fromSequence": 1})

    def test_built_in(self) -> TestResponse:
        self.merchant.pay(webhookUrl="https://shop.example/own")
        [endpoint] = self.merchant.get(ENDPOINTS).get_json()["data"]
        return self.merchant.post(f"{ENDPOINTS}/{endpoint['id']}/test", {})

    def test_unreadable(self) -> TestResponse:
        id = self.add_endpoint().get_json()["data"]["endpoint"]["id"]
        cipher = type(self.web.application.webhooks.ping.cipher)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cipher, "decrypt", lambda *_: (_ for _ in ()).throw(SecretUnreadable()))
            return self.merchant.post(f"{ENDPOINTS}/{id}/test", {})

    def purge(self) -> TestResponse:
        for _ in range(2):
            self.create_payment()
        self.web.clock.time += self.web.settings.event_retention * 2
        self.web.application.maintenance.purge_events()
        return self.merchant.get("/api/v1/events?after=0")

    def log_in_suspended(self) -> TestResponse:
        self.web.application.merchants.suspend(self.session.merchant_id, OPERATOR)
        return self.web.client.post(LOGIN, json={"email": EMAIL, "password": PASSWORD})

    def change_password(self, web: WebApp, current: str = PASSWORD) -> TestResponse:
        body = {"currentPassword": current, "newPassword": "another horse battery"}
        return replace(self.session, client=web.client).post(CHANGE_PASSWORD, body)

    def exceed_rate_limit(self) -> TestResponse:
        limited = self.web.with_settings(**{**NO_LIMITS, "RATE_LIMIT_PAYMENTS": "1/60"})
        caller = limited.connect(self.merchant)
        caller.pay()
        return caller.pay()

    def post_transaction(self, amount: int = 100, **members: Any) -> TestResponse:
        return self.ledger.post(self.ledger.build(amount, **members))

    def post_external_id_twice(self) -> TestResponse:
        self.post_transaction(externalId="a")
        return self.post_transaction(externalId="a")

    def reverse(self, path: str) -> TestResponse:
        return self.ledger.merchant.post(f"{path}/reverse", {})

    def end_pending(self, action: str, **body: Any) -> TestResponse:
        path = self.post_transaction(pending=True).headers["Location"]
        return self.ledger.merchant.post(f"{path}/{action}", body)

    def close_period_twice(self) -> TestResponse:
        path, body = f"{PERIODS}/close", {"endDate": "2020-01-31"}
        self.merchant.post(path, body)
        return self.merchant.post(path, body)

    def void_twice(self) -> TestResponse:
        path = self.end_pending("void").headers["Location"]
        return self.ledger.merchant.post(f"{path}/void", {})

    def reverse_twice(self) -> TestResponse:
        path = self.post_transaction().headers["Location"]
        self.reverse(path)
        return self.reverse(path)

    def reverse_reversal(self) -> TestResponse:
        path = self.post_transaction().headers["Location"]
        return self.reverse(self.reverse(path).headers["Location"])

    def accept_twice(self) -> TestResponse:
        self.merchant.pay(source="tok_disputed")
        self.web.application.settlement.settle()
        self.web.application.disputes.process("sandbox")
        [dispute] = self.merchant.get("/api/v1/disputes").get_json()["data"]["items"]
        path = f"/api/v1/disputes/{dispute['id']}/accept"
        self.merchant.post(path, {})
        return self.merchant.post(path, {})

    def reuse_key(self) -> TestResponse:
        self.merchant.pay(key="k")
        return self.merchant.pay(key="k", amount=1)

    def change_account(self, status: str) -> TestResponse:
        """Of all accounts."""
        accounts = self.merchant.get(ACCOUNTS).get_json()["data"]["items"]
        paths = [f"{ACCOUNTS}/{account['id']}" for account in accounts]
        return [self.merchant.patch(path, {"status": status}) for path in paths][-1]

    def pay_onto(self, status: str) -> TestResponse:
        self.merchant.post(ACCOUNTS, ACCOUNT_BODY)
        self.change_account(status)
        return self.merchant.pay()

    def close_account_with_balance(self) -> TestResponse:
        self.create_payment()
        return self.change_account("CLOSED")


PRODUCERS: Mapping[str, Callable[[Shop], TestResponse]] = {
    "account_closed": lambda shop: shop.pay_onto("CLOSED"),
    "account_frozen": lambda shop: shop.pay_onto("FROZEN"),
    "account_not_empty": Shop.close_account_with_balance,
    "amount_exceeds_held": lambda shop: shop.capture(shop.create_payment(capture="manual"), 1_235),
    "amount_exceeds_reserved": lambda shop: shop.end_pending("post", amount=101),
    "api_key_given": lambda shop: shop.authorize(f"Bearer {shop.merchant.key}", DASHBOARD),
    "api_key_inactive": Shop.rotate_revoked_key,
    "api_key_malformed": lambda shop: shop.authorize(shop.merchant.key),
    "api_key_missing": lambda shop: shop.web.client.get(PAYMENTS),
    "email_taken": lambda shop: shop.register(shop.web, email=EMAIL),
    "dispute_not_answerable": Shop.accept_twice,
    "events_purged": Shop.purge,
    "external_id_taken": Shop.post_external_id_twice,
    "forbidden": lambda shop: shop.merchant.pay(merchantId=UNKNOWN),
    "idempotency_key_in_use": lambda shop: (
        shop.fail("payments.create", IdempotencyKeyInUse()).connect(shop.merchant).pay(key="k")
    ),
    "idempotency_key_reused": Shop.reuse_key,
    "internal_error": lambda shop: (
        shop.fail("payments.create", KeyError("a bug")).connect(shop.merchant).pay()
    ),
    "malformed_request": lambda shop: shop.merchant.post(PAYMENTS, b"{"),
    "login_suspended": Shop.log_in_suspended,
    "method_not_allowed": lambda shop: shop.merchant.delete(PAYMENTS),
    "not_found": lambda shop: shop.merchant.get(f"{PAYMENTS}/{UNKNOWN}"),
    "not_ready": lambda shop: shop.web.with_use_cases(
        {"maintenance.check_health": lambda: Health({"postgres": False}, is_ready=False)}
    ).client.get("/api/v1/health/ready"),
    "password_change_conflict": lambda shop: shop.change_password(
        shop.fail("sessions.change_password", PasswordChanged())
    ),
    "payload_too_large": lambda shop: shop.merchant.post(PAYMENTS, b" " * 70_000),
    "payment_not_cancelable": lambda shop: shop.merchant.post(
        f"{shop.create_payment()}/cancel", {}
    ),
    "payment_not_capturable": lambda shop: shop.capture(shop.create_payment(), 1),
    "payment_not_refundable": lambda shop: shop.merchant.post(
        f"{shop.create_payment(source='tok_chargeDeclined')}/refunds", {}
    ),
    "period_closed": Shop.close_period_twice,
    "rate_limited": Shop.exceed_rate_limit,
    "refund_exceeds_remaining": lambda shop: shop.refund(1_235),
    "registration_closed": lambda shop: shop.register(
        shop.web.with_settings(**NO_LIMITS, REGISTRATION="closed")
    ),
    "reversal_not_reversible": Shop.reverse_reversal,
    "scope_missing": lambda shop: shop.build_caller(shop.web, "refunds:write").get(PAYMENTS),
    "service_unavailable": lambda shop: (
        shop.fail("payments.create", StorageUnavailable()).connect(shop.merchant).pay()
    ),
    "session_invalid": lambda shop: shop.authorize("Bearer st_" + "0" * 48, DASHBOARD),
    "session_token_given": lambda shop: shop.authorize(f"Bearer {shop.session.key}"),
    "session_token_malformed": lambda shop: shop.authorize("Basic eDp5", DASHBOARD),
    "session_token_missing": lambda shop: shop.web.client.get(DASHBOARD),
    "signing_secret_unreadable": Shop.test_unreadable,
    "too_many_api_keys": Shop.exceed_keys,
    "too_many_refunds": Shop.exceed_refunds,
    "too_many_tests": lambda shop: (
        shop.fail("webhooks.ping", TooManyPings())
        .connect(shop.merchant)
        .post(f"{ENDPOINTS}/{UNKNOWN}/test", {})
    ),
    "too_many_waiting": lambda shop: (
        shop.fail("events.list", TooManyWaiting()).connect(shop.merchant).get("/api/v1/events")
    ),
    "too_many_webhook_endpoints": Shop.exceed_endpoints,
    "transaction_already_reversed": Shop.reverse_twice,
    "transaction_not_pending": Shop.void_twice,
    "transaction_not_posted": lambda shop: shop.end_pending("reverse"),
    "transaction_refused": lambda shop: shop.post_transaction(1_001),
    "unauthorized": lambda shop: shop.authorize("Bearer sk_test_" + "0" * 48),
    "event_signature_invalid": lambda shop: post_event(configure_stripe(shop.web), b"{}", ""),
    "unknown_test_token": lambda shop: shop.merchant.pay(source="tok_chargedeclined"),
    "unsupported_media_type": lambda shop: shop.merchant.post(
        PAYMENTS, PAYMENT_BODY, Content_Type="text/plain"
    ),
    "validation_failed": lambda shop: shop.merchant.pay(amount="5"),
    "webhook_endpoint_built_in": Shop.test_built_in,
    "webhook_endpoint_not_enabled": Shop.replay_disabled,
    "webhooks_unavailable": lambda shop: (
        shop.fail("webhooks.create_endpoint", WebhooksUnavailable())
        .connect(shop.merchant)
        .post(ENDPOINTS, {"url": "https://shop.example/hooks"})
    ),
    "wrong_credentials": lambda shop: shop.web.client.post(
        LOGIN, json={"email": EMAIL, "password": "wrong horse battery"}
    ),
    "wrong_password": lambda shop: shop.change_password(shop.web, "wrong horse battery"),
}


@pytest.fixture
def shop(web: WebApp, session_client: SessionClient) -> Shop:
    return Shop(web, session_client)


def test_every_code_has_a_producer() -> None:
    assert PRODUCERS.keys() | SERVER_ERRORS.keys() == ERRORS_BY_CODE.keys()
    assert not PRODUCERS.keys() & SERVER_ERRORS.keys()


@pytest.mark.parametrize("code", PRODUCERS)
def test_request_produces_its_code_and_docurl_leads_to_its_page(shop: Shop, code: str) -> None:
    response = PRODUCERS[code](shop)
    assert error_code(response) == code
    error = response.get_json()["error"]
    [cls, *_] = ERRORS_BY_CODE[code]
    assert (error["type"], error["retryable"]) == (cls.type, cls.retryable)
    assert response.status_code == STATUS[cls.type]
    page = shop.web.client.get(error["docUrl"])
    assert (page.status_code, page.mimetype) == (200, "text/plain")
    assert page.text.startswith(f"# {code}\n")
    assert f"- HTTP status: {response.status_code}\n" in page.text


@pytest.mark.parametrize("code", SERVER_ERRORS)
def test_server_error_has_a_page(web: WebApp, code: str) -> None:
    error = to_domain_error(SERVER_ERRORS[code])
    assert error.code == code
    assert web.client.get(f"{ERROR_PAGES}/{code}").status_code == 200


def test_unknown_code_has_no_page(web: WebApp) -> None:
    assert error_code(web.client.get(f"{ERROR_PAGES}/conflict")) == "not_found"
    assert error_code(web.client.get(f"{ERROR_PAGES}/email_taken?x=1")) == "validation_failed"


def test_errors_of_one_code_agree() -> None:
    for errors in ERRORS_BY_CODE.values():
        assert len({(error.type, error.retryable, error.param) for error in errors}) <= 2
        assert len({(error.type, error.retryable) for error in errors}) == 1


def test_only_what_can_succeed_later_is_retryable() -> None:
    retryable = {errors[0].type for errors in ERRORS_BY_CODE.values() if errors[0].retryable}
    assert retryable == {*RETRY_AFTER_SECONDS, "rate_limited", "request_timeout"}


@pytest.mark.parametrize(
    ("code", "param", "facts"),
    [
        ("amount_exceeds_held", "amount", {"held": 1_234}),
        (
            "refund_exceeds_remaining",
            "amount",
            {"remaining": 1_234, "captured": 1_234, "disputed": 0},
        ),
        ("too_many_refunds", None, {"maximum": 100}),
        ("too_many_api_keys", None, {"maximum": MAX_LIVE_KEYS}),
        ("email_taken", "email", {}),
        ("validation_failed", "amount", {}),
        ("unknown_test_token", "source", {}),
        ("api_key_missing", "Authorization", {}),
        ("idempotency_key_reused", "Idempotency-Key", {}),
        ("forbidden", "merchantId", {}),
    ],
)
def test_error_names_what_to_change_and_has_numbers(
    shop: Shop, code: str, param: str | None, facts: dict[str, int]
) -> None:
    error = PRODUCERS[code](shop).get_json()["error"]
    assert error.get("param") == param
    assert error.get("details", {}).items() >= facts.items()


MISTAKES: Mapping[str, tuple[Callable[[Shop], TestResponse], str]] = {
    "wrong key": (PRODUCERS["unauthorized"], "API key is unknown, expired or revoked"),
    "no key": (PRODUCERS["api_key_missing"], "Authorization: Bearer sk_test_"),
    "wrong token": (PRODUCERS["unknown_test_token"], "Did you mean tok_chargeDeclined?"),
    "currency in small letters": (
        lambda shop: shop.merchant.pay(currency="usd"),
        "currency: Must be in capital letters: USD.",
    ),
    "float amount": (lambda shop: shop.merchant.pay(amount=12.5), "integer number of minor units"),
    "string amount": (lambda shop: shop.merchant.pay(amount="5"), "integer number of minor units"),
    "missing header": (PRODUCERS["unsupported_media_type"], "application/json"),
    "unknown field": (lambda shop: shop.merchant.pay(ammount=5), "Known fields: amount"),
    "refund too high": (
        PRODUCERS["refund_exceeds_remaining"],
        "1234 of 1234 can still be refunded",
    ),
    "wrong state": (PRODUCERS["payment_not_capturable"], "AUTHORIZED can be captured; this one is"),
}
"""The requests of a newcomer, and the words that say what to change."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_message_alone_says_what_to_change(shop: Shop, mistake: str) -> None:
    send, words = MISTAKES[mistake]
    assert words in send(shop).get_json()["error"]["message"]


def test_message_has_the_first_fault_and_the_number_of_others(shop: Shop) -> None:
    one = shop.merchant.pay(currency="usd").get_json()["error"]
    assert one["message"] == f"currency: {one['details']['currency'][0]}"
    two = shop.merchant.pay(currency="usd", capture="later").get_json()["error"]
    assert two["message"].endswith(" See details for 1 more.")
    assert two["param"] == next(iter(two["details"]))
    batch = shop.merchant.post(BATCH, {"payments": [PAYMENT_BODY | {"amount": 0}]})
    assert batch.get_json()["error"]["param"] == "payments.0.amount"


def test_429_names_the_limit_its_window_and_outside_of_production_its_setting(shop: Shop) -> None:
    error = shop.exceed_rate_limit().get_json()["error"]
    limit = error["details"]["limit"]
    assert 1 <= limit.pop("reset") <= 60
    assert limit == {
        "name": "payments",
        "quota": 1,
        "windowSeconds": 60,
        "setting": "RATE_LIMIT_PAYMENTS",
    }
    assert "RATE_LIMIT_PAYMENTS" in error["message"]


def test_catalogue_in_the_documentation_is_complete() -> None:
    text = (Path(__file__).parents[2] / "docs/errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| `(\w+)` \| (yes|no) \|", text, re.MULTILINE)
    documented = {code: (int(status), type, retry) for code, status, type, retry in rows}
    assert len(documented) == len(rows)
    assert documented == {code: describe(errors[0]) for code, errors in ERRORS_BY_CODE.items()}


def describe(error: type[AtomicError]) -> tuple[int, str, str]:
    return STATUS[error.type], error.type, "yes" if error.retryable else "no"
