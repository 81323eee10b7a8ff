"""Transactions of concurrent requests that are posted together, on both stores."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from atomic_core.domain.errors import (
    AtomicError,
    ExternalIdTaken,
    IdempotencyKeyReused,
    NotFound,
    StorageRefused,
    StorageUnavailable,
    TransactionRefused,
)
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import IdempotentResult
from atomic_core.use_cases.journal_micro_batches import PostTransactionOnce
from journal_scenarios import Books
from processes import wait_until
from support import Store, build_request

GUARD_SECONDS = 20


class Request(NamedTuple):
    new_transaction: NewJournalTransaction
    key: str | None = None
    fingerprint: int = 0


@dataclass
class ArrivingTogether:
    """A `BatchCalls` port that executes calls once so many have arrived. An error of all is
    returned to each, which raises it."""

    expected: int
    arrived: list[Any] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)

    def __call__(self, execute: Callable[..., Sequence[Any]]) -> Callable[[UUID, Any], Any]:
        def execute_all() -> None:
            try:
                results = execute(self.arrived)
            except AtomicError as error:
                results = [error] * len(self.arrived)
            for call, result in zip(self.arrived, results, strict=True):
                self.results[id(call)] = result

        barrier = threading.Barrier(self.expected, execute_all)

        def call_together(_: UUID, call: Any) -> Any:
            self.arrived.append(call)
            barrier.wait(GUARD_SECONDS)
            return self.results[id(call)]

        return call_together


class FailingCommit:
    """A unit of work factory whose first commit raises this error."""

    def __init__(self, begin: UnitOfWorkFactory, error: AtomicError) -> None:
        self.begin, self.errors = begin, [error]

    @contextmanager
    def __call__(self) -> Iterator[UnitOfWork]:
        with self.begin() as work, pytest.MonkeyPatch.context() as patch:
            commit = work.commit

            def fail_once() -> None:
                if self.errors:
                    raise self.errors.pop()
                commit()

            patch.setattr(work, "commit", fail_once)
            yield work


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def render(transaction: JournalTransaction) -> StoredResponse:
    balances = [entry.balance_after for entry in transaction.entries]
    return StoredResponse(201, f"{transaction.id} {balances}".encode())


def post_together(
    books: Books, *requests: Request, begin: UnitOfWorkFactory | None = None
) -> list[IdempotentResult | AtomicError]:
    """What each caller gets, in order."""
    journal, batch_calls = books.application.journal, ArrivingTogether(len(requests))
    post_once = PostTransactionOnce(
        replace(journal.post, begin=begin or books.begin),
        books.application.idempotency.perform_once,
        batch_calls,
    )

    def post(request: Request) -> IdempotentResult | AtomicError:
        idempotent_request = request.key and build_request(
            books.merchant_id, request.key, fingerprint=request.fingerprint.to_bytes(32, "big")
        )
        try:
            return post_once(request.new_transaction, idempotent_request or None, render)
        except AtomicError as error:
            return error

    with ThreadPoolExecutor(len(requests)) as threads:
        runs = []
        for number, request in enumerate(requests, 1):
            runs.append(threads.submit(post, request))
            if number < len(requests):
                wait_until(
                    lambda number=number: len(batch_calls.arrived) == number,
                    GUARD_SECONDS,
                    "the call has arrived",
                )
        return [run.result(GUARD_SECONDS) for run in runs]


def get_body(outcome: IdempotentResult | AtomicError) -> str:
    assert isinstance(outcome, IdempotentResult), outcome
    return outcome.response.body.decode()


def transfer(books: Books, amount: int, **details: Any) -> NewJournalTransaction:
    return books.build((books.funded, -amount), (books.other, amount), **details)


def test_refused_request_refuses_none_of_its_neighbours(books: Books) -> None:
    requests = [
        Request(transfer(books, 600), "first"),
        Request(transfer(books, 401), "refused"),
        Request(transfer(books, 300)),
        Request(books.build((books.funded, -1), (UUID(int=404), 1)), "unknown"),
        Request(transfer(books, 100, is_pending=True), "pending"),
    ]
    first, refused, third, unknown, pending = post_together(books, *requests)
    assert isinstance(refused, TransactionRefused)
    assert isinstance(unknown, NotFound)
    assert get_body(first).endswith("[400, 600]")
    assert get_body(third).endswith("[100, 900]")
    assert get_body(pending).endswith("[None, None]")
    assert books.get_balances()[:2] == [100, 900]
    ids = [UUID(get_body(outcome).split()[0]) for outcome in (first, third, pending)]
    assert books.list_ids() == ids[::-1]
    times = {books.application.journal.get(books.merchant_id, id).created_at for id in ids}
    assert len(times) == 1
    # The keys of what was posted are used, the others are not.
    again = post_together(books, requests[0], requests[4], Request(transfer(books, 0), "refused"))
    assert [get_body(outcome) for outcome in again[:2]] == [get_body(first), get_body(pending)]
    assert all(isinstance(outcome, IdempotentResult) and outcome.replayed for outcome in again[:2])
    with books.begin() as work:
        assert set(work.idempotency.find_records(books.merchant_id, ["first", "refused"])) == {
            "first"
        }
    books.assert_ledger_is_clean()


def test_keys_and_external_ids_that_are_used_twice_take_effect_once(books: Books) -> None:
    books.transfer(1, external_id="used")
    outcomes = post_together(
        books,
        Request(transfer(books, 10, external_id="a"), "k"),
        Request(transfer(books, 10, external_id="a"), "k"),
        Request(transfer(books, 10), "k", fingerprint=1),
        Request(transfer(books, 10, external_id="a")),
        Request(transfer(books, 10, external_id="used")),
        Request(transfer(books, 10, external_id="b")),
    )
    replayed = [outcome for outcome in outcomes[:2] if isinstance(outcome, IdempotentResult)]
    assert [outcome.replayed for outcome in replayed] == [False, True]
    assert replayed[0].response == replayed[1].response
    assert isinstance(outcomes[2], IdempotencyKeyReused)
    assert isinstance(outcomes[3], ExternalIdTaken)
    assert isinstance(outcomes[4], ExternalIdTaken)
    assert isinstance(outcomes[5], IdempotentResult)
    assert books.get_balances()[:2] == [979, 21]
    books.assert_ledger_is_clean()


def test_commit_that_the_database_refuses_is_repeated_one_by_one(books: Books) -> None:
    begin = FailingCommit(books.begin, StorageRefused("one of them"))
    requests = [Request(transfer(books, 600), "a"), Request(transfer(books, 600), "b")]
    outcomes = post_together(books, *requests, begin=begin)
    assert sum(isinstance(outcome, IdempotentResult) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, TransactionRefused) for outcome in outcomes) == 1
    assert books.get_balances()[:2] == [400, 600]
    books.assert_ledger_is_clean()


def test_commit_without_an_answer_is_not_repeated(books: Books) -> None:
    """It may have been committed."""
    begin = FailingCommit(books.begin, StorageUnavailable())
    requests = [Request(transfer(books, 600)), Request(transfer(books, 1))]
    outcomes = post_together(books, *requests, begin=begin)
    assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
    assert books.get_balances()[:2] == [1_000, 0]


def test_all_refused_requests_leave_their_keys_unused(books: Books) -> None:
    requests = [Request(transfer(books, 1_001), "a"), Request(transfer(books, 1_001), "b")]
    outcomes = post_together(books, *requests)
    assert all(isinstance(outcome, TransactionRefused) for outcome in outcomes)
    with books.begin() as work:
        assert not work.idempotency.find_records(books.merchant_id, ["a", "b"])
    assert books.list_ids() == []
