import pytest

from web.web_client import ACCOUNT, ACCOUNTS, Caller, Web, error_code

NOBODYS = f"{ACCOUNTS}/01999999-0000-7000-8000-000000000000"


def test_an_account_is_opened_at_zero(merchant: Caller) -> None:
    response = merchant.post(ACCOUNTS, ACCOUNT)
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
    }
    assert merchant.get(response.headers["Location"]).get_json()["data"] == account


def test_the_balance_is_an_integer_in_minor_units(web: Web, merchant: Caller) -> None:
    location = merchant.post(ACCOUNTS, ACCOUNT).headers["Location"]
    merchant.pay(amount=150)
    merchant.pay(amount=2_000)
    web.application.settlement.settle()
    balance = merchant.get(location).get_json()["data"]["balance"]
    assert balance == 2_150
    assert type(balance) is int


def test_another_merchants_account_is_as_unknown_as_one_that_never_was(
    merchant: Caller, stranger: Caller
) -> None:
    location = merchant.post(ACCOUNTS, ACCOUNT).headers["Location"]
    theirs, nobodys = stranger.get(location), stranger.get(NOBODYS)
    assert theirs.status_code == nobodys.status_code == 404
    assert error_code(theirs) == "not_found"
    assert theirs.get_json()["error"] == nobodys.get_json()["error"]


def test_the_worlds_account_is_nobodys(web: Web, merchant: Caller) -> None:
    from atomic_core.domain.accounts import world_account_id

    merchant.post(ACCOUNTS, ACCOUNT)
    assert merchant.get(f"{ACCOUNTS}/{world_account_id('USD')}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "Sales"},
        {"currency": "USD"},
        ACCOUNT | {"name": ""},
        ACCOUNT | {"name": "x" * 201},
        ACCOUNT | {"name": 5},
        ACCOUNT | {"name": None},
        ACCOUNT | {"name": ["Sales"]},
        ACCOUNT | {"name": "a\0b"},
        ACCOUNT | {"name": "a\ud800b"},
        ACCOUNT | {"currency": "usd"},
        ACCOUNT | {"currency": "USD\n"},
        ACCOUNT | {"currency": "XXX"},
        ACCOUNT | {"currency": {"USD": 1}},
        ACCOUNT | {"balance": 1_000_000},
        ACCOUNT | {"allowNegative": True},
        ACCOUNT | {"id": "01999999-0000-7000-8000-000000000000"},
        ACCOUNT | {"merchantId": "01999999-0000-7000-8000-000000000000"},
    ],
)
def test_a_faulty_account_is_refused_and_none_is_opened(
    web: Web, merchant: Caller, body: object
) -> None:
    before = web.effects
    response = merchant.post(ACCOUNTS, body)
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    assert web.effects == before


def test_a_name_may_have_200_characters(merchant: Caller) -> None:
    assert merchant.post(ACCOUNTS, ACCOUNT | {"name": "ü" * 200}).status_code == 201
