"""Pending journal transactions, on both stores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atomic_core.domain.errors import (
    AmountExceedsReserved,
    AtomicError,
    NotFound,
    StorageRefused,
    TransactionNotPending,
    TransactionNotPosted,
    TransactionRefused,
    ValidationFailed,
)
from atomic_core.domain.events import EventFilter
from atomic_core.domain.journal import (
    DEFAULT_PENDING_PERIOD,
    MAX_PENDING_PERIOD,
    JournalEntry,
    JournalStatus,
    JournalTransaction,
    describe_transaction,
)
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.origins import ActorType, Origin
from journal_scenarios import Books
from support import IDS, Store, add_merchant, open_account

PAST = datetime(2020, 2, 29, 12, 0, 0, 1, tzinfo=UTC)
ORIGIN = Origin(ActorType.KEY, IDS.new_id(), "192.0.2.1", "r-2", IDS.new_id())


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def get_state(books: Books) -> object:
    accounts = [
        books.get_account(id)
        for id in (books.funded, books.other, books.third, books.euros, books.other_euros)
    ]
    return [(account.balance, account.pending, account.available) for account in accounts]


def get_pending(books: Books) -> list[tuple[int, int]]:
    accounts = [books.get_account(id) for id in (books.funded, books.other, books.third)]
    return [(account.pending_in, account.pending_out) for account in accounts]


def test_pending_transaction_reserves_its_entries(books: Books) -> None:
    pending = books.reserve(400, external_id="a", description="Order")
    assert pending.status is JournalStatus.PENDING
    assert pending.entries == [
        JournalEntry(books.funded, "USD", -400, None, None, 0),
        JournalEntry(books.other, "USD", 400, None, None, 0),
    ]
    assert (pending.posted_at, pending.effective_at, pending.resolved_at) == (None, None, None)
    assert pending.expires_at == pending.created_at + DEFAULT_PENDING_PERIOD
    assert books.get(pending) == pending
    assert books.list_ids() == books.list_ids(account_id=books.other) == [pending.id]
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]
    assert get_pending(books) == [(0, 400), (400, 0), (0, 0)]
    assert books.get_account(books.funded).available == 600
    assert books.get_account(books.other).available == 0
    books.assert_ledger_is_clean()


def test_reserved_amount_cannot_be_spent_or_reserved_again(books: Books) -> None:
    books.reserve(400)
    for action in (books.transfer, books.reserve):
        with pytest.raises(TransactionRefused) as refused:
            action(601)
        assert refused.value.details == {"entries.0": ["insufficient_balance"]}
    books.reserve(600)
    assert get_pending(books)[0] == (0, 1_000)
    with pytest.raises(TransactionRefused):
        books.post((books.other, -1), (books.third, 1))
    books.assert_ledger_is_clean()


def test_room_of_a_reserved_credit_cannot_be_filled(books: Books) -> None:
    books.transfer(400)
    pending = books.post((books.other, -400), (books.funded, 400), is_pending=True)
    books.fund(MAX_AMOUNT - 999)
    assert books.get_account(books.funded).balance == 600, "the payment failed"
    books.fund(MAX_AMOUNT - 1_000)
    books.post_pending(pending)
    assert books.get_account(books.funded).balance == MAX_AMOUNT
    books.assert_ledger_is_clean()


def test_posting_moves_all_that_is_reserved(books: Books) -> None:
    pending = books.reserve(1_000)
    posted = books.post_pending(pending, origin=ORIGIN)
    assert posted.entries == [
        JournalEntry(books.funded, "USD", -1_000, 2, 0, -1_000),
        JournalEntry(books.other, "USD", 1_000, 1, 1_000, 1_000),
    ]
    assert posted.status is JournalStatus.POSTED
    assert posted.posted_at == posted.effective_at == posted.resolved_at
    assert posted == replace(
        pending,
        status=posted.status,
        entries=posted.entries,
        posted_at=posted.posted_at,
        effective_at=posted.effective_at,
        resolved_at=posted.resolved_at,
    )
    assert books.get(pending) == posted
    assert books.get_balances()[:2] == [0, 1_000]
    assert get_pending(books) == [(0, 0), (0, 0), (0, 0)]
    books.assert_ledger_is_clean()


def test_effective_time_of_the_request_is_kept(books: Books) -> None:
    pending = books.reserve(400, effective_at=PAST)
    assert pending.effective_at == PAST
    assert books.post_pending(pending).effective_at == PAST
    books.assert_ledger_is_clean()


def test_amount_posts_a_part_and_releases_the_rest(books: Books) -> None:
    pending = books.reserve(400)
    posted = books.post_pending(pending, amount=150)
    assert [entry[2:] for entry in posted.entries] == [
        (-400, 2, 850, -150),
        (400, 1, 150, 150),
    ]
    assert books.get(pending) == posted
    assert books.get_balances()[:2] == [850, 150]
    assert get_pending(books) == [(0, 0), (0, 0), (0, 0)]
    reversal = books.reverse(posted)
    assert [entry.amount for entry in reversal.entries] == [150, -150]
    books.assert_ledger_is_clean()


def test_entries_post_parts_and_omit_accounts(books: Books) -> None:
    entries = ((books.funded, -500), (books.other, 300), (books.third, 200))
    pending = books.post(*entries, is_pending=True)
    posted = books.post_pending(pending, entries=((books.other, 250), (books.funded, -250)))
    assert [entry[2:] for entry in posted.entries] == [
        (-500, 2, 750, -250),
        (300, 1, 250, 250),
        (200, None, None, 0),
    ]
    assert books.get(pending) == posted
    reversal = books.reverse(posted)
    assert [entry.account_id for entry in reversal.entries] == [books.funded, books.other]
    assert books.get_balances()[:3] == [1_000, 0, 0]
    assert get_pending(books) == [(0, 0), (0, 0), (0, 0)]
    books.assert_ledger_is_clean()


def test_one_currency_of_several_can_be_posted(books: Books) -> None:
    entries = [(books.funded, -5), (books.other, 5), (books.euros, -7), (books.other_euros, 7)]
    pending = books.post(*entries, is_pending=True)
    books.post_pending(pending, entries=tuple(entries[2:]))
    assert books.get_balances() == [1_000, 0, 0, 993, 7]
    books.assert_ledger_is_clean()


def build_parts(books: Books) -> dict[str, tuple[dict[str, Any], type[AtomicError], str]]:
    funded, other, third = books.funded, books.other, books.third
    return {
        "both": (
            {"amount": 5, "entries": ((funded, -5), (other, 5))},
            ValidationFailed,
            "amount",
        ),
        "zero": ({"amount": 0}, ValidationFailed, "amount"),
        "negative": ({"amount": -1}, ValidationFailed, "amount"),
        "above": ({"amount": 401}, AmountExceedsReserved, "amount"),
        "entry above": (
            {"entries": ((funded, -401), (other, 401))},
            AmountExceedsReserved,
            "entries.0.amount",
        ),
        "another account": (
            {"entries": ((funded, -5), (third, 5))},
            ValidationFailed,
            "entries.1.accountId",
        ),
        "another sign": (
            {"entries": ((funded, 5), (other, -5))},
            ValidationFailed,
            "entries.0.amount",
        ),
        "unbalanced": ({"entries": ((funded, -5), (other, 4))}, ValidationFailed, "entries"),
        "repeated": (
            {"entries": ((funded, -5), (other, 2), (other, 3))},
            ValidationFailed,
            "entries.2.accountId",
        ),
        "single": ({"entries": ((funded, -5),)}, ValidationFailed, "entries"),
        "none": ({"entries": ()}, ValidationFailed, "entries"),
    }


def test_part_that_is_not_reserved_is_refused(books: Books) -> None:
    pending = books.reserve(400)
    before = get_state(books)
    for name, (part, error, field) in build_parts(books).items():
        with pytest.raises(error) as refused:
            books.post_pending(pending, **part)
        assert refused.value.details, name
        assert field in refused.value.details, name
        assert get_state(books) == before, name
    assert books.get(pending) == pending


def test_amount_is_for_two_entries(books: Books) -> None:
    entries = ((books.funded, -500), (books.other, 300), (books.third, 200))
    pending = books.post(*entries, is_pending=True)
    with pytest.raises(ValidationFailed) as refused:
        books.post_pending(pending, amount=5)
    assert refused.value.details == {
        "amount": ["Is for transactions of two entries; this one has 3: send entries."]
    }


def test_void_releases_what_is_reserved(books: Books) -> None:
    pending = books.reserve(400)
    voided = books.void(pending)
    assert voided.resolved_at
    assert voided == replace(pending, status=JournalStatus.VOIDED, resolved_at=voided.resolved_at)
    assert books.get(pending) == voided
    assert books.get_balances()[:2] == [1_000, 0]
    assert get_pending(books) == [(0, 0), (0, 0), (0, 0)]
    books.transfer(1_000)
    books.assert_ledger_is_clean()


def test_transaction_ends_once(books: Books) -> None:
    posted, voided = books.reserve(100), books.reserve(100)
    books.post_pending(posted)
    books.void(voided)
    for ended, status in ((posted, "POSTED"), (voided, "VOIDED"), (books.transfer(1), "POSTED")):
        for action in (books.post_pending, books.void):
            with pytest.raises(TransactionNotPending) as refused:
                action(ended)
            assert refused.value.details == {"status": [status]}
    assert books.get_balances()[:2] == [899, 101]
    books.assert_ledger_is_clean()


def test_only_what_is_posted_can_be_reversed(books: Books) -> None:
    pending = books.reserve(100)
    for _ in range(2):
        with pytest.raises(TransactionNotPosted):
            books.reverse(pending)
        if books.get(pending).status is JournalStatus.PENDING:
            books.void(pending)


def test_transactions_of_others_do_not_exist(store: Store, books: Books) -> None:
    pending, stranger = books.reserve(100), Books(store.begin)
    for action in (stranger.post_pending, stranger.void):
        with pytest.raises(NotFound):
            action(pending)
    account = open_account(store.begin, add_merchant(store.begin))
    with pytest.raises(NotFound):
        books.post((books.funded, -1), (account, 1), is_pending=True)
    assert books.get(pending) == pending


@pytest.mark.parametrize(
    "offset", [timedelta(0), -timedelta(days=1), MAX_PENDING_PERIOD + timedelta(minutes=1)]
)
def test_end_outside_of_its_bounds_is_refused(books: Books, offset: timedelta) -> None:
    with books.begin() as work:
        now = work.now()
    with pytest.raises(ValidationFailed) as refused:
        books.reserve(1, expires_at=now + offset)
    assert refused.value.details == {"expiresAt": ["Must be in the future, by at most 90 days."]}


def test_end_is_for_pending_transactions(books: Books) -> None:
    with books.begin() as work:
        now = work.now()
    with pytest.raises(ValidationFailed):
        books.transfer(1, expires_at=now + timedelta(days=1))
    ends = now + MAX_PENDING_PERIOD - timedelta(minutes=1)
    assert books.reserve(1, expires_at=ends).expires_at == ends


def test_expired_transaction_releases_what_it_reserves(store: Store, books: Books) -> None:
    expired = [books.reserve(100) for _ in range(2)]
    pending = books.reserve(100)
    for transaction in expired:
        store.tampering.set_expires_at(transaction.id, PAST)
    assert books.application.journal.expire() == 2
    assert books.application.journal.expire() == 0
    for transaction in expired:
        found = books.get(transaction)
        assert found.status is JournalStatus.EXPIRED
        assert found.resolved_at
        assert found.resolved_at >= transaction.created_at
        for action in (books.post_pending, books.void):
            with pytest.raises(TransactionNotPending) as refused:
                action(transaction)
            assert refused.value.details == {"status": ["EXPIRED"]}
    assert books.get(pending) == pending
    assert get_pending(books) == [(0, 100), (100, 0), (0, 0)]
    books.assert_ledger_is_clean()


def test_transaction_can_be_posted_until_it_is_expired(store: Store, books: Books) -> None:
    late = books.reserve(100)
    store.tampering.set_expires_at(late.id, PAST)
    books.post_pending(late)
    assert books.application.journal.expire() == 0
    assert books.get_balances()[:2] == [900, 100]


def test_events_say_what_happened(store: Store, books: Books) -> None:
    first, second, third = (books.reserve(amount) for amount in (1, 2, 3))
    steps = [
        *(first, second, third),
        books.post_pending(first, amount=1, origin=ORIGIN),
        books.void(second, origin=ORIGIN),
    ]
    store.tampering.set_expires_at(third.id, PAST)
    books.application.journal.expire()
    with books.begin() as work:
        events = work.events.list_stream(
            books.merchant_id, EventFilter(), 100, is_oldest_first=True
        )
    found = [event.event for event in events if event.event.type.startswith("ledger_transaction")]
    assert [event.type.removeprefix("ledger_transaction.") for event in found] == [
        *("pending", "pending", "pending", "posted", "voided", "expired")
    ]
    assert [event.origin for event in found] == [None, None, None, ORIGIN, ORIGIN, None]
    ended = [*steps, books.get(third)]
    assert [event.data for event in found] == [describe_transaction(row) for row in ended]


def test_preview_reserves_nothing(books: Books) -> None:
    new_transaction = books.build((books.funded, -1), (books.other, 1), is_pending=True)
    before = get_state(books)
    preview = books.application.journal.preview(new_transaction)
    assert preview.status is JournalStatus.PENDING
    assert get_state(books) == before
    assert books.list_ids() == []


def resolve_unchecked(books: Books, transaction: JournalTransaction) -> None:
    with books.begin() as work:
        work.journal.lock(books.merchant_id, transaction.id)
        work.accounts.lock([entry.account_id for entry in transaction.entries])
        work.journal.resolve([replace(transaction, resolved_at=work.now())])
        work.commit()


def test_stores_refuse_what_the_use_cases_never_do(books: Books) -> None:
    pending, voided = books.reserve(100), books.reserve(100)
    books.void(voided)
    before = get_state(books)
    with pytest.raises(StorageRefused):
        resolve_unchecked(books, replace(voided, status=JournalStatus.VOIDED))
    with pytest.raises(StorageRefused):
        books.begin_and_add(replace(pending, id=IDS.new_id(), entries=pending.entries[:1]))
    with pytest.raises(StorageRefused):
        books.begin_and_add(replace(pending, id=IDS.new_id(), expires_at=None))
    assert get_state(books) == before
