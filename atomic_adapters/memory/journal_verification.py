"""The ledger's rules about journal transactions, checked on the tables in memory."""

from collections.abc import Iterator
from uuid import UUID

from atomic_adapters.memory.tables import Tables
from atomic_core.domain.journal import JournalStatus
from atomic_core.domain.ledger import TransactionKind
from atomic_core.domain.ledger_verification import Finding, LedgerCheck


def check_journal(tables: Tables) -> Iterator[Finding]:
    journal = tables.journal_transactions.rows
    posted = {
        id for id, row in tables.transactions.rows.items() if row.kind is TransactionKind.JOURNAL
    }
    for id in sorted(journal.keys() | posted):
        problem = None
        if id not in journal:
            problem = "posts a journal transaction that does not exist"
        elif (journal[id].status is JournalStatus.POSTED) != (id in posted):
            problem = f"{journal[id].status}, yet {'posted' if id in posted else 'not posted'}"
        elif id in posted and not _is_posted_as_requested(tables, id):
            problem = "posted with another amount or account, or not of its merchant"
        if problem:
            yield Finding(LedgerCheck.JOURNAL_POSTED, str(id), problem)


def _is_posted_as_requested(tables: Tables, id: UUID) -> bool:
    transaction = tables.journal_transactions.rows[id]
    requested = {entry.account_id: entry.amount for entry in transaction.entries}
    owners = {tables.accounts.rows[account_id].merchant_id for account_id in requested}
    posted = dict(_list_entries(tables, id))
    if owners != {transaction.merchant_id} or posted.keys() - requested.keys():
        return False
    if transaction.expires_at is None:
        return posted == requested
    return all(
        (amount > 0) == (requested[account_id] > 0) and abs(amount) <= abs(requested[account_id])
        for account_id, amount in posted.items()
    )


def check_journal_holds(tables: Tables) -> Iterator[Finding]:
    live = {key: row.amount for key, row in tables.journal_holds.rows.items() if row.is_live}
    pending = {
        (id, entry.account_id): entry.amount
        for id, row in tables.journal_transactions.rows.items()
        if row.status is JournalStatus.PENDING
        for entry in row.entries
    }
    wrong = {key for key in live.keys() | pending.keys() if live.get(key) != pending.get(key)}
    for key in sorted(wrong):
        problem = f"{live[key]} is held" if key in live else "nothing is held"
        yield Finding(LedgerCheck.JOURNAL_HOLD_FITS, str(key[0]), problem)


def check_reversals(tables: Tables) -> Iterator[Finding]:
    journal = tables.journal_transactions.rows
    for id, reversal in sorted(journal.items()):
        if reversal.reverses_id is None:
            continue
        original = journal.get(reversal.reverses_id)
        negated = [
            (account_id, -amount)
            for account_id, amount in _list_entries(tables, reversal.reverses_id)
        ]
        if (
            original is None
            or original.merchant_id != reversal.merchant_id
            or original.reverses_id
            or _list_entries(tables, id) != sorted(negated)
        ):
            problem = "does not negate the transaction that it reverses"
            yield Finding(LedgerCheck.REVERSAL_NEGATES, str(id), problem)


def _list_entries(tables: Tables, transaction_id: UUID) -> list[tuple[UUID, int]]:
    entries = tables.entries.rows.values()
    return sorted(
        (entry.account_id, entry.amount)
        for entry in entries
        if entry.transaction_id == transaction_id
    )
