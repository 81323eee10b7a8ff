"""Batches of journal transactions, on both stores."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from atomic_core.domain.errors import (
    AtomicError,
    ExternalIdTaken,
    NotFound,
    TransactionRefused,
    ValidationFailed,
)
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.journal import JournalStatus, JournalTransaction, NewJournalTransaction
from atomic_core.domain.journal_batches import MAX_BATCH_ENTRIES, MAX_BATCH_TRANSACTIONS
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.use_cases.journal_batches import BatchOutcome, TransactionBatch
from journal_scenarios import Books
from support import Store, add_merchant, build_request, open_account

UNKNOWN = UUID(int=404)


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def build_transfer(books: Books, amount: int, **details: Any) -> NewJournalTransaction:
    return books.build((books.funded, -amount), (books.other, amount), **details)


def get_codes(outcomes: Sequence[BatchOutcome]) -> list[str]:
    return [
        outcome.code if isinstance(outcome, AtomicError) else outcome.status.value
        for outcome in outcomes
    ]


def test_each_transaction_is_posted_or_refused_as_if_posted_alone(books: Books) -> None:
    books.transfer(100, external_id="used")
    stranger = open_account(books.begin, add_merchant(books.begin))
    outcomes = books.post_batch(
        build_transfer(books, 600, external_id="a"),
        build_transfer(books, 301),
        build_transfer(books, 200, is_pending=True),
        build_transfer(books, 101),
        build_transfer(books, 1, external_id="used"),
        books.build((books.funded, -1), (stranger, 1)),
        books.build((books.funded, -1), (books.other_euros, 1)),
        books.build((books.funded, -1), (books.funded, 1)),
        books.build((books.euros, -5), (books.other_euros, 5)),
        build_transfer(books, 100),
    )
    assert get_codes(outcomes) == [
        "POSTED",
        "transaction_refused",
        "PENDING",
        "transaction_refused",
        "external_id_taken",
        "not_found",
        "validation_failed",
        "validation_failed",
        "POSTED",
        "POSTED",
    ]
    posted = [outcome for outcome in outcomes if isinstance(outcome, JournalTransaction)]
    assert [books.get(transaction) for transaction in posted] == posted
    assert [entry.balance_after for entry in posted[0].entries] == [300, 700]
    assert [entry.balance_after for entry in posted[3].entries] == [200, 800]
    assert len({transaction.created_at for transaction in posted}) == 1
    assert books.list_ids(limit=4) == [transaction.id for transaction in reversed(posted)]
    assert books.get_balances() == [200, 800, 0, 995, 5]
    assert books.get_account(books.funded).available == 0
    # Money that arrives in the batch can be spent in it.
    chain = [
        books.build((books.euros, -995), (books.other_euros, 995)),
        books.build((books.other_euros, -1_000), (books.euros, 1_000)),
    ]
    assert get_codes(books.post_batch(*chain)) == ["POSTED", "POSTED"]
    books.assert_ledger_is_clean()


def test_response_of_a_large_batch_is_stored_under_its_key(books: Books) -> None:
    """PostgreSQL gets the statements of a large batch without waiting for the results."""
    batch = TransactionBatch(books.merchant_id, [build_transfer(books, 1)] * 50)
    first, second = (
        books.application.idempotency.perform_once(
            build_request(books.merchant_id), books.application.journal.post_batch, batch, render
        )
        for _ in range(2)
    )
    assert (first.replayed, second.replayed) == (False, True)
    assert second.response == first.response == StoredResponse(201, b"50")


def render(outcomes: Sequence[BatchOutcome]) -> StoredResponse:
    return StoredResponse(201, str(get_codes(outcomes).count("POSTED")).encode())


def test_atomic_batch_is_posted_whole_or_refused_whole(books: Books) -> None:
    books.transfer(1, external_id="used")
    for refused, error, details in [
        (build_transfer(books, 600), TransactionRefused, {"entries.0": ["insufficient_balance"]}),
        (build_transfer(books, 1, external_id="used"), ExternalIdTaken, None),
        (books.build((books.funded, -1), (UNKNOWN, 1)), NotFound, None),
        (books.build((books.funded, -1), (books.other, 2)), ValidationFailed, None),
    ]:
        with pytest.raises(error) as raised:
            transactions = (build_transfer(books, 600), refused, build_transfer(books, 9_000))
            books.post_batch(*transactions, is_atomic=True)
        located = raised.value.details
        assert located
        assert all(name.startswith("transactions.1.") for name in located)
        if details:
            assert located == {f"transactions.1.{name}": value for name, value in details.items()}
        assert books.get_balances()[:2] == [999, 1]
        assert len(books.list_ids()) == 1
    outcomes = books.post_batch(*[build_transfer(books, 333)] * 3, is_atomic=True)
    assert get_codes(outcomes) == ["POSTED"] * 3
    assert books.get_balances()[:2] == [0, 1_000]
    books.assert_ledger_is_clean()


def test_preview_of_a_batch_changes_nothing(books: Books) -> None:
    batch = TransactionBatch(
        books.merchant_id, [build_transfer(books, 700, external_id="a"), build_transfer(books, 700)]
    )
    for _ in range(2):
        outcomes = books.application.journal.preview_batch(batch)
        assert get_codes(outcomes) == ["POSTED", "transaction_refused"]
    atomic = TransactionBatch(books.merchant_id, batch.transactions, is_atomic=True)
    with pytest.raises(TransactionRefused):
        books.application.journal.preview_batch(atomic)
    assert books.get_balances()[:2] == [1_000, 0]
    assert books.list_ids() == []
    books.post_batch(*batch.transactions)
    assert books.get_balances()[:2] == [300, 700]


def test_batch_that_is_malformed_as_a_whole_is_refused(books: Books) -> None:
    transfer = build_transfer(books, 1)
    whole = books.build(*[(UUID(int=number), 1) for number in range(1, 101)])
    for transactions, field in [
        ([], "transactions"),
        ([transfer] * (MAX_BATCH_TRANSACTIONS + 1), "transactions"),
        ([whole] * (MAX_BATCH_ENTRIES // 100) + [transfer], "transactions"),
        (
            [build_transfer(books, 1, external_id=name) for name in "aba"],
            "transactions.2.externalId",
        ),
    ]:
        for is_atomic in (False, True):
            with pytest.raises(ValidationFailed) as refused:
                books.post_batch(*transactions, is_atomic=is_atomic)
            assert refused.value.details
            assert list(refused.value.details) == [field]
    assert books.list_ids() == []


def test_batch_of_refused_transactions_changes_nothing(books: Books) -> None:
    outcomes = books.post_batch(*[build_transfer(books, MAX_AMOUNT)] * 2)
    assert get_codes(outcomes) == ["transaction_refused"] * 2
    assert books.list_ids() == []
    books.assert_ledger_is_clean()


def test_external_id_that_is_used_meanwhile_refuses_its_transaction_only(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = build_transfer(books, 400, external_id="a")
    used = books.transfer(1, external_id="a")
    for others, is_lost in [
        # Needs the money of the transaction with the external id.
        ([books.build((books.other, -300), (books.third, 300))], True),
        # Refused beside the transaction with the external id, and posted without it.
        ([build_transfer(books, 700)], False),
    ]:
        with books.begin() as work:
            # As if the external id was used after it was looked for.
            find, found = work.journal.find_by_external_ids, [{}]
            monkeypatch.setattr(
                type(work.journal),
                "find_by_external_ids",
                lambda _, *key, find=find, found=found: found.pop() if found else find(*key),
            )
            batch = TransactionBatch(books.merchant_id, [late, *others])
            post_batch = books.application.journal.post_batch
            if is_lost:
                with pytest.raises(ExternalIdTaken) as refused:
                    post_batch.execute(work, batch)
                assert refused.value.facts == {"usedBy": str(used.id)}
            else:
                outcomes = post_batch.execute(work, batch)
                assert get_codes(outcomes) == ["external_id_taken", "POSTED"]
                work.commit()
            monkeypatch.undo()
    assert books.get_balances()[:3] == [299, 701, 0]
    books.assert_ledger_is_clean()


def test_pending_transactions_of_a_batch_are_reserved(books: Books) -> None:
    outcomes = books.post_batch(*[build_transfer(books, 300, is_pending=True)] * 4)
    assert get_codes(outcomes) == ["PENDING"] * 3 + ["transaction_refused"]
    assert books.get_account(books.funded).pending_out == 900
    for outcome in outcomes[:3]:
        assert isinstance(outcome, JournalTransaction)
        assert books.post_pending(outcome).status is JournalStatus.POSTED
    assert books.get_balances()[:2] == [100, 900]
    books.assert_ledger_is_clean()
