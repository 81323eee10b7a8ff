"""Balances as of a moment over HTTP: parameters, and what they mean."""

import pytest

from web.test_journal import Ledger, create_ledger
from web.web_client import MerchantClient, WebApp, error_code

TRIAL_BALANCE = "/api/v1/ledger/trial-balance"


@pytest.fixture
def ledger(web: WebApp, merchant: MerchantClient) -> Ledger:
    return create_ledger(web, merchant)


def read_balance(ledger: Ledger, query: str) -> dict[str, object]:
    answer = ledger.merchant.get(f"/api/v1/accounts/{ledger.other}/balance{query}")
    assert answer.status_code == 200
    return answer.get_json()["data"]


def test_date_is_the_end_of_its_day(ledger: Ledger) -> None:
    ledger.post(ledger.build(100, effectiveAt="2026-01-31T23:59:59.999999Z"))
    ledger.post(ledger.build(10, effectiveAt="2026-02-01"))
    effective = {
        day: read_balance(ledger, f"?axis=effective&at={day}")
        for day in ("2026-01-30", "2026-01-31", "2026-02-01")
    }
    assert [answer["balance"] for answer in effective.values()] == [0, 100, 110]
    assert effective["2026-01-31"] == {
        "accountId": ledger.other,
        "currency": "USD",
        "axis": "effective",
        "at": "2026-01-31T23:59:59.999Z",
        "balance": 100,
        "sequence": None,
        "pending": None,
        "available": None,
    }
    # Posted later.
    assert read_balance(ledger, "?at=2026-02-01")["balance"] == 0


def test_time_includes_its_millisecond(ledger: Ledger) -> None:
    posted = ledger.post(ledger.build(100)).get_json()["data"]["postedAt"]
    for axis in ("posted", "effective"):
        assert read_balance(ledger, f"?at={posted}&axis={axis}")["balance"] == 100


def test_present_balance_has_what_is_pending(ledger: Ledger) -> None:
    ledger.post(ledger.build(100))
    ledger.post(ledger.build(30, pending=True))
    present = read_balance(ledger, "")
    assert (present["balance"], present["sequence"]) == (100, 1)
    assert (present["pending"], present["available"]) == ({"in": 30, "out": 0}, 100)


def test_history_has_the_requested_days(ledger: Ledger) -> None:
    ledger.post(ledger.build(100, effectiveAt="2026-01-02"))
    path = f"/api/v1/accounts/{ledger.other}/balance-history"
    answer = ledger.merchant.get(f"{path}?from=2026-01-01&to=2026-01-03&axis=effective")
    assert answer.get_json()["data"] == {
        "accountId": ledger.other,
        "currency": "USD",
        "axis": "effective",
        "openingBalance": 0,
        "days": [
            {"day": "2026-01-01", "balance": 0, "change": 0},
            {"day": "2026-01-02", "balance": 100, "change": 100},
            {"day": "2026-01-03", "balance": 100, "change": 0},
        ],
    }
    assert len(ledger.merchant.get(path).get_json()["data"]["days"]) == 30


def test_trial_balance_says_whether_it_balances(ledger: Ledger) -> None:
    ledger.post(ledger.build(100, effectiveAt="2026-01-02"))
    before = ledger.merchant.get(f"{TRIAL_BALANCE}?axis=effective&at=2026-01-02").get_json()["data"]
    group = {"currency": "USD", "debit": 100, "credit": 100}
    assert before == {
        "axis": "effective",
        "at": "2026-01-02T23:59:59.999Z",
        "isBalanced": True,
        "rows": [{"type": "liability", "accounts": 2, "balance": 0, **group}],
        "totals": [{"difference": 0, "isBalanced": True, **group}],
    }
    present = ledger.merchant.get(TRIAL_BALANCE).get_json()["data"]
    # What the payment brought in.
    assert present["totals"][0]["difference"] == 1_000
    assert present["isBalanced"] is False


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        *(
            (f"balance?{query}", query.partition("=")[0])
            for query in (
                "at=yesterday",
                "at=2026-02-30",
                "at=9999-12-31",
                "at=2026-01-01T00:00:00",
                "at=2026-01-01&at=2026-01-01",
                "at=",
                "at=%00",
                "axis=Posted",
                "axis=posted,effective",
                "limit=1",
            )
        ),
        *(
            (f"balance-history?{query}", query.partition("=")[0])
            for query in (
                "from=2026-01-01T00:00:00Z",
                "from=9999-12-31",
                "from=1",
                "to=2026-13-01",
                "to=2020-01-01&from=2020-01-02",
                "to=2026-01-01&from=2024-01-01",
                "at=2026-01-01",
            )
        ),
    ],
)
def test_other_parameters_are_refused(ledger: Ledger, path: str, parameter: str) -> None:
    answer = ledger.merchant.get(f"/api/v1/accounts/{ledger.other}/{path}")
    assert answer.status_code == 400
    assert error_code(answer) == "validation_failed"
    assert parameter in answer.get_json()["error"]["details"]


def test_foreign_account_is_404(web: WebApp, ledger: Ledger) -> None:
    stranger = web.create_merchant("Stranger")
    for path in ("balance", "balance-history"):
        assert stranger.get(f"/api/v1/accounts/{ledger.other}/{path}").status_code == 404
