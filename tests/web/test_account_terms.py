"""Types, limits, statuses and trees of accounts over HTTP."""

from typing import Any

import pytest

from web.web_client import ACCOUNT_BODY, ACCOUNTS, MerchantClient, WebApp, error_code

BALANCES = f"{ACCOUNTS}/balances"
TRANSACTIONS = "/api/v1/ledger/transactions"
MAX_AMOUNT = 9_007_199_254_740_991


def open_account(merchant: MerchantClient, **members: Any) -> dict[str, Any]:
    response = merchant.post(ACCOUNTS, ACCOUNT_BODY | members)
    assert response.status_code == 201, response.get_json()
    return response.get_json()["data"]


def list_names(merchant: MerchantClient, query: str) -> list[str]:
    response = merchant.get(f"{ACCOUNTS}?{query}")
    assert response.status_code == 200, response.get_json()
    return [account["name"] for account in response.get_json()["data"]["items"]]


def test_account_has_its_terms(merchant: MerchantClient) -> None:
    terms = {
        "name": "wallets:alice",
        "type": "asset",
        "externalId": "alice",
        "metadata": {"tier": "gold"},
        "minBalance": -5,
        "maxBalance": 7,
    }
    account = open_account(merchant, **terms)
    assert {name: account[name] for name in terms} == terms
    assert (account["status"], account["normalSide"]) == ("OPEN", "debit")
    assert account["allowNegative"] is True


@pytest.mark.parametrize(
    ("members", "minimum", "allows_negative"),
    [
        ({}, 0, False),
        ({"minBalance": None}, None, True),
        ({"type": "expense"}, None, True),
        ({"type": "revenue", "minBalance": 0}, 0, False),
        ({"minBalance": -MAX_AMOUNT}, -MAX_AMOUNT, True),
    ],
)
def test_only_a_liability_has_a_minimum_by_default(
    merchant: MerchantClient, members: dict[str, Any], minimum: int | None, allows_negative: bool
) -> None:
    account = open_account(merchant, **members)
    assert (account["minBalance"], account["allowNegative"]) == (minimum, allows_negative)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("type", value) for value in ("", "Asset", "world", None, 1, ["asset"])),
        *(("externalId", value) for value in ("", "a" * 256, 5, None)),
        *(("metadata", value) for value in ([], "a", None, {"a": 1}, {"": "a"}, {"a": None})),
        *(("minBalance", value) for value in (1, -MAX_AMOUNT - 1, 0.0, -1.5, "0", True, [])),
        *(("maxBalance", value) for value in (-1, MAX_AMOUNT + 1, 5.0, "5", "\uff15", False, {})),
        ("allowNegative", True),
        ("status", "FROZEN"),
    ],
)
def test_hostile_terms_return_400_and_open_nothing(
    web: WebApp, merchant: MerchantClient, member: str, value: object
) -> None:
    before = web.effects
    response = merchant.post(ACCOUNTS, ACCOUNT_BODY | {member: value})
    assert (response.status_code, error_code(response)) == (400, "validation_failed")
    assert next(iter(response.get_json()["error"]["details"])).startswith(member)
    assert web.effects == before


def test_second_use_of_an_external_id_returns_409_with_the_first(merchant: MerchantClient) -> None:
    first = open_account(merchant, externalId="a")
    response = merchant.post(ACCOUNTS, ACCOUNT_BODY | {"externalId": "a"})
    assert (response.status_code, error_code(response)) == (409, "external_id_taken")
    assert response.get_json()["error"]["details"]["usedBy"] == first["id"]


def test_account_is_changed_frozen_closed_and_reopened(merchant: MerchantClient) -> None:
    account = open_account(merchant, metadata={"a": "1"})
    path = f"{ACCOUNTS}/{account['id']}"
    for change in (
        {"name": "Till"},
        {"metadata": {"b": "2"}},
        {"status": "FROZEN"},
        {"status": "CLOSED"},
        {"status": "OPEN", "metadata": {}},
        {},
    ):
        account |= change
        response = merchant.patch(path, change)
        assert (response.status_code, response.get_json()["data"]) == (200, account)
    assert merchant.get(path).get_json()["data"] == account


@pytest.mark.parametrize(
    "body",
    [
        {"status": "OPENED"},
        {"status": None},
        {"name": ""},
        {"name": "a" * 201},
        {"name": None},
        {"metadata": {"a": 5}},
        {"metadata": None},
        {"minBalance": 0},
        {"externalId": "a"},
        {"currency": "EUR"},
        [],
        "FROZEN",
    ],
)
def test_hostile_change_returns_400_and_changes_nothing(
    merchant: MerchantClient, body: object
) -> None:
    account = open_account(merchant)
    path = f"{ACCOUNTS}/{account['id']}"
    assert merchant.patch(path, body).status_code == 400
    assert merchant.get(path).get_json()["data"] == account


def test_change_of_another_merchants_account_returns_404(
    merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    path = f"{ACCOUNTS}/{open_account(merchant)['id']}"
    assert other_merchant.patch(path, {"status": "CLOSED"}).status_code == 404
    assert merchant.get(path).get_json()["data"]["status"] == "OPEN"


def test_repeated_change_returns_the_first_response(merchant: MerchantClient) -> None:
    path = f"{ACCOUNTS}/{open_account(merchant)['id']}"
    key = {"Idempotency-Key": "k"}
    first = merchant.patch(path, {"status": "FROZEN"}, **key)
    merchant.patch(path, {"status": "OPEN"})
    second = merchant.patch(path, {"status": "FROZEN"}, **key)
    assert second.data == first.data
    assert merchant.get(path).get_json()["data"]["status"] == "OPEN"


def test_frozen_account_refuses_payments_and_ledger_transactions(
    web: WebApp, merchant: MerchantClient
) -> None:
    merchant.pay(amount=100)
    web.application.settlement.settle()
    [paid] = merchant.get(ACCOUNTS).get_json()["data"]["items"]
    other = open_account(merchant)
    path = f"{ACCOUNTS}/{paid['id']}"
    assert merchant.patch(path, {"status": "FROZEN"}).status_code == 200
    refused = merchant.pay()
    assert (refused.status_code, error_code(refused)) == (409, "account_frozen")
    assert refused.get_json()["error"]["details"]["creditedAccountId"] == paid["id"]
    entries = [{"accountId": other["id"], "amount": 1}, {"accountId": paid["id"], "amount": -1}]
    refused = merchant.post(TRANSACTIONS, {"entries": entries})
    assert (refused.status_code, error_code(refused)) == (422, "transaction_refused")
    assert refused.get_json()["error"]["details"] == {"entries.1": ["account_frozen"]}
    closing = merchant.patch(path, {"status": "CLOSED"})
    assert (closing.status_code, error_code(closing)) == (409, "account_not_empty")
    assert closing.get_json()["error"]["details"] == {"balance": ["Is 100, and must be 0."]}


def test_lists_filter_accounts(merchant: MerchantClient) -> None:
    open_account(merchant, name="wallets:alice", metadata={"tier": "gold"}, externalId="alice")
    open_account(merchant, name="wallets:bob", type="asset", metadata={"tier": "blue"})
    open_account(merchant, name="walletsold")
    assert list_names(merchant, "prefix=wallets") == ["wallets:bob", "wallets:alice"]
    assert list_names(merchant, "type=asset") == ["wallets:bob"]
    assert list_names(merchant, "metadata[tier]=gold") == ["wallets:alice"]
    assert list_names(merchant, "externalId=alice&balanceMin=0&balanceMax=0") == ["wallets:alice"]
    assert list_names(merchant, "balanceMin=1") == []
    page = merchant.get(f"{ACCOUNTS}?prefix=wallets&limit=1").get_json()["data"]
    rest = f"prefix=wallets&limit=1&cursor={page['nextCursor']}"
    assert list_names(merchant, rest) == ["wallets:alice"]
    assert merchant.get(f"{ACCOUNTS}?limit=1&cursor={page['nextCursor']}").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        *("type=", "type=world", "prefix=", f"prefix={'a' * 201}", "prefix=a%00", "externalId="),
        *("balanceMin=a", "balanceMin=1.0", "balanceMin=-0", "balanceMax=9007199254740992"),
        *("balanceMax=%EF%BC%95", "balanceMin=", "metadata[]=a", "prefix=a&prefix=b"),
    ],
)
def test_hostile_filters_return_400(merchant: MerchantClient, query: str) -> None:
    assert merchant.get(f"{ACCOUNTS}?{query}").status_code == 400


def test_balances_of_a_subtree(web: WebApp, merchant: MerchantClient) -> None:
    merchant.pay(amount=100)
    web.application.settlement.settle()
    [paid] = merchant.get(ACCOUNTS).get_json()["data"]["items"]
    alice = open_account(merchant, name="wallets:alice")
    bob = open_account(merchant, name="wallets:bob")
    for account, amount in ((alice, 30), (bob, 12)):
        entries = [
            {"accountId": paid["id"], "amount": -amount},
            {"accountId": account["id"], "amount": amount},
        ]
        assert merchant.post(TRANSACTIONS, {"entries": entries}).status_code == 201
    assert merchant.get(f"{BALANCES}?prefix=wallets").get_json()["data"] == {
        "prefix": "wallets",
        "items": [
            {
                "currency": "USD",
                "accounts": 2,
                "balance": 42,
                "pending": {"in": 0, "out": 0},
                "available": 42,
            }
        ],
    }
    whole = merchant.get(BALANCES).get_json()["data"]
    assert (whole["prefix"], whole["items"][0]["balance"]) == (None, 100)
    assert merchant.get(f"{BALANCES}?prefix=none").get_json()["data"]["items"] == []
    assert merchant.get(f"{BALANCES}?prefix=").status_code == 400
    assert merchant.get(f"{BALANCES}?limit=1").status_code == 400
