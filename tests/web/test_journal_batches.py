"""POST /ledger/transactions/batch."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from atomic_core.domain.journal_batches import MAX_BATCH_ENTRIES, MAX_BATCH_TRANSACTIONS
from atomic_web.schemas.journal_batches import JournalBatchSchema
from atomic_web.views import journal_batches
from web.test_journal import TRANSACTIONS, Ledger, create_ledger
from web.test_openapi_requests import is_accepted_by_schema
from web.web_client import MerchantClient, WebApp, error_code

BATCH = f"{TRANSACTIONS}/batch"


@pytest.fixture
def ledger(web: WebApp, merchant: MerchantClient) -> Ledger:
    return create_ledger(web, merchant)


def post_batch(
    ledger: Ledger, *transactions: object, key: str | None = None, **members: object
) -> TestResponse:
    headers = {"Idempotency_Key": key} if key else {}
    return ledger.merchant.post(BATCH, {"transactions": transactions, **members}, **headers)


def test_results_are_in_the_place_of_their_transactions(ledger: Ledger) -> None:
    body = [
        ledger.build(400, externalId="a", metadata={"order": "1"}),
        ledger.build(601),
        ledger.build(600, pending=True),
    ]
    response = post_batch(ledger, *body, key="k")
    assert response.status_code == 201
    assert "Location" not in response.headers
    posted, refused, pending = response.get_json()["data"]["results"]
    path = f"{TRANSACTIONS}/{posted['transaction']['id']}"
    assert posted == {
        "status": 201,
        "transaction": ledger.merchant.get(path).get_json()["data"],
        "error": None,
    }
    assert posted["transaction"]["idempotencyKey"] == "k"
    assert (refused["status"], refused["transaction"]) == (422, None)
    assert refused["error"]["code"] == "transaction_refused"
    assert refused["error"]["details"] == {"entries.0": ["insufficient_balance"]}
    assert (pending["status"], pending["transaction"]["status"]) == (201, "PENDING")
    again = post_batch(ledger, *body, key="k")
    assert (again.status_code, again.data) == (201, response.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    reused = post_batch(ledger, *body, key="k", atomic=True)
    assert (reused.status_code, error_code(reused)) == (422, "idempotency_key_reused")


def test_atomic_batch_answers_with_the_first_error_and_leaves_the_key_unused(
    ledger: Ledger,
) -> None:
    before = ledger.get_state()
    body = [ledger.build(600), ledger.build(401), ledger.build(500)]
    response = post_batch(ledger, *body, atomic=True, key="k")
    assert (response.status_code, error_code(response)) == (422, "transaction_refused")
    error = response.get_json()["error"]
    assert error["details"] == {"transactions.1.entries.0": ["insufficient_balance"]}
    assert error["message"].startswith("transactions.1: ")
    assert ledger.get_state() == before
    results = post_batch(ledger, body[0], atomic=True, key="k").get_json()["data"]["results"]
    assert [result["status"] for result in results] == [201]


def test_dry_run_answers_what_would_be_posted(ledger: Ledger) -> None:
    before = ledger.get_state()
    body = [ledger.build(400), ledger.build(601)]
    response = post_batch(ledger, *body, dryRun=True, key="k")
    assert response.status_code == 200
    posted, refused = response.get_json()["data"]["results"]
    assert posted["status"] == 200
    assert [entry["balanceAfter"] for entry in posted["transaction"]["entries"]] == [600, 400]
    assert "id" not in posted["transaction"]
    assert refused["status"] == 422
    assert post_batch(ledger, *body, dryRun=True, atomic=True).status_code == 422
    assert ledger.get_state() == before
    assert post_batch(ledger, *body, key="k").status_code == 201


def test_malformed_batches_are_refused_whole(web: WebApp, ledger: Ledger) -> None:
    before = ledger.get_state()
    good: Any = ledger.build(1)
    entry = {"accountId": ledger.other, "amount": 1}
    many = {"entries": [entry] * 100}
    for transactions, field in [
        ([], "transactions"),
        ({}, "transactions"),
        (None, "transactions"),
        ([good] * (MAX_BATCH_TRANSACTIONS + 1), "transactions"),
        ([many] * (MAX_BATCH_ENTRIES // 100) + [good], "transactions"),
        ([good, 5], "transactions.1"),
        ([good, {}], "transactions.1.entries"),
        ([good, good | {"dryRun": True}], "transactions.1.dryRun"),
        ([good | {"entries": [entry]}], "transactions.0.entries"),
        ([good | {"entries": [entry, entry | {"amount": 1.0}]}], "transactions.0.entries.1.amount"),
        ([good | {"entries": [entry] * 101}], "transactions.0.entries"),
        ([good | {"externalId": "a"}] * 2, "transactions.1.externalId"),
    ]:
        response = ledger.merchant.post(BATCH, {"transactions": transactions})
        assert (response.status_code, error_code(response)) == (400, "validation_failed"), field
        assert list(response.get_json()["error"]["details"]) == [field]
        if field != "transactions.1.externalId" and len(transactions or ()) < 50:
            body = {"transactions": transactions}
            assert not is_accepted_by_schema(web, JournalBatchSchema(), body)
    for members in ({"atomic": "true"}, {"dryRun": 1}, {"pending": True}, {"atomic": None}):
        response = ledger.merchant.post(BATCH, {"transactions": [good], **members})
        assert list(response.get_json()["error"]["details"]) == list(members)
    unknown = ledger.merchant.post(BATCH, {"transactions": [good], "x": 1}).get_json()["error"]
    assert "Known fields: atomic, dryRun, transactions." in unknown["message"]
    assert ledger.get_state() == before
    assert is_accepted_by_schema(web, JournalBatchSchema(), {"transactions": [good]})


def test_full_batch_is_posted_while_other_requests_run(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(journal_batches.time, "sleep", pauses.append)
    response = post_batch(ledger, *[ledger.build(1)] * MAX_BATCH_TRANSACTIONS)
    results = response.get_json()["data"]["results"]
    assert {result["status"] for result in results} == {201}
    last = results[-1]["transaction"]["entries"]
    assert [entry["balanceAfter"] for entry in last] == [0, 1_000]
    assert pauses == [0] * (MAX_BATCH_TRANSACTIONS // journal_batches.ITEMS_PER_TURN - 1)


def test_batch_has_its_own_body_limit(web: WebApp, ledger: Ledger) -> None:
    limited = web.with_settings(BATCH_BODY_LIMIT_BYTES="2000").connect(ledger.merchant)
    for count, status in ((1, 201), (20, 413)):
        response = limited.post(BATCH, {"transactions": [ledger.build(1)] * count})
        assert response.status_code == status
