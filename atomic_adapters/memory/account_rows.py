"""Writes of account rows, with the checks of PostgreSQL's constraints."""

from collections.abc import Collection, Iterator

from atomic_adapters.memory.tables import Tables
from atomic_core.domain.accounts import MAX_BALANCE, Account, AccountStatus
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.ledger import Entry, TransactionKind


def put_account(tables: Tables, account: Account) -> None:
    low, high = account.balance_bounds
    is_covered = low <= account.available or _may_be_overdrawn(tables, account)
    is_in_bounds = is_covered and (
        account.balance + account.pending_in <= high or _may_be_overfilled(tables, account)
    )
    if not is_in_bounds or account.pending_in < 0 or account.pending_out < 0:
        raise StorageRefused("accounts_balance_in_bounds")
    old = tables.accounts.rows.get(account.id, account)
    if account.status is not AccountStatus.OPEN and (
        account.pending_in > old.pending_in or account.pending_out > old.pending_out
    ):
        raise StorageRefused("accounts_reserve_while_open")
    tables.accounts.put(account.id, account)


def check_limits(account: Account) -> None:
    low, high = account.balance_bounds
    if not -MAX_BALANCE <= low <= 0 <= high <= MAX_BALANCE:
        raise StorageRefused("accounts_limits")


def check_postable(tables: Tables, entry: Entry) -> None:
    """Refuses an entry of an account that is not OPEN, unless the network has moved the money
    already: of a dispute, or of what a hold had reserved."""
    if tables.accounts.rows[entry.account_id].status is AccountStatus.OPEN:
        return
    transaction = tables.transactions.rows[entry.transaction_id]
    if transaction.kind in (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL):
        return
    if (transaction.payment_id, transaction.refund_id) not in tables.holds.rows:
        raise StorageRefused("entries_of_open_accounts")


def _may_be_overdrawn(tables: Tables, account: Account) -> bool:
    """Whether no less of the account is available than before, but for what disputes have debited.
    A debit of what was reserved follows the release of its hold: both are one change."""
    if account.merchant_id is None:
        return False
    old = tables.accounts.rows[account.id]
    kinds = (TransactionKind.DISPUTE, TransactionKind.REFUND)
    allowed = sum(min(0, amount) for amount in _list_reserved(tables, old, account, kinds))
    return account.available >= old.available + allowed


def _may_be_overfilled(tables: Tables, account: Account) -> bool:
    """The same for the room that is left below the limit, and reversals of disputes."""
    if account.merchant_id is None or account.balance + account.pending_in > MAX_BALANCE:
        return False
    old = tables.accounts.rows[account.id]
    kinds = (TransactionKind.DISPUTE_REVERSAL, TransactionKind.PAYMENT)
    allowed = sum(max(0, amount) for amount in _list_reserved(tables, old, account, kinds))
    return account.balance + account.pending_in <= old.balance + old.pending_in + allowed


def _list_reserved(
    tables: Tables, old: Account, account: Account, kinds: Collection[TransactionKind]
) -> Iterator[int]:
    """The amounts of the new entries of these kinds, and of pending journal transactions. Of
    payments only those that a hold had reserved."""
    for sequence in range(old.sequence + 1, account.sequence + 1):
        entry = tables.entries.rows[account.id, sequence]
        transaction = tables.transactions.rows[entry.transaction_id]
        is_charge = (
            transaction.kind is TransactionKind.PAYMENT
            and (transaction.payment_id, None) not in tables.holds.rows
        )
        journal_transaction = tables.journal_transactions.rows.get(entry.transaction_id)
        was_pending = journal_transaction is not None and journal_transaction.expires_at is not None
        if was_pending or (transaction.kind in kinds and not is_charge):
            yield entry.amount
