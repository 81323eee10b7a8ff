import pytest

from atomic_core.ports.job_queue import Job
from web.web_client import ACCOUNTS, ORDER, PAYMENTS, Caller, Web, error_code


def test_an_order_is_accepted_and_shown_in_full(web: Web, merchant: Caller) -> None:
    response = merchant.pay()

    assert response.status_code == 202
    payment = response.get_json()["data"]
    assert response.headers["Location"] == f"{PAYMENTS}/{payment['id']}"
    assert payment == {
        "id": payment["id"],
        "merchantId": str(merchant.merchant_id),
        "amount": 1234,
        "currency": "USD",
        "source": "tok_visa",
        "description": "API Payment",
        "status": "PENDING",
        "idempotencyKey": None,
        "webhookUrl": None,
        "failureReason": None,
        "cancellationReason": None,
        "capture": "automatic",
        "amountCaptured": 0,
        "amountRefunded": 0,
        "fee": 0,
        "expiresAt": None,
        "metadata": {},
        "createdAt": "2026-11-22T15:30:13.153Z",
        "updatedAt": "2026-11-22T15:30:13.153Z",
    }


def test_the_bell_rings_for_an_accepted_order_only(web: Web, merchant: Caller) -> None:
    rung = web.application.queue.notified_jobs  # type: ignore[attr-defined]
    merchant.pay(amount=0)
    assert rung == set()
    merchant.pay()
    assert rung == {Job.SETTLE}


def test_every_optional_field_is_kept(merchant: Caller) -> None:
    optional = {
        "merchantId": str(merchant.merchant_id),
        "description": "Zwölf Äpfel 🍏",
        "webhookUrl": "https://example.com/hook?a=%20",
        "capture": "manual",
        "metadata": {"order": "4711", "Übung": ""},
    }
    response = merchant.pay(key="order-17", **optional)
    assert response.status_code == 202
    payment = response.get_json()["data"]
    assert optional | {"idempotencyKey": "order-17"} == {
        name: payment[name] for name in (*optional, "idempotencyKey")
    }


def test_a_payment_can_be_read_where_location_says(merchant: Caller) -> None:
    accepted = merchant.pay()
    response = merchant.get(accepted.headers["Location"])
    assert response.status_code == 200
    assert response.get_json()["data"] == {"payment": accepted.get_json()["data"]}


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("tok_visa", "SUCCESS", None),
        ("tok_chargeDeclined", "FAILED", "card_declined"),
    ],
)
def test_a_settled_payment_shows_its_end(
    web: Web, merchant: Caller, source: str, status: str, reason: str | None
) -> None:
    location = merchant.pay(source=source).headers["Location"]
    web.application.settlement.settle()
    payment = merchant.get(location).get_json()["data"]["payment"]
    assert (payment["status"], payment["failureReason"]) == (status, reason)


@pytest.mark.parametrize("amount", [1, 2**53 - 1])
def test_the_least_and_the_greatest_amount_are_accepted(merchant: Caller, amount: int) -> None:
    response = merchant.pay(amount=amount)
    assert response.status_code == 202
    assert response.get_json()["data"]["amount"] == amount


@pytest.mark.parametrize("length", [1, 500])
def test_a_description_may_be_that_long(merchant: Caller, length: int) -> None:
    assert merchant.pay(description="é" * length).status_code == 202


def test_all_faults_are_told_at_once(web: Web, merchant: Caller) -> None:
    response = merchant.post(PAYMENTS, {"amount": 0, "currency": "usd", "colour": "red"})
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    details = response.get_json()["error"]["details"]
    assert set(details) == {"amount", "currency", "source", "colour"}
    assert all(isinstance(fault, str) for faults in details.values() for fault in faults)


def test_only_configured_currencies_are_taken(web: Web) -> None:
    merchant = web.configured(CURRENCIES="JPY").merchant()
    assert merchant.pay(currency="JPY").status_code == 202
    refused = merchant.pay(currency="USD")
    assert refused.status_code == 400
    assert refused.get_json()["error"]["details"] == {"currency": ["Must be one of JPY."]}


def test_a_currency_of_any_exponent_can_be_charged(web: Web) -> None:
    merchant = web.merchant()
    for currency in ("JPY", "KWD", "CLF"):
        opened = merchant.post(ACCOUNTS, {"name": currency, "currency": currency})
        assert opened.status_code == 201
        assert merchant.pay(currency=currency, amount=1).status_code == 202


def test_an_unknown_currency_is_told_briefly(web: Web) -> None:
    refused = web.merchant().pay(currency="XXX")
    [told] = refused.get_json()["error"]["details"]["currency"]
    assert told == "Must be the ISO 4217 code of an enabled currency."


def test_an_order_for_another_merchant_is_forbidden(
    web: Web, merchant: Caller, stranger: Caller
) -> None:
    before = web.effects
    response = merchant.pay(merchantId=str(stranger.merchant_id))
    assert response.status_code == 403
    assert error_code(response) == "forbidden"
    assert web.effects == before


def test_a_faulty_order_for_another_merchant_is_faulty_first(
    merchant: Caller, stranger: Caller
) -> None:
    assert merchant.pay(merchantId=str(stranger.merchant_id), amount=0).status_code == 400


def test_another_merchants_payment_is_as_unknown_as_one_that_never_was(
    merchant: Caller, stranger: Caller
) -> None:
    location = merchant.pay().headers["Location"]
    theirs = stranger.get(location)
    nobodys = stranger.get(f"{PAYMENTS}/01999999-0000-7000-8000-000000000000")
    assert theirs.status_code == nobodys.status_code == 404
    assert error_code(theirs) == error_code(nobodys) == "not_found"
    assert theirs.get_json()["error"] == nobodys.get_json()["error"]


def test_members_may_come_in_any_order_and_with_any_spacing(merchant: Caller) -> None:
    body = b' {\n"source" : "tok_\\u0061" , "currency":"EUR","amount":7}\r\n'
    response = merchant.post(PAYMENTS, body)
    assert response.status_code == 202
    assert response.get_json()["data"]["source"] == "tok_a"


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"],
)
def test_json_in_utf_8_is_taken_however_it_is_announced(merchant: Caller, media_type: str) -> None:
    assert merchant.post(PAYMENTS, ORDER, Content_Type=media_type).status_code == 202
