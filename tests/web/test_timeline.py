"""GET /payments/{id}/timeline."""

from web.web_client import MerchantClient, WebApp

TimelineEvent = tuple[str, str, int | None, str | None]


def get_events(caller: MerchantClient, path: str) -> list[TimelineEvent]:
    response = caller.get(f"{path}/timeline")
    assert response.status_code == 200
    events = response.get_json()["data"]["events"]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    return [(e["event"], e["status"], e["amount"], e["requestId"]) for e in events]


def test_timeline_of_a_charge_is_derived_from_row_and_entries(
    web: WebApp, merchant: MerchantClient
) -> None:
    response = merchant.post(
        "/api/v1/payments",
        {"amount": 1234, "currency": "USD", "source": "tok_visa"},
        X_Request_Id="first",
    )
    path = response.headers["Location"]
    assert get_events(merchant, path) == [("created", "PENDING", 1234, "first")]
    web.application.settlement.settle()
    assert get_events(merchant, path) == [
        ("created", "PENDING", 1234, "first"),
        ("processing", "PROCESSING", None, None),
        ("succeeded", "SUCCESS", 1234, None),
    ]
    *_, last = merchant.get(f"{path}/timeline").get_json()["data"]["events"]
    assert [entry["amount"] for entry in last["transaction"]["entries"]] == [-1234, 1234]
    assert last["transaction"]["kind"] == "payment"


def test_timeline_of_a_decline_has_its_reason(web: WebApp, merchant: MerchantClient) -> None:
    path = merchant.pay(source="tok_chargeDeclined").headers["Location"]
    web.application.settlement.settle()
    *_, last = merchant.get(f"{path}/timeline").get_json()["data"]["events"]
    assert (last["event"], last["reason"], last["transaction"]) == ("failed", "card_declined", None)


def test_timeline_of_a_hold_has_requests_and_transactions(
    web: WebApp, merchant: MerchantClient
) -> None:
    path = merchant.pay(capture="manual").headers["Location"]
    web.application.settlement.settle()
    merchant.post(f"{path}/capture", {"amount": 1000}, X_Request_Id="capture-1")
    web.application.settlement.settle()
    refund = merchant.post(f"{path}/refunds", {"amount": 250}, X_Request_Id="refund-1")
    web.application.settlement.settle()
    attempts = {
        event["event"]: event["attempt"]
        for event in merchant.get(f"{path}/timeline").get_json()["data"]["events"]
    }
    assert (attempts["authorized"], attempts["succeeded"]) == (1, 2), "two calls of the network"
    assert attempts["refund_succeeded"] == 1
    events = get_events(merchant, path)
    assert [event for event in events if event[0] != "created"] == [
        ("processing", "PROCESSING", None, None),
        ("authorized", "AUTHORIZED", None, None),
        ("capture_requested", "PROCESSING", 1000, "capture-1"),
        ("succeeded", "SUCCESS", 1000, None),
        ("refund_created", "PENDING", 250, "refund-1"),
        ("refund_processing", "PROCESSING", None, None),
        ("refund_reserved", "PROCESSING", 250, None),
        ("refund_succeeded", "SUCCESS", 250, None),
    ]
    *_, last = merchant.get(f"{path}/timeline").get_json()["data"]["events"]
    assert last["refundId"] == refund.get_json()["data"]["id"]
    assert [entry["amount"] for entry in last["transaction"]["entries"]] == [-250, 250]


def test_another_merchants_timeline_returns_404(
    merchant: MerchantClient, other_merchant: MerchantClient
) -> None:
    path = merchant.pay().headers["Location"]
    assert other_merchant.get(f"{path}/timeline").status_code == 404
    assert merchant.get(f"{path}/timeline?all=1").status_code == 400
    assert merchant.get("/api/v1/payments/%00/timeline").status_code == 400
