"""Journal transactions of a merchant that are posted together: first in memory, then saved."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.journal import (
    JournalEntry,
    JournalStatus,
    JournalTransaction,
    NewJournalTransaction,
    build_refusal_error,
    check_accounts,
    check_entries,
    check_expiry,
    find_expiry,
)
from atomic_core.domain.journal_posting import JournalPosting, JournalResult, post_journal
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.journal_saving import (
    build_event,
    build_external_id_error,
    build_period_check,
    find_external_id_error,
    record_posting,
)

NewTransactions = Mapping[UUID, NewJournalTransaction]
"""By the id that each gets, in the order in which they are posted."""


class PreparedTransactions(NamedTuple):
    """Of each transaction, what was accepted or its error, by id."""

    accepted: Mapping[UUID, JournalTransaction]
    errors: Mapping[UUID, AtomicError]
    result: JournalResult
    accounts: Mapping[UUID, Account]
    postings: Sequence[JournalPosting]
    """Of those that were not refused before."""


def prepare_transaction(
    work: UnitOfWork,
    id: UUID,
    new_transaction: NewJournalTransaction,
    reverses_id: UUID | None = None,
) -> tuple[JournalTransaction, JournalResult]:
    """Lock the accounts and post in memory; saves nothing. Raises what PostTransaction raises."""
    prepared = prepare_transactions(
        work, new_transaction.merchant_id, {id: new_transaction}, reverses_id
    )
    if id in prepared.errors:
        raise prepared.errors[id]
    return prepared.accepted[id], prepared.result


def prepare_transactions(
    work: UnitOfWork,
    merchant_id: UUID,
    new_transactions: NewTransactions,
    reverses_id: UUID | None = None,
) -> PreparedTransactions:
    """The same for several transactions of a merchant, whose external ids must differ. Each is
    accepted or refused as if it was posted alone after those before it. All accounts are locked in
    id order, with one statement."""
    errors = _check_requests(work, new_transactions)
    # Before the balances: the repetition of a request that succeeded is not refused for the balance
    # that it left.
    valid = {id: new for id, new in new_transactions.items() if id not in errors}
    errors |= _check_external_ids(work, merchant_id, valid)
    candidates = {id: new for id, new in valid.items() if id not in errors}
    accounts = work.accounts.lock_owned(
        merchant_id, {leg.account_id for new in candidates.values() for leg in new.entries}
    )
    postings: list[JournalPosting] = []
    check_period = build_period_check(work, merchant_id)
    for id, new in candidates.items():
        try:
            check_accounts(new.entries, accounts)
            check_period(new.effective_at)
        except AtomicError as error:
            errors[id] = error
            continue
        postings.append(
            JournalPosting(id, new.entries, new.effective_at, is_pending=new.is_pending)
        )
    # The time is read after the accounts are locked, as in settlement.
    return _post(new_transactions, errors, accounts, postings, work.now(), reverses_id)


def save_transactions(
    work: UnitOfWork, new_transactions: NewTransactions, prepared: PreparedTransactions
) -> PreparedTransactions:
    """Save what is accepted, and return what was saved.

    A transaction whose external id a concurrent request has used since `prepare_transactions` gets
    that error, and the others are posted without it. Raises ExternalIdTaken if one of them is then
    refused: its rows are inserted already.
    """
    inserted: set[UUID] = set()
    while added := [row for id, row in prepared.accepted.items() if id not in inserted]:
        new_ids = work.journal.add(added)
        inserted |= new_ids
        conflicts = {
            row.id: find_external_id_error(work, row) for row in added if row.id not in new_ids
        }
        if not conflicts:
            break
        postings = [
            posting for posting in prepared.postings if posting.transaction_id not in conflicts
        ]
        errors = {
            id: prepared.errors[id] for id in prepared.errors.keys() - prepared.result.refusals
        }
        prepared = _post(
            new_transactions,
            errors | conflicts,
            prepared.accounts,
            postings,
            prepared.result.posted_at,
        )
        if not inserted.isdisjoint(prepared.errors):
            raise next(iter(conflicts.values()))
    work.ledger.save(prepared.result.posted)
    work.events.add([build_event(row, row.origin) for row in prepared.accepted.values()])
    return prepared


def _post(
    new_transactions: NewTransactions,
    errors: Mapping[UUID, AtomicError],
    accounts: Mapping[UUID, Account],
    postings: Sequence[JournalPosting],
    now: datetime,
    reverses_id: UUID | None = None,
) -> PreparedTransactions:
    result = post_journal(accounts, postings, now)
    refusals = {id: build_refusal_error(refusal) for id, refusal in result.refusals.items()}
    all_errors = {**errors, **refusals}
    accepted = _build_transactions(new_transactions, all_errors, accounts, result, reverses_id)
    return PreparedTransactions(accepted, all_errors, result, accounts, postings)


def _check_requests(work: UnitOfWork, new_transactions: NewTransactions) -> dict[UUID, AtomicError]:
    errors: dict[UUID, AtomicError] = {}
    has_expiry = any(new.expires_at is not None for new in new_transactions.values())
    now = work.now() if has_expiry else None
    for id, new in new_transactions.items():
        try:
            check_entries(new.entries)
            if now is not None and new.expires_at is not None:
                check_expiry(new.expires_at, now, is_pending=new.is_pending)
        except AtomicError as error:
            errors[id] = error
    return errors


def _check_external_ids(
    work: UnitOfWork, merchant_id: UUID, new_transactions: NewTransactions
) -> dict[UUID, AtomicError]:
    external_ids = {
        id: new.external_id for id, new in new_transactions.items() if new.external_id is not None
    }
    if not external_ids:
        return {}
    used = work.journal.find_by_external_ids(merchant_id, list(external_ids.values()))
    return {
        id: build_external_id_error(used[external_id])
        for id, external_id in external_ids.items()
        if external_id in used
    }


def _build_transactions(
    new_transactions: NewTransactions,
    refused: Iterable[UUID],
    accounts: Mapping[UUID, Account],
    result: JournalResult,
    reverses_id: UUID | None,
) -> dict[UUID, JournalTransaction]:
    refused, entries = set(refused), result.get_entries()
    accepted: dict[UUID, JournalTransaction] = {}
    for id, new in new_transactions.items():
        if id in refused:
            continue
        transaction = JournalTransaction(
            id,
            new.merchant_id,
            JournalStatus.PENDING,
            [
                JournalEntry(account_id, accounts[account_id].currency, amount, None, None, 0)
                for account_id, amount in new.entries
            ],
            new.description,
            new.metadata,
            new.external_id,
            new.effective_at,
            result.posted_at,
            None,
            reverses_id,
            idempotency_key=new.idempotency_key,
            origin=new.origin,
            expires_at=find_expiry(new, result.posted_at),
        )
        accepted[id] = (
            transaction
            if new.is_pending
            else record_posting(transaction, entries[id], result.posted_at)
        )
    return accepted
