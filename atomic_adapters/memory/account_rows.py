"""Writes of account rows, with the checks of PostgreSQL's constraints."""

from atomic_adapters.memory.tables import Tables
from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import StorageRefused


def put_account(tables: Tables, account: Account) -> None:
    low, high = account.balance_bounds
    is_in_bounds = low <= account.available and account.balance + account.pending_in <= high
    if not is_in_bounds or account.pending_in < 0 or account.pending_out < 0:
        raise StorageRefused("accounts_balance_in_bounds")
    tables.accounts.put(account.id, account)
