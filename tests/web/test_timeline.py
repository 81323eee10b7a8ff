"""GET /payments/{id}/timeline."""

from web.web_client import Caller, Web

Told = tuple[str, str, int | None, str | None]


def story(caller: Caller, path: str) -> list[Told]:
    response = caller.get(f"{path}/timeline")
    assert response.status_code == 200
    events = response.get_json()["data"]["events"]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    return [(e["event"], e["status"], e["amount"], e["requestId"]) for e in events]


def test_a_charge_is_told_from_its_row_and_its_entries(web: Web, merchant: Caller) -> None:
    response = merchant.post(
        "/api/v1/payments",
        {"amount": 1234, "currency": "USD", "source": "tok_visa"},
        X_Request_Id="first",
    )
    path = response.headers["Location"]
    assert story(merchant, path) == [("created", "PENDING", 1234, "first")]
    web.application.settlement.settle()
    assert story(merchant, path) == [
        ("created", "PENDING", 1234, "first"),
        ("processing", "PROCESSING", None, None),
        ("succeeded", "SUCCESS", 1234, None),
    ]
    *_, last = merchant.get(f"{path}/timeline").get_json()["data"]["events"]
    assert [entry["amount"] for entry in last["transaction"]["entries"]] == [-1234, 1234]
    assert last["transaction"]["kind"] == "payment"


def test_a_decline_says_why(web: Web, merchant: Caller) -> None:
    path = merchant.pay(source="tok_chargeDeclined").headers["Location"]
    web.application.settlement.settle()
    *_, last = merchant.get(f"{path}/timeline").get_json()["data"]["events"]
    assert (last["event"], last["reason"], last["transaction"]) == ("failed", "card_declined", None)


def test_a_hold_is_told_with_who_asked_and_what_was_posted(web: Web, merchant: Caller) -> None:
    path = merchant.pay(capture="manual").headers["Location"]
    web.application.settlement.settle()
    merchant.post(f"{path}/capture", {"amount": 1000}, X_Request_Id="capture-1")
    web.application.settlement.settle()
    refund = merchant.post(f"{path}/refunds", {"amount": 250}, X_Request_Id="refund-1")
    web.application.settlement.settle()
    told = story(merchant, path)
    assert [each for each in told if each[0] != "created"] == [
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


def test_another_merchants_story_is_unknown(merchant: Caller, stranger: Caller) -> None:
    path = merchant.pay().headers["Location"]
    assert stranger.get(f"{path}/timeline").status_code == 404
    assert merchant.get(f"{path}/timeline?all=1").status_code == 400
    assert merchant.get("/api/v1/payments/%00/timeline").status_code == 400
