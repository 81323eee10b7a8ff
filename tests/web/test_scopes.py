"""A response contains only what the scopes of the API key allow: every route, expansion and look-up
is read with each single scope, and with exactly the scopes that it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from atomic_core.domain.merchants import ALL_SCOPES, Scope
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    API_KEYS,
    LOGIN,
    LOGOUT,
    PASSWORD,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    SessionClient,
    WebApp,
    build_clock,
    build_web_app,
    error_code,
)

REFUNDS = "/api/v1/refunds"
EVENTS = "/api/v1/events"
KEYS = "/api/v1/idempotency-keys"
PAYMENTS_READ, ACCOUNTS_READ = frozenset({Scope.PAYMENTS_READ}), frozenset({Scope.ACCOUNTS_READ})
EVENTS_READ = frozenset({Scope.EVENTS_READ})
ENDPOINTS = "/api/v1/webhook-endpoints"
WEBHOOKS_READ = frozenset({Scope.WEBHOOKS_READ})
TRANSACTIONS = "/api/v1/ledger/transactions"
TRIAL_BALANCE = "/api/v1/ledger/trial-balance"
PERIODS = "/api/v1/ledger/periods"
LEDGER_READ = frozenset({Scope.LEDGER_READ})
DISPUTES = "/api/v1/disputes"
DISPUTES_READ = frozenset({Scope.DISPUTES_READ})
BOTH = PAYMENTS_READ | ACCOUNTS_READ
NOBODY = None
"""No API key may read it."""


@dataclass
class Shop:
    """A merchant with a captured payment, a refund and an account, and a key of each kind."""

    web: WebApp
    session_client: SessionClient
    payment: str = ""
    refund: str = ""
    account: str = ""
    event: str = ""
    endpoint: str = ""
    delivery: str = ""
    transaction: str = ""
    dispute: str = ""
    callers: dict[frozenset[str], MerchantClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        caller = self.get_caller(ALL_SCOPES)
        self.payment = caller.pay("payment", capture="manual").headers["Location"]
        self.web.application.settlement.settle()
        caller.post(f"{self.payment}/capture", {}, Idempotency_Key="capture")
        held = caller.pay(capture="manual").headers["Location"]
        self.web.application.settlement.settle()
        caller.post(f"{held}/cancel", {}, Idempotency_Key="cancel")
        refund = caller.post(f"{self.payment}/refunds", {"amount": 5}, Idempotency_Key="refund")
        self.refund = refund.headers["Location"]
        items = [{**PAYMENT_BODY, "idempotencyKey": "item"}]
        assert caller.pay_batch(*items, Idempotency_Key="batch").status_code == 202
        account = caller.post(ACCOUNTS, ACCOUNT_BODY, Idempotency_Key="account")
        self.account = account.headers["Location"]
        self.web.application.settlement.settle()
        created = caller.post(ENDPOINTS, {"url": "https://shop.example/"}, Idempotency_Key="hook")
        self.endpoint = f"{ENDPOINTS}/{created.get_json()['data']['endpoint']['id']}"
        caller.patch(self.endpoint, {"description": "till"}, Idempotency_Key="hook-change")
        caller.post(f"{self.endpoint}/rotate-secret", {}, Idempotency_Key="hook-rotation")
        caller.post(ACCOUNTS, ACCOUNT_BODY)
        self.web.application.webhooks.deliver()
        [delivery] = caller.get(f"{self.endpoint}/deliveries").get_json()["data"]["items"]
        self.delivery = f"/api/v1/deliveries/{delivery['id']}"
        caller.post(f"{self.delivery}/retry", {}, Idempotency_Key="hook-retry")
        caller.post(f"{self.endpoint}/replay", {"fromSequence": 1}, Idempotency_Key="hook-replay")
        self.event = f"{EVENTS}/{caller.get(EVENTS).get_json()['data']['items'][0]['id']}"
        self.post_transactions(caller)
        self.answer_disputes(caller)
        self.use_keys_of_session()

    def post_transactions(self, caller: MerchantClient) -> None:
        accounts = [item["id"] for item in caller.get(ACCOUNTS).get_json()["data"]["items"]]
        funded, other = accounts[-1], accounts[0]
        entries = [{"accountId": funded, "amount": -1}, {"accountId": other, "amount": 1}]
        posted = caller.post(TRANSACTIONS, {"entries": entries}, Idempotency_Key="transaction")
        self.transaction = posted.headers["Location"]
        reversal = caller.post(f"{self.transaction}/reverse", {}, Idempotency_Key="reversal")
        assert reversal.status_code == 201
        for action in ("post", "void"):
            pending = caller.post(TRANSACTIONS, {"entries": entries, "pending": True})
            path = f"{pending.headers['Location']}/{action}"
            assert caller.post(path, {}, Idempotency_Key=f"{action}-pending").status_code == 200
        content = {"endDate": "2026-01-31"}
        closed = caller.post(f"{PERIODS}/close", content, Idempotency_Key="period")
        self.period = closed.headers["Location"]

    def answer_disputes(self, caller: MerchantClient) -> None:
        for _ in range(2):
            caller.pay(source="tok_disputed")
        self.web.application.settlement.settle()
        self.web.application.disputes.process("sandbox")
        first, second = caller.get(DISPUTES).get_json()["data"]["items"]
        self.dispute = f"{DISPUTES}/{first['id']}"
        evidence = {"explanation": "It was delivered."}
        caller.post(f"{self.dispute}/evidence", evidence, Idempotency_Key="evidence")
        caller.post(f"{DISPUTES}/{second['id']}/accept", {}, Idempotency_Key="acceptance")

    def use_keys_of_session(self) -> None:
        session_client = self.session_client
        credentials = {"email": session_client.email, "password": PASSWORD}
        login = self.web.client.post(LOGIN, json=credentials, headers={"Idempotency-Key": "login"})
        other = SessionClient(
            self.web.client,
            session_client.merchant_id,
            session_client.key_id,
            login.get_json()["data"]["token"],
        )
        created = other.post(API_KEYS, {"name": "till"}, Idempotency_Key="key").get_json()["data"]
        rotate = f"{API_KEYS}/{created['id']}/rotate"
        assert other.post(rotate, {}, Idempotency_Key="rotation").status_code == 201
        assert other.post(LOGOUT, {}, Idempotency_Key="logout").status_code == 200

    def get_caller(self, scopes: frozenset[str]) -> MerchantClient:
        if scopes not in self.callers:
            created = self.session_client.create_key(scopes=sorted(scopes))
            self.callers[scopes] = MerchantClient(
                self.web.client,
                self.session_client.merchant_id,
                self.session_client.key_id,
                created["rawKey"],
            )
        return self.callers[scopes]


@pytest.fixture(scope="module")
def shop() -> Shop:
    """Shared, because to fill it takes longer than to read from it: no test changes what another
    reads."""
    web = build_web_app(build_clock())
    return Shop(web, web.register_and_log_in())


READS: Mapping[str, tuple[Callable[[Shop], str], frozenset[Scope] | None]] = {
    "payments": (lambda shop: PAYMENTS, PAYMENTS_READ),
    "payment": (lambda shop: shop.payment, PAYMENTS_READ),
    "payment with refunds": (lambda shop: f"{shop.payment}?expand=refunds", PAYMENTS_READ),
    "payment with entries": (lambda shop: f"{shop.payment}?expand=entries", BOTH),
    "payment with both": (lambda shop: f"{shop.payment}?expand=refunds,entries", BOTH),
    "refunds of payment": (lambda shop: f"{shop.payment}/refunds", PAYMENTS_READ),
    "timeline": (lambda shop: f"{shop.payment}/timeline", PAYMENTS_READ),
    "refunds": (lambda shop: REFUNDS, PAYMENTS_READ),
    "refund": (lambda shop: shop.refund, PAYMENTS_READ),
    "accounts": (lambda shop: ACCOUNTS, ACCOUNTS_READ),
    "account": (lambda shop: shop.account, ACCOUNTS_READ),
    "balances of accounts": (lambda shop: f"{ACCOUNTS}/balances", ACCOUNTS_READ),
    "events": (lambda shop: EVENTS, EVENTS_READ),
    "events after a wait": (lambda shop: f"{EVENTS}?after=99&wait=1", EVENTS_READ),
    "event": (lambda shop: shop.event, EVENTS_READ),
    "webhook endpoints": (lambda shop: ENDPOINTS, WEBHOOKS_READ),
    "webhook endpoint": (lambda shop: shop.endpoint, WEBHOOKS_READ),
    "deliveries": (lambda shop: f"{shop.endpoint}/deliveries", WEBHOOKS_READ),
    "delivery": (lambda shop: shop.delivery, WEBHOOKS_READ),
    "ledger transactions": (lambda shop: TRANSACTIONS, LEDGER_READ),
    "ledger transaction": (lambda shop: shop.transaction, LEDGER_READ),
    "disputes": (lambda shop: DISPUTES, DISPUTES_READ),
    "dispute": (lambda shop: shop.dispute, DISPUTES_READ),
    "entries": (lambda shop: f"{shop.account}/entries", ACCOUNTS_READ),
    "balance": (lambda shop: f"{shop.account}/balance?at=2026-01-01", ACCOUNTS_READ),
    "explanation": (lambda shop: f"{shop.account}/explain?to=2026-12-31", ACCOUNTS_READ),
    "balance history": (lambda shop: f"{shop.account}/balance-history", ACCOUNTS_READ),
    "periods": (lambda shop: PERIODS, LEDGER_READ),
    "period": (lambda shop: shop.period, LEDGER_READ),
    "closing balances": (lambda shop: f"{shop.period}/balances", LEDGER_READ),
    "trial balance": (lambda shop: f"{TRIAL_BALANCE}?at=2026-01-01", LEDGER_READ),
    **{
        f"key of {key}": (lambda shop, key=key: f"{KEYS}/{key}", needed)
        for key, needed in {
            **dict.fromkeys(
                ("payment", "batch", "item", "capture", "cancel", "refund"), PAYMENTS_READ
            ),
            "account": ACCOUNTS_READ,
            "transaction": LEDGER_READ,
            **dict.fromkeys(("evidence", "acceptance"), DISPUTES_READ),
            **dict.fromkeys(("reversal", "post-pending", "void-pending", "period"), LEDGER_READ),
            **dict.fromkeys(
                ("hook", "hook-change", "hook-rotation", "hook-retry", "hook-replay"), WEBHOOKS_READ
            ),
            **dict.fromkeys(("login", "key", "rotation", "logout"), NOBODY),
        }.items()
    },
}
"""What is read, and the scopes that it needs."""


@pytest.mark.parametrize("name", READS)
def test_each_single_scope_reads_only_what_it_allows(shop: Shop, name: str) -> None:
    build_path, needed = READS[name]
    for scope in Scope:
        answer = shop.get_caller(frozenset({scope})).get(build_path(shop))
        expected = 200 if needed is not None and needed <= {scope} else 403
        assert answer.status_code == expected, scope
        if expected == 403:
            assert error_code(answer) in {"scope_missing", "forbidden"}
            assert "data" not in answer.get_json()


@pytest.mark.parametrize("name", READS)
def test_exactly_the_needed_scopes_suffice(shop: Shop, name: str) -> None:
    build_path, needed = READS[name]
    everything = shop.get_caller(ALL_SCOPES).get(build_path(shop))
    assert everything.status_code == (403 if needed is None else 200)
    if needed is not None:
        answer = shop.get_caller(frozenset(needed)).get(build_path(shop))
        assert answer.status_code == 200
        if name != "timeline":
            assert answer.get_json()["data"] == everything.get_json()["data"]


def test_every_route_that_reads_is_in_the_table(shop: Shop) -> None:
    """A new GET route for API keys fails here until its scope is tested above."""
    adapter = shop.web.app.url_map.bind("localhost")
    tested = {
        adapter.match(build_path(shop).partition("?")[0])[0] for build_path, _ in READS.values()
    }
    endpoints = {
        rule.endpoint
        for rule in shop.web.app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and "/merchants/" not in rule.rule
    }
    public = {
        endpoint
        for endpoint in endpoints
        if endpoint in ("root", "docs") or endpoint.startswith(("health.", "openapi.", "index."))
    }
    assert tested == endpoints - public


def test_timeline_shows_entries_only_with_accounts_read(shop: Shop) -> None:
    def list_transactions(*scopes: Scope) -> list[dict[str, Any]]:
        caller = shop.get_caller(frozenset(scopes))
        events = caller.get(f"{shop.payment}/timeline").get_json()["data"]["events"]
        return [event["transaction"] for event in events if event["transaction"]]

    with_entries = list_transactions(Scope.PAYMENTS_READ, Scope.ACCOUNTS_READ)
    without_entries = list_transactions(Scope.PAYMENTS_READ)
    assert len(with_entries) == 2
    assert all(len(transaction["entries"]) == 2 for transaction in with_entries)
    assert without_entries == [{**transaction, "entries": None} for transaction in with_entries]


def test_missing_scope_is_named(shop: Shop) -> None:
    caller = shop.get_caller(PAYMENTS_READ)
    for path in (f"{shop.payment}?expand=entries", f"{KEYS}/account"):
        error = caller.get(path).get_json()["error"]
        assert error["details"] == {"scope": ["Must include accounts:read."]}
    nothing = shop.get_caller(frozenset({Scope.REFUNDS_WRITE})).get(f"{KEYS}/account")
    assert nothing.get_json()["error"]["details"] == {
        "scope": [
            (
                "Must include payments:read or accounts:read or webhooks:read or ledger:read or"
                " disputes:read."
            )
        ]
    }


def test_unused_key_is_404_with_either_scope(shop: Shop) -> None:
    for scopes in (PAYMENTS_READ, ACCOUNTS_READ):
        assert shop.get_caller(scopes).get(f"{KEYS}/{quote('un/used', safe='')}").status_code == 404


def test_revoked_key_gets_401_before_a_missing_scope(shop: Shop) -> None:
    created = shop.session_client.create_key(scopes=["payments:read"])
    caller = MerchantClient(
        shop.web.client,
        shop.session_client.merchant_id,
        shop.session_client.key_id,
        created["rawKey"],
    )
    paths = (f"{shop.payment}?expand=entries", f"{KEYS}/account", f"{KEYS}/login")
    assert {caller.get(path).status_code for path in paths} == {403}
    shop.session_client.delete(f"{API_KEYS}/{created['id']}")
    assert {caller.get(path).status_code for path in paths} == {401}
