import pytest

from atomic_core.ports.job_queue import Job
from web.web_client import ACCOUNTS, PAYMENT_BODY, PAYMENTS, MerchantClient, WebApp, error_code


def test_payment_is_accepted_and_returned_in_full(web: WebApp, merchant: MerchantClient) -> None:
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
        "inDoubt": False,
        "inDoubtSince": None,
        "nextAction": None,
        "networkReference": None,
        "metadata": {},
        "createdAt": "2026-11-22T15:30:13.153Z",
        "updatedAt": "2026-11-22T15:30:13.153Z",
    }


def test_only_an_accepted_payment_wakes_the_worker(web: WebApp, merchant: MerchantClient) -> None:
    rung = web.application.job_queue.notified_jobs  # type: ignore[attr-defined]
    merchant.pay(amount=0)
    assert rung == set()
    merchant.pay()
    assert rung == {Job.SETTLE}


def test_every_optional_field_is_stored(merchant: MerchantClient) -> None:
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


def test_location_leads_to_the_payment(merchant: MerchantClient) -> None:
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
def test_settled_payment_has_its_final_status(
    web: WebApp, merchant: MerchantClient, source: str, status: str, reason: str | None
) -> None:
    location = merchant.pay(source=source).headers["Location"]
    web.application.settlement.settle()
    payment = merchant.get(location).get_json()["data"]["payment"]
    assert (payment["status"], payment["failureReason"]) == (status, reason)


@pytest.mark.parametrize("amount", [1, 2**53 - 1])
def test_smallest_and_largest_amounts_are_accepted(merchant: MerchantClient, amount: int) -> None:
    response = merchant.pay(amount=amount)
    assert response.status_code == 202
    assert response.get_json()["data"]["amount"] == amount


@pytest.mark.parametrize("length", [1, 500])
def test_longest_description_is_accepted(merchant: MerchantClient, length: int) -> None:
    assert merchant.pay(description="é" * length).status_code == 202


def test_all_errors_are_reported_at_once(web: WebApp, merchant: MerchantClient) -> None:
    response = merchant.post(PAYMENTS, {"amount": 0, "currency": "usd", "colour": "red"})
    assert response.status_code == 400
    assert error_code(response) == "validation_failed"
    details = response.get_json()["error"]["details"]
    assert set(details) == {"amount", "currency", "source", "colour"}
    assert all(isinstance(fault, str) for faults in details.values() for fault in faults)


def test_only_configured_currencies_are_accepted(web: WebApp) -> None:
    merchant = web.with_settings(CURRENCIES="JPY").create_merchant()
    assert merchant.pay(currency="JPY").status_code == 202
    refused = merchant.pay(currency="USD")
    assert refused.status_code == 400
    assert refused.get_json()["error"]["details"] == {"currency": ["Must be one of JPY."]}


def test_currencies_of_every_exponent_are_accepted(web: WebApp) -> None:
    merchant = web.create_merchant()
    for currency in ("JPY", "KWD", "CLF"):
        opened = merchant.post(ACCOUNTS, {"name": currency, "currency": currency})
        assert opened.status_code == 201
        assert merchant.pay(currency=currency, amount=1).status_code == 202


def test_unknown_currency_error_lists_no_long_enumeration(web: WebApp) -> None:
    refused = web.create_merchant().pay(currency="XXX")
    [message] = refused.get_json()["error"]["details"]["currency"]
    assert message == "Must be the ISO 4217 code of an enabled currency."


def test_payment_for_another_merchant_returns_403(
    web: WebApp, merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    before = web.effects
    response = merchant.pay(merchantId=str(other_merchant.merchant_id))
    assert response.status_code == 403
    assert error_code(response) == "forbidden"
    assert web.effects == before


def test_invalid_payment_for_another_merchant_returns_400(
    merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    assert merchant.pay(merchantId=str(other_merchant.merchant_id), amount=0).status_code == 400


def test_another_merchants_payment_returns_404_like_an_unknown_one(
    merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    location = merchant.pay().headers["Location"]
    others_payment = other_merchant.get(location)
    unknown = other_merchant.get(f"{PAYMENTS}/01999999-0000-7000-8000-000000000000")
    assert others_payment.status_code == unknown.status_code == 404
    assert error_code(others_payment) == error_code(unknown) == "not_found"
    assert others_payment.get_json()["error"] == unknown.get_json()["error"]


def test_member_order_and_white_space_are_free(merchant: MerchantClient) -> None:
    body = b' {\n"source" : "tok_\\u0061" , "currency":"EUR","amount":7}\r\n'
    response = merchant.post(PAYMENTS, body)
    assert response.status_code == 202
    assert response.get_json()["data"]["source"] == "tok_a"


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"],
)
def test_every_spelling_of_json_in_utf_8_is_accepted(
    merchant: MerchantClient, media_type: str
) -> None:
    assert merchant.post(PAYMENTS, PAYMENT_BODY, Content_Type=media_type).status_code == 202
