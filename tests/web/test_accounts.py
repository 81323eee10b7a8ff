import pytest

from web.web_client import ACCOUNT_BODY, ACCOUNTS, MerchantClient, WebApp, error_code

UNKNOWN_ID = f"{ACCOUNTS}/01999999-0000-7000-8000-000000000000"


def test_new_account_has_balance_zero(merchant: MerchantClient) -> None:
    response = merchant.post(ACCOUNTS, ACCOUNT_BODY)
    assert response.status_code == 201
    account = response.get_json()["data"]
    assert response.headers["Location"] == f"{ACCOUNTS}/{account['id']}"
    assert account == {
        "id": account["id"],
        "merchantId": str(merchant.merchant_id),
        "name": "Sales",
        "currency": "USD",
        "type": "liability",
        "normalSide": "credit",
        "balance": 0,
        "pending": {"in": 0, "out": 0},
        "available": 0,
        "allowNegative": False,
        "createdAt": "2026-11-22T15:30:13.153Z",
        "status": "OPEN",
        "minBalance": 0,
        "maxBalance": None,
        "externalId": None,
        "metadata": {},
    }
    assert merchant.get(response.headers["Location"]).get_json()["data"] == account


def test_balance_is_an_integer_in_minor_units(web: WebApp, merchant: MerchantClient) -> None:
    location = merchant.post(ACCOUNTS, ACCOUNT_BODY).headers["Location"]
    merchant.pay(amount=150)
    merchant.pay(amount=2_000)
    web.application.settlement.settle()
    balance = merchant.get(location).get_json()["data"]["balance"]
    assert balance == 2_150
    assert type(balance) is int


def test_another_merchants_account_returns_404_like_an_unknown_one(
    merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    location = merchant.post(ACCOUNTS, ACCOUNT_BODY).headers["Location"]
    others_account, unknown = other_merchant.get(location), other_merchant.get(UNKNOWN_ID)
    assert others_account.status_code == unknown.status_code == 404
    assert error_code(others_account) == "not_found"
    assert others_account.get_json()["error"] == unknown.get_json()["error"]


def test_world_account_returns_404(web: WebApp, merchant: MerchantClient) -> None:
    from atomic_core.domain.accounts import world_account_id

    merchant.post(ACCOUNTS, ACCOUNT_BODY)
    assert merchant.get(f"{ACCOUNTS}/{world_account_id('USD')}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "Sales"},
        {"currency": "USD"},
        ACCOUNT_BODY | {"name": ""},
        ACCOUNT_BODY | {"name": "x" * 201},
        ACCOUNT_BODY | {"name": 5},
        ACCOUNT_BODY | {"name": None},
        ACCOUNT_BODY | {"name": ["Sales"]},
        ACCOUNT_BODY | {"name": "a\0b"},
        ACCOUNT_BODY | {"name": "a\ud800b"},
        ACCOUNT_BODY | {"currency": "usd"},
        ACCOUNT_BODY | {"currency": "USD\n"},
        ACCOUNT_BODY | {"currency": "XXX"},
        ACCOUNT_BODY | {"currency": {"USD": 1}},
        ACCOUNT_BODY | {"balance": 1_000_000},
        ACCOUNT_BODY | {"allowNegative": True},
        ACCOUNT_BODY | {"id": "01999999-0000-7000-8000-000000000000"},
        ACCOUNT_BODY | {"merchantId": "01999999-0000-7000-8000-000000000000"},
    ],
)
def test_invalid_account_returns_400_and_opens_none(
    web: WebApp, merchant: MerchantClient, body: object
) -> None:
    before = web.effects
    response = merchant.post(ACCOUNTS, body)
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    assert web.effects == before


def test_account_name_of_200_characters_is_accepted(merchant: MerchantClient) -> None:
    assert merchant.post(ACCOUNTS, ACCOUNT_BODY | {"name": "ü" * 200}).status_code == 201
