"""Verification of journal transactions, on both stores: each rule is violated once and found."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from atomic_core.domain.journal import JournalStatus, JournalTransaction
from atomic_core.domain.ledger_verification import LedgerCheck
from journal_scenarios import Books
from support import Store, Tampering, add_merchant

PAST = datetime(2020, 2, 29, tzinfo=UTC)


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def find_violations(books: Books) -> dict[LedgerCheck, set[str]]:
    violations: dict[LedgerCheck, set[str]] = {}
    for finding in books.application.ledger.verify().findings:
        violations.setdefault(finding.check, set()).add(finding.subject)
    return violations


Falsify = Callable[[Tampering, Books, JournalTransaction, JournalTransaction], object]

FALSIFICATIONS: dict[str, tuple[LedgerCheck, Falsify]] = {
    "effective time": (
        LedgerCheck.CHAIN_UNBROKEN,
        lambda store, books, first, last: store.set_effective_at(last.id, PAST),
    ),
    "requested amount": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, first, last: store.set_journal_amount(last.id, books.other, 2),
    ),
    "journal transaction removed": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, first, last: store.delete_journal_transaction(last.id),
    ),
    "posting removed": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, first, last: store.delete_ledger_transaction(last.id),
    ),
    "another owner": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, first, last: store.set_journal_owner(last.id, UUID(int=5)),
    ),
    "account of another owner": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, first, last: store.set_owner(books.third, UUID(int=5)),
    ),
    "not the reversed amounts": (
        LedgerCheck.REVERSAL_NEGATES,
        lambda store, books, first, last: store.set_reverses(last.id, first.id),
    ),
    "reverses nothing that exists": (
        LedgerCheck.REVERSAL_NEGATES,
        lambda store, books, first, last: store.set_reverses(last.id, UUID(int=5)),
    ),
    "entry amount": (
        LedgerCheck.TRANSACTION_BALANCED,
        lambda store, books, first, last: store.set_entry_amount(books.other, 1, 7),
    ),
    "balance": (
        LedgerCheck.BALANCE_IS_SUM,
        lambda store, books, first, last: store.set_balance(books.other, 7),
    ),
}


PENDING_FALSIFICATIONS: dict[str, tuple[LedgerCheck, Falsify]] = {
    "pending, yet posted": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, pending, posted: store.set_journal_status(
            posted.id, JournalStatus.PENDING
        ),
    ),
    "voided, yet posted": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, pending, posted: store.set_journal_status(
            posted.id, JournalStatus.VOIDED
        ),
    ),
    "posted, yet not posted": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, pending, posted: store.set_journal_status(
            pending.id, JournalStatus.POSTED
        ),
    ),
    "more posted than was reserved": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, pending, posted: store.set_journal_amount(posted.id, books.third, 9),
    ),
    "another sign": (
        LedgerCheck.JOURNAL_POSTED,
        lambda store, books, pending, posted: store.set_journal_amount(posted.id, books.third, -20),
    ),
    "voided, and held": (
        LedgerCheck.JOURNAL_HOLD_FITS,
        lambda store, books, pending, posted: store.set_journal_status(
            pending.id, JournalStatus.VOIDED
        ),
    ),
    "pending, and nothing is held": (
        LedgerCheck.JOURNAL_HOLD_FITS,
        lambda store, books, pending, posted: store.delete_journal_holds(pending.id),
    ),
    "hold of another amount": (
        LedgerCheck.JOURNAL_HOLD_FITS,
        lambda store, books, pending, posted: store.set_journal_hold(pending.id, books.other, 6),
    ),
    "holds that are not in the account": (
        LedgerCheck.PENDING_IS_SUM,
        lambda store, books, pending, posted: store.set_pending(books.funded, 0, 4),
    ),
}


@pytest.mark.parametrize("name", PENDING_FALSIFICATIONS)
def test_falsification_of_a_pending_transaction_is_found(
    store: Store, books: Books, name: str
) -> None:
    check, falsify = PENDING_FALSIFICATIONS[name]
    pending = books.reserve(5)
    posted = books.post((books.funded, -20), (books.third, 20), is_pending=True)
    posted = books.post_pending(posted, amount=10)
    books.assert_ledger_is_clean()
    falsify(store.tampering, books, pending, posted)
    violations = find_violations(books)
    assert check in violations
    if check is LedgerCheck.PENDING_IS_SUM:
        assert violations == {check: {str(books.funded)}}
    else:
        assert violations[check] <= {str(pending.id), str(posted.id)}


@pytest.mark.parametrize("name", FALSIFICATIONS)
def test_falsification_is_found(store: Store, books: Books, name: str) -> None:
    check, falsify = FALSIFICATIONS[name]
    with store.begin() as work:
        work.merchants.add(UUID(int=5), "Stranger")
        work.commit()
    first = books.post((books.funded, -5), (books.third, 5))
    last = books.transfer(1)
    books.assert_ledger_is_clean()
    falsify(store.tampering, books, first, last)
    violations = find_violations(books)
    assert check in violations
    if check in (LedgerCheck.JOURNAL_POSTED, LedgerCheck.REVERSAL_NEGATES):
        named = first if name == "account of another owner" else last
        assert violations[check] == {str(named.id)}


def test_entries_of_two_currencies_that_offset_each_other_are_found(
    store: Store, books: Books
) -> None:
    posted = books.post(
        (books.funded, -5), (books.other, 5), (books.euros, -7), (books.other_euros, 7)
    )
    books.assert_ledger_is_clean()
    store.tampering.set_entry_amount(books.other, 1, 6)
    store.tampering.set_entry_amount(books.other_euros, 1, 6)
    violations = find_violations(books)
    assert violations[LedgerCheck.TRANSACTION_BALANCED] == {str(posted.id)}


def test_reversal_of_another_merchants_transaction_is_found(store: Store, books: Books) -> None:
    original = books.transfer(1)
    reversal = books.reverse(original)
    store.tampering.set_journal_owner(original.id, add_merchant(store.begin))
    assert find_violations(books)[LedgerCheck.REVERSAL_NEGATES] == {str(reversal.id)}
