"""Posting many journal transactions in one commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.errors import AtomicError
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.domain.journal_batches import check_batch, locate_error
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command
from atomic_core.use_cases.journal_sets import (
    NewTransactions,
    PreparedTransactions,
    prepare_transactions,
    save_transactions,
)

BatchOutcome = JournalTransaction | AtomicError
"""Of one transaction: what was posted or reserved, or why it was refused."""


@dataclass(frozen=True, slots=True)
class TransactionBatch:
    merchant_id: UUID
    transactions: Sequence[NewJournalTransaction]
    """All of this merchant, with different external ids."""
    is_atomic: bool = False
    """Whether one refused transaction refuses all."""


@dataclass(frozen=True, slots=True)
class PostTransactionBatch(Command[TransactionBatch, Sequence[BatchOutcome]]):
    """Post or reserve transactions in order, each as if posted alone after those before it. Locks
    all their accounts in id order, with one statement.

    Returns the outcome of each in order. Raises ValidationFailed for a batch that `check_batch`
    refuses. If the batch is atomic, raises the error of the first refused transaction, with its
    index in the details. Raises ExternalIdTaken, also if the batch is not atomic, in one rare case:
    a concurrent request uses the external id of a transaction without which a later one would be
    refused.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, batch: TransactionBatch) -> Sequence[BatchOutcome]:
        new_transactions = _assign_ids(self.ids, batch)
        prepared = _prepare(work, batch, new_transactions)
        saved = save_transactions(work, new_transactions, prepared)
        _raise_first_error(batch, new_transactions, saved)
        return _list_outcomes(new_transactions, saved)


@dataclass(frozen=True, slots=True)
class PreviewTransactionBatch:
    """What PostTransactionBatch would post now, with the same errors. Changes nothing."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, batch: TransactionBatch) -> Sequence[BatchOutcome]:
        new_transactions = _assign_ids(self.ids, batch)
        with self.begin() as work:
            prepared = _prepare(work, batch, new_transactions)
        return _list_outcomes(new_transactions, prepared)


def _assign_ids(ids: IdGenerator, batch: TransactionBatch) -> NewTransactions:
    check_batch(batch.transactions)
    # The ids of a batch are in its order: lists, which are by time and id, keep it.
    return dict(zip(ids.new_ids(len(batch.transactions)), batch.transactions, strict=True))


def _prepare(
    work: UnitOfWork, batch: TransactionBatch, new_transactions: NewTransactions
) -> PreparedTransactions:
    prepared = prepare_transactions(work, batch.merchant_id, new_transactions)
    _raise_first_error(batch, new_transactions, prepared)
    return prepared


def _raise_first_error(
    batch: TransactionBatch, new_transactions: NewTransactions, prepared: PreparedTransactions
) -> None:
    if not batch.is_atomic or not prepared.errors:
        return
    index, error = next(
        (index, prepared.errors[id])
        for index, id in enumerate(new_transactions)
        if id in prepared.errors
    )
    raise locate_error(error, index) from error


def _list_outcomes(
    new_transactions: NewTransactions, prepared: PreparedTransactions
) -> Sequence[BatchOutcome]:
    return [prepared.accepted.get(id) or prepared.errors[id] for id in new_transactions]
