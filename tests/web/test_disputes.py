"""Disputes over HTTP. ConformanceClient checks each response against the OpenAPI document."""

from typing import Any

import pytest

from web.web_client import MerchantClient, WebApp, error_code

DISPUTES = "/api/v1/disputes"
EVIDENCE = {"explanation": "It was delivered.", "shippingCarrier": "Example Post"}


@pytest.fixture
def dispute(web: WebApp, merchant: MerchantClient) -> dict[str, Any]:
    merchant.pay(source="tok_disputed")
    process(web)
    [item] = merchant.get(DISPUTES).get_json()["data"]["items"]
    return item


def process(web: WebApp) -> None:
    web.application.settlement.settle()
    web.application.disputes.process("sandbox")


def test_dispute_is_listed_and_read(merchant: MerchantClient, dispute: dict[str, Any]) -> None:
    assert (dispute["status"], dispute["fee"], dispute["network"]) == (
        "NEEDS_RESPONSE",
        1_500,
        "sandbox",
    )
    assert (dispute["evidence"], dispute["pendingResponse"]) == (None, None)
    assert merchant.get(f"{DISPUTES}/{dispute['id']}").get_json()["data"] == dispute
    for query, count in (
        (f"paymentId={dispute['paymentId']}", 1),
        ("status=NEEDS_RESPONSE&status=WON", 1),
        ("status=LOST", 0),
        (f"createdTo={dispute['createdAt']}", 0),
    ):
        items = merchant.get(f"{DISPUTES}?{query}").get_json()["data"]["items"]
        assert len(items) == count, query
    for query in ("status=OPEN", "paymentId=1", "createdFrom=x", "unknown=1"):
        assert error_code(merchant.get(f"{DISPUTES}?{query}")) == "validation_failed"


def test_evidence_is_accepted_once_per_key(
    web: WebApp, merchant: MerchantClient, dispute: dict[str, Any]
) -> None:
    path = f"{DISPUTES}/{dispute['id']}/evidence"
    first = merchant.post(path, EVIDENCE, Idempotency_Key="evidence")
    assert first.status_code == 202
    assert first.headers["Location"] == f"{DISPUTES}/{dispute['id']}"
    data = first.get_json()["data"]
    assert data["pendingResponse"] == "evidence"
    assert data["evidence"]["shippingCarrier"] == "Example Post"
    assert data["evidence"]["refundPolicy"] is None
    again = merchant.post(path, EVIDENCE, Idempotency_Key="evidence")
    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
    assert error_code(merchant.post(path, EVIDENCE)) == "dispute_not_answerable"
    process(web)
    shown = merchant.get(f"{DISPUTES}/{dispute['id']}").get_json()["data"]
    assert (shown["status"], shown["pendingResponse"]) == ("UNDER_REVIEW", None)


def test_evidence_is_validated(merchant: MerchantClient, dispute: dict[str, Any]) -> None:
    path = f"{DISPUTES}/{dispute['id']}/evidence"
    for body in (
        {},
        {"explanation": ""},
        {"explanation": "x" * 5_001},
        {"explanation": 7},
        {**EVIDENCE, "refundPolicy": None},
        {**EVIDENCE, "other": "x"},
    ):
        assert error_code(merchant.post(path, body)) == "validation_failed"


def test_accepted_dispute_is_lost_and_takes_the_account_below_zero(
    web: WebApp, merchant: MerchantClient, dispute: dict[str, Any]
) -> None:
    accepted = merchant.post(f"{DISPUTES}/{dispute['id']}/accept", {})
    assert accepted.get_json()["data"]["pendingResponse"] == "acceptance"
    process(web)
    assert merchant.get(f"{DISPUTES}/{dispute['id']}").get_json()["data"]["status"] == "LOST"
    path = f"/api/v1/accounts/{dispute['accountId']}"
    assert merchant.get(path).get_json()["data"]["balance"] == -1_500
    [entry, *_] = merchant.get(f"{path}/entries").get_json()["data"]["items"]
    assert (entry["kind"], entry["disputeId"], entry["paymentId"]) == (
        "dispute",
        dispute["id"],
        dispute["paymentId"],
    )
    assert entry["balanceAfter"] == -1_500
    events = merchant.get("/api/v1/events?type=dispute.*&after=0").get_json()["data"]["items"]
    types = [event["type"] for event in events]
    assert types == ["dispute.opened", "dispute.updated", "dispute.lost"]
    refund = merchant.post(f"/api/v1/payments/{dispute['paymentId']}/refunds", {"amount": 1})
    assert error_code(refund) == "refund_exceeds_remaining"
    assert refund.get_json()["error"]["details"]["remaining"] == 0
