"""Concurrent journal transactions of the same accounts: each race many times, on PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import Conflict, ExternalIdTaken, PeriodClosed, TransactionRefused
from atomic_core.domain.journal import JournalStatus, JournalTransaction
from atomic_core.domain.periods import ClosingRequest
from journal_scenarios import FUNDS, Books
from support import DEPTH, PostgresTampering

ROUNDS: Final = 40 * DEPTH
PENDING_ROUNDS: Final = 50 * DEPTH
CLOSING_ROUNDS: Final = 10 * DEPTH
RACERS: Final = 4
GUARD_SECONDS: Final = 60
"""How long a race may take on a busy machine; no promise about speed."""

PAST: Final = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def books(database_url: str, settings_for: Callable[..., Settings]) -> Iterator[Books]:
    # A connection for each racer: they race for locks, not for connections.
    changes = {"DATABASE_POOL": str(RACERS + 1), "LOCK_TIMEOUT_SECONDS": str(GUARD_SECONDS)}
    store = PostgresStore(Connections(settings_for(database_url, **changes)))
    yield Books(store.begin)
    store.close()


@pytest.fixture
def race() -> Iterator[Callable[..., list[object]]]:
    with ThreadPoolExecutor(RACERS) as threads:

        def run(*racers: Callable[[], object]) -> list[object]:
            """What each returned, or the refusal it met."""
            start = threading.Barrier(len(racers))

            def run_one(racer: Callable[[], object]) -> object:
                start.wait(GUARD_SECONDS)
                try:
                    return racer()
                except (Conflict, TransactionRefused) as refusal:
                    return refusal

            return [
                run.result(GUARD_SECONDS)
                for run in [threads.submit(run_one, racer) for racer in racers]
            ]

        yield run


def get_statuses(outcomes: list[object]) -> list[JournalStatus]:
    return [outcome.status for outcome in outcomes if isinstance(outcome, JournalTransaction)]


def count_posted(outcomes: list[object]) -> int:
    return sum(isinstance(outcome, JournalTransaction) for outcome in outcomes)


def test_concurrent_debits_do_not_overdraw(books: Books, race: Callable[..., list[object]]) -> None:
    for _ in range(ROUNDS):
        outcomes = race(*[lambda: books.transfer(FUNDS // 2 + 1)] * 3)
        assert count_posted(outcomes) == 1
        assert books.get_balances()[:2] == [FUNDS // 2 - 1, FUNDS // 2 + 1]
        books.post((books.other, -FUNDS // 2 - 1), (books.funded, FUNDS // 2 + 1))
    books.assert_ledger_is_clean()


def test_concurrent_reversals_have_one_winner(
    books: Books, race: Callable[..., list[object]]
) -> None:
    # Enough that a second reversal would not be refused for its balance.
    books.fund(FUNDS)
    books.transfer(FUNDS)
    for _ in range(ROUNDS):
        original = books.transfer(1)
        outcomes = race(*[lambda original=original: books.reverse(original)] * RACERS)
        assert count_posted(outcomes) == 1
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == RACERS - 1
    assert books.get_balances()[:2] == [FUNDS, FUNDS]
    books.assert_ledger_is_clean()


def test_concurrent_uses_of_an_external_id_have_one_winner(
    books: Books, race: Callable[..., list[object]]
) -> None:
    for number in range(ROUNDS):
        # Of different accounts, which do not wait for one another's locks.
        dollars = books.build((books.funded, -1), (books.other, 1), external_id=str(number))
        euros = books.build((books.euros, -1), (books.other_euros, 1), external_id=str(number))
        post = books.application.journal.post
        outcomes = race(partial(post, dollars), partial(post, euros))
        assert count_posted(outcomes) == 1
    books.assert_ledger_is_clean()


def test_transfers_in_both_directions_do_not_deadlock(
    books: Books, race: Callable[..., list[object]]
) -> None:
    books.transfer(FUNDS // 2)
    for _ in range(ROUNDS):
        outcomes = race(
            lambda: books.transfer(1),
            lambda: books.post((books.other, -1), (books.funded, 1)),
            lambda: books.post((books.third, 1), (books.other, -2), (books.funded, 1)),
            lambda: books.post((books.funded, -1), (books.third, -1), (books.other, 2)),
        )
        assert count_posted(outcomes) >= 3
    books.assert_ledger_is_clean()


def test_batches_with_the_same_accounts_and_external_ids_do_not_deadlock(
    books: Books, race: Callable[..., list[object]]
) -> None:
    books.transfer(FUNDS // 2)
    forth = books.build((books.funded, -1), (books.other, 1))
    back = books.build((books.other, -2), (books.third, 1), (books.funded, 1))
    for number in range(ROUNDS):
        # Of different accounts: the loser meets the external id when it inserts.
        dollars = replace(forth, external_id=str(number))
        euros = books.build((books.euros, -1), (books.other_euros, 1), external_id=str(number))
        outcomes = race(
            lambda one=dollars: books.post_batch(forth, back, one),
            lambda one=euros: books.post_batch(one, books.build(*one.entries)),
            lambda: books.post_batch(back, forth, is_atomic=True),
            lambda: books.transfer(1),
        )
        results = [row for outcome in outcomes for row in _list_results(outcome)]
        assert count_posted(results) == 7
        assert sum(isinstance(row, ExternalIdTaken) for row in results) == 1
        books.post((books.third, -2), (books.other, 2))
    books.assert_ledger_is_clean()


def _list_results(outcome: object) -> list[object]:
    return [*outcome] if isinstance(outcome, list) else [outcome]


def test_pending_transaction_ends_once_whatever_races(
    books: Books, race: Callable[..., list[object]], database_url: str
) -> None:
    books.fund(FUNDS)
    expire, balance = books.application.journal.expire, books.get_balances()[0]
    tampering = PostgresTampering(database_url)
    for _ in range(PENDING_ROUNDS):
        pending = books.reserve(2)
        tampering.set_expires_at(pending.id, PAST)
        outcomes = race(
            partial(books.post_pending, pending),
            partial(books.post_pending, pending, amount=1),
            partial(books.void, pending),
            expire,
        )
        ended = books.get(pending)
        statuses = get_statuses(outcomes)
        is_expired = ended.status is JournalStatus.EXPIRED
        assert outcomes[3] == (1 if is_expired else 0)
        assert statuses == ([] if is_expired else [ended.status])
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 3 - len(statuses)
        balance += ended.entries[0].posted_amount
        account = books.get_account(books.funded)
        assert (account.balance, account.pending_out) == (balance, 0)
    books.assert_ledger_is_clean()


def test_concurrent_reservations_do_not_exceed_the_balance(
    books: Books, race: Callable[..., list[object]]
) -> None:
    for _ in range(PENDING_ROUNDS):
        outcomes = race(
            lambda: books.reserve(FUNDS // 2 + 1),
            lambda: books.reserve(FUNDS // 2 + 1),
            lambda: books.transfer(FUNDS // 2 + 1),
        )
        [accepted] = [outcome for outcome in outcomes if isinstance(outcome, JournalTransaction)]
        assert books.get_account(books.funded).available == FUNDS // 2 - 1
        if accepted.status is JournalStatus.PENDING:
            books.void(accepted)
        else:
            books.reverse(accepted)
    assert books.get_balances()[:2] == [FUNDS, 0]
    books.assert_ledger_is_clean()


def test_transactions_that_end_and_begin_together_do_not_deadlock(
    books: Books, race: Callable[..., list[object]], database_url: str
) -> None:
    tampering = PostgresTampering(database_url)
    books.transfer(FUNDS // 2)
    for _ in range(PENDING_ROUNDS):
        first, second = books.reserve(1), books.post((books.other, -1), (books.funded, 1))
        third = books.post((books.other, -1), (books.funded, 1), is_pending=True)
        tampering.set_expires_at(third.id, PAST)
        outcomes = race(
            partial(books.post_pending, first),
            partial(books.reverse, second),
            books.application.journal.expire,
            lambda: books.post((books.other, -1), (books.funded, 1), is_pending=True),
        )
        assert count_posted(outcomes) == 3
        assert outcomes[2] == 1
        [pending] = [outcome for outcome in outcomes[3:] if isinstance(outcome, JournalTransaction)]
        books.void(pending)
    books.assert_ledger_is_clean()


def test_closing_a_period_has_what_was_posted_and_refuses_the_rest(
    books: Books, race: Callable[..., list[object]]
) -> None:
    close = books.application.periods.close
    for number in range(CLOSING_ROUNDS):
        end = PAST.date() + timedelta(days=number)
        within = PAST + timedelta(days=number, hours=23)
        pending = books.reserve(1, effective_at=within)
        outcomes = race(
            partial(books.transfer, 1, effective_at=within),
            partial(close, ClosingRequest(books.merchant_id, end)),
            partial(books.post_pending, pending),
            partial(books.transfer, 1),
        )
        assert not isinstance(outcomes[1], Conflict)
        assert isinstance(outcomes[3], JournalTransaction)
        for outcome in (outcomes[0], outcomes[2]):
            assert isinstance(outcome, (JournalTransaction, PeriodClosed))
        if isinstance(outcomes[2], PeriodClosed):
            books.void(pending)
        books.post((books.other, -books.get_balances()[1]), (books.funded, books.get_balances()[1]))
    # Each closing balance is the sum of what takes effect before the end of its period.
    books.assert_ledger_is_clean()
