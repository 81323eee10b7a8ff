"""POST /ledger/periods/close and GET /ledger/periods."""

import pytest

from web.test_journal import Ledger, create_ledger
from web.web_client import MerchantClient, WebApp, error_code

PERIODS = "/api/v1/ledger/periods"


@pytest.fixture
def ledger(web: WebApp, merchant: MerchantClient) -> Ledger:
    return create_ledger(web, merchant)


def test_closed_period_refuses_what_takes_effect_in_it(ledger: Ledger) -> None:
    ledger.post(ledger.build(100, effectiveAt="2026-01-31"))
    pending = ledger.post(ledger.build(1, effectiveAt="2026-01-31", pending=True))
    closed = ledger.merchant.post(
        f"{PERIODS}/close", {"endDate": "2026-01-31"}, Idempotency_Key="k"
    )
    period = closed.get_json()["data"]
    assert closed.status_code == 201
    assert closed.headers["Location"] == f"{PERIODS}/{period['id']}"
    assert (period["startDate"], period["endDate"], period["accounts"]) == (None, "2026-01-31", 2)
    assert len(period["digest"]) == 64
    again = ledger.merchant.post(f"{PERIODS}/close", {"endDate": "2026-01-31"}, Idempotency_Key="k")
    assert again.data == closed.data
    for answer in (
        ledger.post(ledger.build(1, effectiveAt="2026-01-31T23:59:59.999Z")),
        ledger.post(ledger.build(1, effectiveAt="2026-01-31", dryRun=True)),
        ledger.merchant.post(f"{pending.headers['Location']}/post", {}),
    ):
        assert answer.status_code == 409
        assert error_code(answer) == "period_closed"
        assert answer.get_json()["error"]["details"] == {
            "effectiveAt": ["Must be after 2026-01-31, the last closed day."],
            "closedThrough": "2026-01-31",
        }
    assert ledger.post(ledger.build(1, effectiveAt="2026-02-01")).status_code == 201
    assert ledger.merchant.post(f"{pending.headers['Location']}/void", {}).status_code == 200


def test_periods_and_balances_are_listed(web: WebApp, ledger: Ledger) -> None:
    ledger.post(ledger.build(100, effectiveAt="2026-01-31"))
    for end in ("2026-01-31", "2026-02-28"):
        assert ledger.merchant.post(f"{PERIODS}/close", {"endDate": end}).status_code == 201
    first = ledger.merchant.get(f"{PERIODS}?limit=1").get_json()["data"]
    second = ledger.merchant.get(f"{PERIODS}?limit=1&cursor={first['nextCursor']}")
    [later], [earlier] = first["items"], second.get_json()["data"]["items"]
    assert (later["startDate"], later["previousDigest"]) == ("2026-02-01", earlier["digest"])
    path = f"{PERIODS}/{earlier['id']}"
    assert ledger.merchant.get(path).get_json()["data"] == earlier
    balances: list[dict[str, object]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ledger.merchant.get(f"{path}/balances?limit=1{cursor}").get_json()["data"]
        balances += page["items"]
        cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    assert balances == [
        {"accountId": id, "currency": "USD", "balance": balance}
        for id, balance in sorted([(ledger.funded, -100), (ledger.other, 100)])
    ]
    stranger = web.create_merchant("Stranger")
    assert stranger.get(path).status_code == stranger.get(f"{path}/balances").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"endDate": None}, {"endDate": 20260131}, {"endDate": "2026-02-30"}),
        *(
            {"endDate": "2026-01-31T00:00:00Z"},
            {"endDate": "9999-12-31"},
            {"endDate": "2026-01-31 "},
        ),
        *({"endDate": "2999-01-31"}, {"endDate": "2026-01-31", "startDate": "2026-01-01"}),
    ],
)
def test_other_bodies_are_refused(ledger: Ledger, body: object) -> None:
    answer = ledger.merchant.post(f"{PERIODS}/close", body)
    assert (answer.status_code, error_code(answer)) == (400, "validation_failed")
    assert ledger.merchant.get(PERIODS).get_json()["data"]["items"] == []
