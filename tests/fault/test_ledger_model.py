"""The audit of ledger transactions finds every difference from the model."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from atomic_core.domain.journal import JournalTransaction
from fault.ledger_model import LedgerModel, LedgerRequest, audit_ledger_transactions
from journal_scenarios import Books
from support import PostgresTampering, Store

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def build_request(transaction: JournalTransaction) -> LedgerRequest:
    """The request of an acknowledged transaction."""
    return LedgerRequest(
        str(transaction.external_id),
        transaction.merchant_id,
        tuple((str(entry.account_id), entry.amount) for entry in transaction.entries),
        transaction.expires_at,
        str(transaction.id),
    )


def create_requests(books: Books, tampering: PostgresTampering) -> list[LedgerRequest]:
    posted = build_request(original := books.transfer(10, external_id="posted"))
    posted.reversal_ids = [str(books.reverse(original).id)]
    in_part = build_request(pending := books.reserve(20, external_id="in part"))
    books.post_pending(pending, amount=5)
    in_part.ends = [("POSTED", 5)]
    voided = build_request(pending := books.reserve(30, external_id="voided"))
    books.void(pending)
    voided.ends = [("VOIDED", 0)]
    expired = build_request(pending := books.reserve(40, external_id="expired"))
    tampering.set_expires_at(pending.id, PAST)
    books.application.journal.expire()
    refused = LedgerRequest("refused", books.merchant_id, posted.entries, is_refused=True)
    return [posted, in_part, voided, expired, refused]


def find_violations(connection: psycopg.Connection[Any], requests: list[LedgerRequest]) -> set[str]:
    model, violations = LedgerModel(), set[str]()
    model.add(requests)

    def check(invariant: str, *, holds: bool, details: str) -> bool:
        assert details
        if not holds:
            violations.add(invariant)
        return holds

    audit_ledger_transactions(connection, model, check)
    return violations


def test_audit_finds_every_difference_from_the_model(
    postgres_store: Store, database_url: str
) -> None:
    books, tampering = Books(postgres_store.begin), PostgresTampering(database_url)
    posted, in_part, voided, expired, refused = create_requests(books, tampering)
    requests = [posted, in_part, voided, expired, refused]

    def with_change(request: LedgerRequest, **changes: object) -> Callable[[], list[LedgerRequest]]:
        return lambda: [replace(row, **changes) if row is request else row for row in requests]

    lost = LedgerRequest("lost", books.merchant_id, posted.entries, transaction_id="1")
    other_id = str(UUID(int=1))
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert find_violations(connection, requests) == set()
        for build, invariant in [
            (lambda: requests[1:], "I9"),
            (lambda: [*requests, lost], "I9"),
            (with_change(posted, is_refused=True), "I9"),
            (with_change(posted, transaction_id=other_id), "I9"),
            (with_change(posted, entries=posted.entries[::-1]), "I9"),
            (with_change(posted, reversal_ids=[]), "I9"),
            (with_change(posted, reversal_ids=[*posted.reversal_ids, other_id]), "I9"),
            (with_change(in_part, ends=[("POSTED", 20)]), "I4"),
            (with_change(in_part, ends=[]), "I4"),
            (with_change(voided, ends=[]), "I4"),
            (with_change(expired, ends=[("VOIDED", 0)]), "I4"),
        ]:
            assert find_violations(connection, build()) == {invariant}
        pending = books.reserve(1, external_id="open")
        assert "ledger" in find_violations(connection, [*requests, build_request(pending)])
