"""POST and GET /ledger/transactions."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from atomic_core.domain.accounts import world_account_id
from web.web_client import ACCOUNTS, MerchantClient, WebApp, error_code

TRANSACTIONS = "/api/v1/ledger/transactions"
UNKNOWN = "01999999-0000-7000-8000-000000000000"


@dataclass
class Ledger:
    web: WebApp
    merchant: MerchantClient
    funded: str
    other: str

    def build(self, amount: Any = 400, **members: Any) -> dict[str, Any]:
        debit = {"accountId": self.funded, "amount": -amount}
        return {"entries": [debit, {"accountId": self.other, "amount": amount}], **members}

    def post(self, body: object, **headers: str) -> TestResponse:
        return self.merchant.post(TRANSACTIONS, body, **headers)

    def get_state(self) -> object:
        accounts = self.merchant.get(ACCOUNTS).get_json()["data"]
        return accounts, self.merchant.get(TRANSACTIONS).get_json()["data"]


def create_ledger(web: WebApp, merchant: MerchantClient) -> Ledger:
    ids = [
        merchant.post(ACCOUNTS, {"name": name, "currency": "USD"}).get_json()["data"]["id"]
        for name in ("Sales", "Seller")
    ]
    merchant.pay(amount=1_000)
    web.application.settlement.settle()
    return Ledger(web, merchant, *ids)


@pytest.fixture
def ledger(web: WebApp, merchant: MerchantClient) -> Ledger:
    return create_ledger(web, merchant)


def test_posted_transaction_is_answered_at_once_with_its_balances(ledger: Ledger) -> None:
    body = ledger.build(
        description="Share", metadata={"order": "1"}, externalId="a", effectiveAt="2020-02-29"
    )
    response = ledger.post(body, Idempotency_Key="k")
    assert response.status_code == 201
    posted = response.get_json()["data"]
    assert response.headers["Location"] == f"{TRANSACTIONS}/{posted['id']}"
    assert posted == {
        "id": posted["id"],
        "merchantId": str(ledger.merchant.merchant_id),
        "status": "POSTED",
        "entries": [
            {
                "accountId": ledger.funded,
                "currency": "USD",
                "amount": -400,
                "postedAmount": -400,
                "sequence": 2,
                "balanceAfter": 600,
            },
            {
                "accountId": ledger.other,
                "currency": "USD",
                "amount": 400,
                "postedAmount": 400,
                "sequence": 1,
                "balanceAfter": 400,
            },
        ],
        "description": "Share",
        "metadata": {"order": "1"},
        "externalId": "a",
        "effectiveAt": "2020-02-29T00:00:00.000Z",
        "postedAt": posted["createdAt"],
        "expiresAt": None,
        "resolvedAt": None,
        "createdAt": posted["createdAt"],
        "reversesId": None,
        "reversedById": None,
        "idempotencyKey": "k",
    }
    assert ledger.merchant.get(response.headers["Location"]).get_json()["data"] == posted
    assert ledger.merchant.get(TRANSACTIONS).get_json()["data"]["items"] == [posted]
    again = ledger.post(body, Idempotency_Key="k")
    assert (again.status_code, again.data) == (201, response.data)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_refusal_names_the_entry_and_leaves_the_key_unused(ledger: Ledger) -> None:
    response = ledger.post(ledger.build(1_001), Idempotency_Key="k")
    assert (response.status_code, error_code(response)) == (422, "transaction_refused")
    assert response.get_json()["error"]["details"] == {"entries.0": ["insufficient_balance"]}
    assert ledger.post(ledger.build(1_000), Idempotency_Key="k").status_code == 201


def test_dry_run_changes_nothing_and_leaves_the_key_unused(ledger: Ledger) -> None:
    before = ledger.get_state()
    response = ledger.post(ledger.build(dryRun=True), Idempotency_Key="k")
    assert response.status_code == 200
    preview = response.get_json()["data"]
    assert [entry["balanceAfter"] for entry in preview["entries"]] == [600, 400]
    assert "id" not in preview
    assert ledger.get_state() == before
    assert ledger.post(ledger.build(1_001, dryRun=True)).status_code == 422
    assert ledger.post(ledger.build(), Idempotency_Key="k").status_code == 201


def test_reversal_refers_to_the_original_and_happens_once(ledger: Ledger) -> None:
    location = ledger.post(ledger.build()).headers["Location"]
    first, second = (ledger.merchant.post(f"{location}/reverse", {}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 409)
    assert error_code(second) == "transaction_already_reversed"
    reversal, original = first.get_json()["data"], ledger.merchant.get(location).get_json()["data"]
    assert reversal["reversesId"] == original["id"]
    assert original["reversedById"] == reversal["id"]
    assert second.get_json()["error"]["details"]["reversedById"] == reversal["id"]
    assert [entry["amount"] for entry in reversal["entries"]] == [400, -400]
    again = ledger.merchant.post(f"{first.headers['Location']}/reverse", {})
    assert (again.status_code, error_code(again)) == (409, "reversal_not_reversible")


def test_lists_are_filtered_by_account_and_external_id(ledger: Ledger) -> None:
    posted = [ledger.post(ledger.build(1, externalId=name)).get_json()["data"] for name in "abc"]

    def list_ids(query: str) -> list[str]:
        page = ledger.merchant.get(f"{TRANSACTIONS}?{query}").get_json()["data"]
        return [item["id"] for item in page["items"]]

    ids = [transaction["id"] for transaction in posted][::-1]
    assert list_ids(f"accountId={ledger.other}") == ids
    assert list_ids(f"accountId={UNKNOWN}") == []
    assert list_ids("externalId=b") == [ids[1]]
    page = ledger.merchant.get(f"{TRANSACTIONS}?limit=2").get_json()["data"]
    assert list_ids(f"cursor={page['nextCursor']}") == ids[2:]
    for query in ("accountId=x", "externalId=", f"externalId={'x' * 256}", "status=POSTED", "x=1"):
        assert ledger.merchant.get(f"{TRANSACTIONS}?{query}").status_code == 400, query


def test_another_merchants_objects_return_404(
    ledger: Ledger, other_merchant: MerchantClient
) -> None:
    location = ledger.post(ledger.build()).headers["Location"]
    assert other_merchant.get(location).status_code == 404
    assert other_merchant.post(f"{location}/reverse", {}).status_code == 404
    own = other_merchant.post(ACCOUNTS, {"name": "Own", "currency": "USD"}).get_json()["data"]["id"]
    for id in (ledger.funded, str(world_account_id("USD"))):
        entries = [{"accountId": id, "amount": -1}, {"accountId": own, "amount": 1}]
        response = other_merchant.post(TRANSACTIONS, {"entries": entries})
        assert response.status_code == 404
        assert list(response.get_json()["error"]["details"]) == ["entries.0.accountId"]


HOSTILE_AMOUNTS = [
    *("5.0", '"5"', '"５"', "1e3", "true", "null", "[5]", "0", "-0", "0.1", "NaN", "Infinity"),
    *(str(2**53), str(-(2**53)), str(2**63), str(-(2**64)), "9" * 5_000, "1e400"),
]


@pytest.mark.parametrize("amount", HOSTILE_AMOUNTS)
def test_hostile_amount_returns_400_and_changes_nothing(ledger: Ledger, amount: str) -> None:
    before = ledger.get_state()
    body = json.dumps(ledger.build(777)).replace("-777", amount).encode()
    assert ledger.post(body).status_code == 400
    assert ledger.get_state() == before


HOSTILE_MEMBERS: list[dict[str, Any]] = [
    {"entries": None},
    {"entries": []},
    {"entries": {}},
    {"entries": [None, None]},
    {"entries": [{}, {}]},
    {"description": ""},
    {"description": "x" * 501},
    {"description": "\x00"},
    {"description": "\ud800"},
    {"description": 5},
    {"externalId": ""},
    {"externalId": "x" * 256},
    {"externalId": None},
    {"metadata": []},
    {"metadata": {"k": 5}},
    {"metadata": {"": "v"}},
    {"metadata": {"k" * 41: "v"}},
    {"effectiveAt": "yesterday"},
    {"effectiveAt": 1_700_000_000},
    {"effectiveAt": "2026-02-30"},
    {"effectiveAt": "2026-01-01T00:00:00"},
    {"effectiveAt": "9999-12-31T23:59:59-23:59"},
    {"dryRun": "true"},
    {"dryRun": 1},
    {"merchantId": UNKNOWN},
    {"amount": 5},
]


@pytest.mark.parametrize("members", HOSTILE_MEMBERS)
def test_hostile_member_returns_400_and_changes_nothing(
    ledger: Ledger, members: dict[str, Any]
) -> None:
    before = ledger.get_state()
    assert ledger.post(ledger.build() | members).status_code == 400
    assert ledger.get_state() == before


def test_hostile_entries_return_400_and_change_nothing(ledger: Ledger) -> None:
    before = ledger.get_state()
    funded, other = ledger.build()["entries"]
    upper_case = {**other, "accountId": other["accountId"].upper()}
    for entries in [
        [funded],
        [funded, {**other, "amount": 399}],
        [funded, funded, other, other],
        [funded, {**other, "amount": 200}, {**other, "amount": 200}],
        [funded, {**other, "currency": "USD"}],
        [funded, upper_case] if upper_case != other else [funded],
        [funded, {**other, "accountId": f"{{{other['accountId']}}}"}],
        [funded, {**other, "accountId": 5}],
        [funded, other, *({"accountId": UNKNOWN, "amount": 1} for _ in range(99))],
    ]:
        response = ledger.post({"entries": entries})
        assert response.status_code == 400, entries
    assert ledger.get_state() == before


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"", b'{"entries":[],"entries":[]}'])
def test_body_that_is_no_object_returns_400(ledger: Ledger, body: bytes) -> None:
    assert ledger.post(body).status_code == 400
    location = ledger.post(ledger.build()).headers["Location"]
    if body:
        assert ledger.merchant.post(f"{location}/reverse", body).status_code == 400


def test_deeply_nested_body_returns_400(ledger: Ledger) -> None:
    assert ledger.post(b'{"entries":' + b"[" * 8_000 + b"]" * 8_000 + b"}").status_code == 400


def test_hostile_ids_return_400_or_404(ledger: Ledger) -> None:
    for id in ("x", "%00", UNKNOWN.replace("9", "A"), "{" + UNKNOWN + "}", "1" * 3_900, UNKNOWN):
        expected = 404 if id == UNKNOWN else 400
        assert ledger.merchant.get(f"{TRANSACTIONS}/{id}").status_code in (expected, 404)
        response = ledger.merchant.post(f"{TRANSACTIONS}/{id}/reverse", {})
        assert response.status_code in (expected, 404)
    assert ledger.web.client.post(TRANSACTIONS, json=ledger.build()).status_code == 401
