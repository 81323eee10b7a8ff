"""Pending ledger transactions over HTTP."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from web.test_journal import TRANSACTIONS, UNKNOWN, Ledger, create_ledger
from web.web_client import ACCOUNTS, MerchantClient, WebApp, error_code


@pytest.fixture
def ledger(web: WebApp, merchant: MerchantClient) -> Ledger:
    return create_ledger(web, merchant)


def reserve(ledger: Ledger, amount: int = 400, **members: Any) -> TestResponse:
    return ledger.post(ledger.build(amount, pending=True, **members))


def get_amounts(ledger: Ledger, id: str) -> tuple[int, int, int, int]:
    account = ledger.merchant.get(f"{ACCOUNTS}/{id}").get_json()["data"]
    pending = account["pending"]
    return account["balance"], account["available"], pending["in"], pending["out"]


def test_pending_transaction_reserves_and_is_posted_later(ledger: Ledger) -> None:
    response = reserve(ledger)
    assert response.status_code == 201
    pending, location = response.get_json()["data"], response.headers["Location"]
    assert (pending["status"], pending["postedAt"], pending["resolvedAt"]) == (
        *("PENDING", None),
        None,
    )
    created, expires = (
        datetime.fromisoformat(pending[name]) for name in ("createdAt", "expiresAt")
    )
    assert expires - created == timedelta(days=7)
    assert pending["entries"][0] == {
        "accountId": ledger.funded,
        "currency": "USD",
        "amount": -400,
        "postedAmount": 0,
        "sequence": None,
        "balanceAfter": None,
    }
    assert get_amounts(ledger, ledger.funded) == (1_000, 600, 0, 400)
    assert get_amounts(ledger, ledger.other) == (0, 0, 400, 0)
    posted = ledger.merchant.post(f"{location}/post", {}, Idempotency_Key="k")
    assert (posted.status_code, posted.headers["Location"]) == (200, location)
    body = posted.get_json()["data"]
    assert (body["status"], body["postedAt"]) == ("POSTED", body["resolvedAt"])
    assert [entry["postedAmount"] for entry in body["entries"]] == [-400, 400]
    assert [entry["balanceAfter"] for entry in body["entries"]] == [600, 400]
    assert ledger.merchant.get(location).get_json()["data"] == body
    assert get_amounts(ledger, ledger.funded) == (600, 600, 0, 0)
    again = ledger.merchant.post(f"{location}/post", {}, Idempotency_Key="k")
    assert (again.status_code, again.data) == (200, posted.data)
    late = ledger.merchant.post(f"{location}/void", {})
    assert (late.status_code, error_code(late)) == (409, "transaction_not_pending")
    assert late.get_json()["error"]["details"] == {"status": ["POSTED"]}


def test_part_is_posted_by_amount_or_entries(ledger: Ledger) -> None:
    for part in ({"amount": 150}, {"entries": ledger.build(150)["entries"]}):
        location = reserve(ledger).headers["Location"]
        posted = ledger.merchant.post(f"{location}/post", part).get_json()["data"]
        assert [entry["amount"] for entry in posted["entries"]] == [-400, 400]
        assert [entry["postedAmount"] for entry in posted["entries"]] == [-150, 150]
    assert get_amounts(ledger, ledger.funded) == (700, 700, 0, 0)
    location = reserve(ledger).headers["Location"]
    above = ledger.merchant.post(f"{location}/post", {"amount": 401})
    assert (above.status_code, error_code(above)) == (409, "amount_exceeds_reserved")
    assert above.get_json()["error"]["details"] == {"amount": ["Must be at most 400."]}


def test_void_releases_and_pending_cannot_be_reversed(ledger: Ledger) -> None:
    location = reserve(ledger).headers["Location"]
    refused = ledger.merchant.post(f"{location}/reverse", {})
    assert (refused.status_code, error_code(refused)) == (409, "transaction_not_posted")
    voided = ledger.merchant.post(f"{location}/void", {})
    assert (voided.status_code, voided.get_json()["data"]["status"]) == (200, "VOIDED")
    assert get_amounts(ledger, ledger.funded) == (1_000, 1_000, 0, 0)


def test_reserved_amount_cannot_be_spent(ledger: Ledger) -> None:
    reserve(ledger, 600)
    response = ledger.post(ledger.build(401))
    assert (response.status_code, error_code(response)) == (422, "transaction_refused")
    assert reserve(ledger, 401).status_code == 422
    assert reserve(ledger, 400).status_code == 201


def test_events_carry_the_transaction(ledger: Ledger) -> None:
    location = reserve(ledger).headers["Location"]
    ledger.merchant.post(f"{location}/void", {})
    events = ledger.merchant.get("/api/v1/events?type=ledger_transaction.*").get_json()["data"]
    assert sorted(event["type"] for event in events["items"]) == [
        "ledger_transaction.pending",
        "ledger_transaction.voided",
    ]


def test_dry_run_reserves_nothing(ledger: Ledger) -> None:
    before = ledger.get_state()
    preview = reserve(ledger, dryRun=True)
    assert (preview.status_code, preview.get_json()["data"]["status"]) == (200, "PENDING")
    assert ledger.get_state() == before


def test_another_merchants_transaction_returns_404(
    ledger: Ledger, other_merchant: MerchantClient
) -> None:
    location = reserve(ledger).headers["Location"]
    for action in ("post", "void"):
        assert other_merchant.post(f"{location}/{action}", {}).status_code == 404
        assert ledger.merchant.post(f"{TRANSACTIONS}/{UNKNOWN}/{action}", {}).status_code == 404
        assert ledger.merchant.post(f"{TRANSACTIONS}/x/{action}", {}).status_code == 400


IN_YEARS = (datetime.now(UTC) + timedelta(days=400)).isoformat()
HOSTILE_REQUESTS: list[dict[str, Any]] = [
    {"pending": "true"},
    {"pending": 1},
    {"pending": None},
    {"pending": True, "expiresAt": "2020-01-01T00:00:00Z"},
    {"pending": True, "expiresAt": IN_YEARS},
    {"pending": True, "expiresAt": "tomorrow"},
    {"pending": True, "expiresAt": None},
    {"pending": True, "expiresAt": 1_900_000_000},
    {"expiresAt": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
]


@pytest.mark.parametrize("members", HOSTILE_REQUESTS)
def test_hostile_member_returns_400_and_changes_nothing(
    ledger: Ledger, members: dict[str, Any]
) -> None:
    before = ledger.get_state()
    assert ledger.post(ledger.build() | members).status_code == 400
    assert ledger.get_state() == before


HOSTILE_PARTS = [
    *('{"amount":0}', '{"amount":-1}', '{"amount":"5"}', '{"amount":5.0}', '{"amount":true}'),
    *('{"amount":null}', '{"amount":9007199254740992}', '{"amount":1e2}'),
    *('{"amount":5,"amount":6}', '{"entries":null}', '{"entries":[]}', '{"entries":{}}'),
    *('{"entries":[{},{}]}', "[]", '"x"', '{"amount":5,"entries":[]}', '{"part":5}', "null"),
    *("5", "{"),
]


@pytest.mark.parametrize("body", HOSTILE_PARTS)
def test_hostile_part_returns_400_and_changes_nothing(ledger: Ledger, body: str) -> None:
    location = reserve(ledger).headers["Location"]
    before = ledger.get_state()
    assert ledger.merchant.post(f"{location}/post", body.encode()).status_code == 400
    assert ledger.get_state() == before


def test_hostile_part_entries_return_400_and_change_nothing(ledger: Ledger) -> None:
    location = reserve(ledger).headers["Location"]
    before = ledger.get_state()
    debit, credit = ledger.build(100)["entries"]
    for entries in (
        [debit],
        [debit, debit],
        [debit, {**credit, "amount": 99}],
        [debit, {**credit, "accountId": UNKNOWN}],
        [{**debit, "amount": 100}, {**credit, "amount": -100}],
        [debit, credit] * 51,
    ):
        response = ledger.merchant.post(f"{location}/post", {"entries": entries})
        assert response.status_code == 400, json.dumps(entries)
    assert ledger.merchant.post(f"{location}/void", {"reason": "x"}).status_code == 400
    assert ledger.get_state() == before
