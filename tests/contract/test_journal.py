"""Journal transactions, on both stores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.errors import (
    AtomicError,
    ExternalIdTaken,
    NotFound,
    ReversalNotReversible,
    StorageRefused,
    TransactionRefused,
    TransactionReversed,
    ValidationFailed,
)
from atomic_core.domain.events import EventFilter, EventType
from atomic_core.domain.journal import JournalEntry, JournalStatus, describe_transaction
from atomic_core.domain.journal_posting import JournalPosting, post_journal
from atomic_core.domain.lists import CreatedFilter, JournalFilter, Position
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.posting import Leg
from journal_scenarios import Books
from support import IDS, Store, add_merchant, open_account

PAST = datetime(2020, 2, 29, 12, 0, 0, 1, tzinfo=UTC)
UNKNOWN = UUID(int=404)


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def test_posted_transaction_has_entries_and_balances_after_them(books: Books) -> None:
    posted = books.post(
        (books.other, 300),
        (books.funded, -400),
        (books.third, 100),
        description="Shares",
        metadata={"order": "4711"},
        external_id="order-4711",
        effective_at=PAST,
        idempotency_key="k",
    )
    assert posted.status is JournalStatus.POSTED
    assert posted.entries == [
        JournalEntry(books.other, "USD", 300, 1, 300, 300),
        JournalEntry(books.funded, "USD", -400, 2, 600, -400),
        JournalEntry(books.third, "USD", 100, 1, 100, 100),
    ]
    assert (posted.description, posted.metadata) == ("Shares", {"order": "4711"})
    assert (posted.external_id, posted.idempotency_key) == ("order-4711", "k")
    assert (posted.effective_at, posted.reverses_id, posted.reversed_by_id) == (PAST, None, None)
    assert posted.created_at > PAST
    assert posted.created_at == posted.posted_at
    assert books.get(posted) == posted
    assert books.get_balances() == [600, 300, 100, 1_000, 0]
    books.assert_ledger_is_clean()


def test_transaction_takes_effect_when_it_is_posted_unless_it_says_when(books: Books) -> None:
    posted = books.transfer(1)
    assert posted.effective_at == posted.posted_at
    in_a_year = posted.created_at + timedelta(days=400)
    assert books.transfer(1, effective_at=in_a_year).effective_at == in_a_year
    books.assert_ledger_is_clean()


def test_each_currency_of_a_transaction_balances(books: Books) -> None:
    books.post(
        (books.funded, -110),
        (books.euros, -100),
        (books.other, 110),
        (books.other_euros, 100),
    )
    assert books.get_balances() == [890, 110, 0, 900, 100]
    books.assert_ledger_is_clean()


def test_entries_that_do_not_balance_are_refused(books: Books) -> None:
    for entries, message in [
        (
            [(books.funded, -5), (books.other, 4)],
            "The entries in USD sum to -1, and must sum to 0.",
        ),
        (
            [(books.funded, -5), (books.other_euros, 5)],
            "The entries in EUR sum to 5, and must sum to 0.",
        ),
    ]:
        with pytest.raises(ValidationFailed) as refused:
            books.post(*entries)
        assert refused.value.details
        assert message in refused.value.details["entries"]
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]
    assert books.list_ids() == []


@pytest.mark.parametrize(
    ("amounts", "field"),
    [
        ([], "entries"),
        ([0, 0], "entries.0.amount"),
        ([5, True], "entries.1.amount"),
        ([5, -5.0], "entries.1.amount"),
        ([MAX_AMOUNT + 1, -MAX_AMOUNT - 1], "entries.0.amount"),
        ([1] * 50 + [-1] * 51, "entries"),
    ],
)
def test_malformed_entries_are_refused(books: Books, amounts: list[int], field: str) -> None:
    ids = [books.funded, books.other, *(UUID(int=number) for number in range(1, 100))]
    with pytest.raises(ValidationFailed) as refused:
        books.post(*zip(ids, amounts, strict=False))
    assert refused.value.details
    assert field in refused.value.details


def test_repeated_account_is_refused(books: Books) -> None:
    with pytest.raises(ValidationFailed) as refused:
        books.post((books.funded, -5), (books.other, 2), (books.other, 3))
    assert refused.value.details
    assert list(refused.value.details) == ["entries.2.accountId"]


def test_hundred_entries_are_posted(books: Books) -> None:
    ids = [open_account(books.begin, books.merchant_id) for _ in range(99)]
    posted = books.post((books.funded, -99), *((id, 1) for id in ids))
    assert [entry.account_id for entry in books.get(posted).entries] == [books.funded, *ids]
    books.assert_ledger_is_clean()


def test_first_entry_that_its_account_does_not_allow_is_named(books: Books) -> None:
    with pytest.raises(TransactionRefused) as refused:
        books.post((books.other, 1_100), (books.third, -100), (books.funded, -1_000))
    assert refused.value.details == {"entries.1": ["insufficient_balance"]}
    with pytest.raises(TransactionRefused):
        books.transfer(1_001)
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]
    books.transfer(1_000)
    assert books.get_balances() == [0, 1_000, 0, 1_000, 0]
    books.assert_ledger_is_clean()


def test_balance_above_the_maximum_is_refused(books: Books) -> None:
    books.transfer(1_000)
    books.fund(MAX_AMOUNT)
    with pytest.raises(TransactionRefused) as refused:
        books.post((books.other, -1), (books.funded, 1))
    assert refused.value.details == {"entries.1": ["balance_overflow"]}


def test_held_amount_cannot_be_spent(store: Store, books: Books) -> None:
    # A refund in progress reserves what it will debit.
    store.tampering.set_pending(books.funded, 0, 400)
    with pytest.raises(TransactionRefused):
        books.transfer(601)
    books.transfer(600)


def test_accounts_of_others_do_not_exist(store: Store, books: Books) -> None:
    stranger = open_account(store.begin, add_merchant(store.begin))
    for id in (stranger, world_account_id("USD"), fee_account_id("USD"), UNKNOWN):
        for entries in ([(books.funded, -5), (id, 5)], [(id, -5), (books.other, 5)]):
            with pytest.raises(NotFound) as refused:
                books.post(*entries)
            index = [account_id for account_id, _ in entries].index(id)
            assert refused.value.details == {
                f"entries.{index}.accountId": ["No account has this id."]
            }
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]


def test_external_id_is_used_once_per_merchant(store: Store, books: Books) -> None:
    first = books.transfer(1_000, external_id="a")
    # Not refused for the balance: the repetition of a request that succeeded.
    with pytest.raises(ExternalIdTaken) as refused:
        books.transfer(1_000, external_id="a")
    assert refused.value.details == {"externalId": [f"Is that of {first.id}."]}
    other_merchant = Books(store.begin)
    other_merchant.transfer(1, external_id="a")
    assert books.get_balances()[:2] == [0, 1_000]
    assert other_merchant.list_ids(external_id="a") != books.list_ids(external_id="a") == [first.id]


def test_preview_changes_nothing(books: Books) -> None:
    new_transaction = books.build((books.funded, -1), (books.other, 1), external_id="a")
    preview = books.application.journal.preview(new_transaction)
    assert preview.entries == [
        JournalEntry(books.funded, "USD", -1, 2, 999, -1),
        JournalEntry(books.other, "USD", 1, 1, 1, 1),
    ]
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]
    assert books.list_ids() == []
    posted = books.application.journal.post(new_transaction)
    assert posted.entries == preview.entries
    with pytest.raises(TransactionRefused):
        books.application.journal.preview(books.build((books.funded, -1_000), (books.other, 1_000)))
    with pytest.raises(ExternalIdTaken):
        books.application.journal.preview(new_transaction)


def test_reversal_negates_the_entries_once(books: Books) -> None:
    original = books.transfer(400)
    reversal = books.reverse(original, description="Mistake", external_id="r", effective_at=PAST)
    assert [entry[:3] for entry in reversal.entries] == [
        (books.funded, "USD", 400),
        (books.other, "USD", -400),
    ]
    assert (reversal.reverses_id, reversal.description) == (original.id, "Mistake")
    assert (reversal.external_id, reversal.effective_at) == ("r", PAST)
    assert books.get(original) == replace(original, reversed_by_id=reversal.id)
    assert books.get(reversal) == reversal
    with pytest.raises(TransactionReversed) as refused:
        books.reverse(original)
    assert refused.value.facts == {"reversedById": str(reversal.id)}
    with pytest.raises(ReversalNotReversible):
        books.reverse(reversal)
    assert books.get_balances()[:2] == [1_000, 0]
    books.assert_ledger_is_clean()


def test_reversal_is_refused_if_the_money_is_gone(books: Books) -> None:
    original = books.transfer(400)
    books.post((books.other, -1), (books.third, 1))
    with pytest.raises(TransactionRefused) as refused:
        books.reverse(original)
    assert refused.value.details == {"entries.1": ["insufficient_balance"]}
    assert books.get(original).reversed_by_id is None


def test_transactions_of_others_do_not_exist(store: Store, books: Books) -> None:
    other_merchant = Books(store.begin)
    posted = books.transfer(1)
    for action in (other_merchant.get, other_merchant.reverse):
        with pytest.raises(NotFound):
            action(posted)
    assert other_merchant.list_ids() == other_merchant.list_ids(account_id=books.funded) == []


def test_lists_are_newest_first_and_filtered(books: Books) -> None:
    first = books.transfer(1, external_id="a")
    second = books.post((books.euros, -1), (books.other_euros, 1))
    third = books.transfer(2)
    assert books.list_ids() == [third.id, second.id, first.id]
    assert books.list_ids(account_id=books.other) == [third.id, first.id]
    assert books.list_ids(account_id=books.third) == []
    assert books.list_ids(external_id="a") == [first.id]
    assert books.list_ids(external_id="a", account_id=books.funded) == [first.id]
    assert books.list_ids(external_id="a", account_id=books.euros) == []
    assert books.list_ids(external_id="b") == []
    assert books.list_ids(created_from=second.created_at) == [third.id, second.id]
    assert books.list_ids(created_to=second.created_at) == [first.id]
    assert books.list_ids(external_id="a", created_from=second.created_at) == []
    assert books.list_ids(account_id=books.other, created_from=second.created_at) == [third.id]


def test_pages_follow_each_other(books: Books) -> None:
    ids = [books.transfer(1).id for _ in range(5)][::-1]
    list_page, filters = books.application.journal.list, JournalFilter(account_id=books.other)
    for journal_filter in (JournalFilter(), filters):
        found: list[UUID] = []
        after: Position | None = None
        has_more = True
        while has_more:
            page = list_page(books.merchant_id, journal_filter, after, 2)
            found += [transaction.id for transaction in page.items]
            last, has_more = page.items[-1], page.has_more
            after = Position(last.created_at, last.id)
        assert found == ids


def test_entries_of_an_account_include_journal_entries(books: Books) -> None:
    posted = books.transfer(400)
    entries = books.application.accounts.list_entries(
        books.merchant_id, books.funded, CreatedFilter(), None, 10
    ).items
    assert [(entry.kind, entry.amount) for entry in entries] == [
        ("journal", -400),
        ("payment", 1_000),
    ]
    assert (entries[0].transaction_id, entries[0].payment_id) == (posted.id, None)
    assert entries[1].payment_id


def test_event_says_what_was_posted_and_who_did(books: Books) -> None:
    origin = Origin(ActorType.KEY, IDS.new_id(), "192.0.2.1", "r-1", IDS.new_id())
    posted = books.transfer(400, origin=origin, metadata={"a": "b"})
    with books.begin() as work:
        [event] = work.events.list_stream(
            books.merchant_id,
            EventFilter(frozenset({EventType.LEDGER_TRANSACTION_POSTED})),
            10,
            is_oldest_first=True,
        )
    assert event.event.data == describe_transaction(posted)
    assert event.event.origin == origin
    assert books.get(posted).origin == origin


def save_unchecked(books: Books, *legs: Leg, id: UUID | None = None) -> None:
    """Post without the journal transaction that the entries stand for."""
    with books.begin() as work:
        accounts = work.accounts.lock([account_id for account_id, _ in legs])
        result = post_journal(accounts, [JournalPosting(id or IDS.new_id(), legs)], work.now())
        work.ledger.save(result.posted)
        work.commit()


def test_posting_without_its_journal_transaction_is_refused(books: Books) -> None:
    legs = (Leg(books.funded, -1), Leg(books.other, 1))
    posted = books.transfer(1)
    for id in (None, posted.id):
        with pytest.raises(StorageRefused):
            save_unchecked(books, *legs, id=id)
    assert books.get_balances()[:2] == [999, 1]


def test_journal_transaction_with_other_entries_than_its_posting_is_refused(books: Books) -> None:
    new_transaction = books.build((books.funded, -1), (books.other, 1))
    stranger = open_account(books.begin, add_merchant(books.begin))
    for legs in [
        (Leg(books.funded, -2), Leg(books.other, 2)),
        (Leg(books.funded, -1), Leg(books.third, 1)),
        (Leg(books.funded, -2), Leg(books.other, 1), Leg(books.third, 1)),
        (Leg(books.funded, -1), Leg(stranger, 1)),
        (Leg(world_account_id("USD"), -1), Leg(books.other, 1)),
    ]:
        preview = books.application.journal.preview(new_transaction)
        with pytest.raises(AtomicError), books.begin() as work:
            accounts = work.accounts.lock([account_id for account_id, _ in legs])
            result = post_journal(accounts, [JournalPosting(preview.id, legs)], work.now())
            entries = [
                JournalEntry(account_id, "USD", amount, 1, 1, amount)
                for account_id, amount in (legs if stranger in dict(legs) else [])
            ]
            work.journal.add([replace(preview, entries=entries or preview.entries)])
            work.ledger.save(result.posted)
            work.commit()
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]
    assert books.list_ids() == []
