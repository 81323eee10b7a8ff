"""Writes of account rows, with the checks of PostgreSQL's constraints."""

from typing import Final

from atomic_adapters.memory.tables import Tables
from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.ledger import Entry, TransactionKind


def put_account(tables: Tables, account: Account) -> None:
    low, high = account.balance_bounds
    is_covered = low <= account.available or _may_be_overdrawn(tables, account)
    is_in_bounds = is_covered and account.balance + account.pending_in <= high
    if not is_in_bounds or account.pending_in < 0 or account.pending_out < 0:
        raise StorageRefused("accounts_balance_in_bounds")
    tables.accounts.put(account.id, account)


def _may_be_overdrawn(tables: Tables, account: Account) -> bool:
    """Whether no less of the account is available than before, but for what disputes have debited.
    A debit of what was reserved follows the release of its hold: both are one change."""
    if account.merchant_id is None:
        return False
    old = tables.accounts.rows[account.id]
    allowed = sum(
        min(0, entry.amount)
        for sequence in range(old.sequence + 1, account.sequence + 1)
        if _was_reserved_or_disputed(tables, entry := tables.entries.rows[account.id, sequence])
    )
    return account.available >= old.available + allowed


def _was_reserved_or_disputed(tables: Tables, entry: Entry) -> bool:
    if tables.transactions.rows[entry.transaction_id].kind in _DISPUTE_AND_REFUND:
        return True
    journal_transaction = tables.journal_transactions.rows.get(entry.transaction_id)
    return journal_transaction is not None and journal_transaction.expires_at is not None


_DISPUTE_AND_REFUND: Final = (TransactionKind.DISPUTE, TransactionKind.REFUND)
