"""POST /ledger/exchanges."""

from typing import Any

import pytest

from web.test_journal import TRANSACTIONS
from web.web_client import ACCOUNTS, MerchantClient, WebApp, error_code

EXCHANGES = "/api/v1/ledger/exchanges"


@pytest.fixture
def body(web: WebApp, merchant: MerchantClient) -> dict[str, Any]:
    """The first account of each currency gets the payments."""
    ids = [
        merchant.post(ACCOUNTS, {"name": "Account", "currency": currency}).get_json()["data"]["id"]
        for currency in ("USD", "USD", "EUR", "EUR")
    ]
    for currency in ("USD", "EUR"):
        merchant.pay(amount=20_000, currency=currency)
    web.application.settlement.settle()
    names = ("sourceAccountId", "sourcePositionId", "targetPositionId", "targetAccountId")
    return dict(zip(names, ids, strict=True)) | {"sourceAmount": 10_000, "rate": "0.92155"}


def test_exchange_is_a_ledger_transaction(merchant: MerchantClient, body: dict[str, Any]) -> None:
    preview = merchant.post(EXCHANGES, body | {"dryRun": True})
    assert preview.status_code == 200
    response = merchant.post(EXCHANGES, body, Idempotency_Key="k")
    assert response.status_code == 201
    posted = response.get_json()["data"]
    assert [entry["amount"] for entry in posted["entries"]] == [-10_000, 10_000, -9_216, 9_216]
    assert preview.get_json()["data"]["entries"] == posted["entries"]
    assert posted["metadata"] == {"exchangeRate": "0.92155"}
    assert response.headers["Location"] == f"{TRANSACTIONS}/{posted['id']}"
    assert merchant.get(response.headers["Location"]).get_json()["data"] == posted
    again = merchant.post(EXCHANGES, body, Idempotency_Key="k")
    assert (again.data, again.headers["Idempotent-Replayed"]) == (response.data, "true")


def test_malformed_exchanges_are_refused(merchant: MerchantClient, body: dict[str, Any]) -> None:
    for changes, field in [
        ({"rate": 0.92}, "rate"),
        ({"rate": "0"}, "rate"),
        ({"rate": "1e3"}, "rate"),
        ({"rate": "1\n"}, "rate"),
        ({"sourceAmount": "5"}, "sourceAmount"),
        ({"sourceAmount": 5.0}, "sourceAmount"),
        ({"sourceAmount": 0}, "sourceAmount"),
        ({"targetAmount": 5}, "sourceAmount"),
        ({"sourceAccountId": "x"}, "sourceAccountId"),
        ({"pending": True}, "pending"),
        ({"metadata": {"exchangeRate": "1"}}, "metadata"),
    ]:
        response = merchant.post(EXCHANGES, body | changes)
        assert (response.status_code, error_code(response)) == (400, "validation_failed"), changes
        assert list(response.get_json()["error"]["details"]) == [field]
    del body["sourceAmount"]
    assert merchant.post(EXCHANGES, body).status_code == 400
    assert merchant.get(TRANSACTIONS).get_json()["data"]["items"] == []


def test_accounts_of_others_do_not_exist(
    web: WebApp, merchant: MerchantClient, body: dict[str, Any]
) -> None:
    stranger = web.create_merchant()
    account = {"name": "Account", "currency": "USD"}
    other_id = stranger.post(ACCOUNTS, account).get_json()["data"]["id"]
    for name in list(body)[:4]:
        response = merchant.post(EXCHANGES, body | {name: other_id})
        assert (response.status_code, error_code(response)) == (404, "not_found")
