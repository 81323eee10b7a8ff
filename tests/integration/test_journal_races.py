"""Concurrent journal transactions of the same accounts: each race many times, on PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import Conflict, TransactionRefused
from atomic_core.domain.journal import JournalTransaction
from journal_scenarios import FUNDS, Books

ROUNDS: Final = 200
RACERS: Final = 4


@pytest.fixture
def books(database_url: str, settings_for: Callable[..., Settings]) -> Iterator[Books]:
    # A connection for each racer: they race for locks, not for connections.
    store = PostgresStore(Connections(settings_for(database_url, DATABASE_POOL=str(RACERS + 1))))
    yield Books(store.begin)
    store.close()


@pytest.fixture
def race() -> Iterator[Callable[..., list[object]]]:
    with ThreadPoolExecutor(RACERS) as threads:

        def run(*racers: Callable[[], object]) -> list[object]:
            """What each returned, or the refusal it met."""
            start = threading.Barrier(len(racers))

            def run_one(racer: Callable[[], object]) -> object:
                start.wait(60)
                try:
                    return racer()
                except (Conflict, TransactionRefused) as refusal:
                    return refusal

            return [run.result(60) for run in [threads.submit(run_one, racer) for racer in racers]]

        yield run


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
