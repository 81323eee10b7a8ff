"""Accounts and the books in memory, with the refusals of the real ones."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from atomic_adapters.memory.audit import check_books
from atomic_adapters.memory.table import Session
from atomic_core.domain.audit import LedgerReport
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.ledger import Account, Posted, world_account_id


@dataclass(frozen=True, slots=True)
class MemoryAccounts:
    session: Session

    def open(self, id: UUID, merchant_id: UUID, name: str, currency: str) -> Account:
        tables = self.session.tables
        if merchant_id not in tables.merchants.rows or id in tables.accounts.rows:
            raise StorageRefused("accounts_merchant_id_fkey, accounts_pkey")
        self.open_world(currency)
        account = Account.opened(id, merchant_id, name, currency, tables.clock.now())
        tables.accounts.put(id, account)
        return account

    def open_world(self, currency: str) -> None:
        tables = self.session.tables
        if world_account_id(currency) not in tables.accounts.rows:
            world = Account.world(currency, tables.clock.now())
            tables.accounts.put(world.id, world)

    def get(self, merchant_id: UUID, account_id: UUID) -> Account | None:
        account = self.session.tables.accounts.rows.get(account_id)
        return account if account and account.merchant_id == merchant_id else None

    def credited(self, merchant_id: UUID, currency: str) -> UUID | None:
        accounts = self.session.tables.accounts.rows.values()
        candidates = [
            (account.created_at, account.id)
            for account in accounts
            if (account.merchant_id, account.currency) == (merchant_id, currency)
        ]
        return min(candidates)[1] if candidates else None

    def lock(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        rows = self.session.tables.accounts.rows
        return {id: rows[id] for id in sorted(ids) if id in rows}


@dataclass(frozen=True, slots=True)
class MemoryLedger:
    session: Session

    def record(self, posted: Posted) -> None:
        tables = self.session.tables
        sums = Counter[UUID]()
        for entry in posted.entries:
            sums[entry.transaction_id] += entry.amount
        if any(sums.values()) or sums.keys() != {row.id for row in posted.transactions}:
            raise StorageRefused("a ledger transaction does not balance")
        for row in posted.transactions:
            once = (row.payment_id, row.kind)
            if once in tables.posted.rows or row.id in tables.transactions.rows:
                raise StorageRefused("ledger_transactions_once_per_payment")
            tables.posted.put(once, row.id)
            tables.transactions.put(row.id, row)
        for entry in posted.entries:
            place = (entry.account_id, entry.sequence)
            if place in tables.entries.rows:
                raise StorageRefused("entries_pkey")
            tables.entries.put(place, entry)
        for account in posted.accounts:
            low, high = account.bounds
            last = tables.entries.rows.get((account.id, account.sequence))
            if not low <= account.balance <= high or last is None or last.hash != account.head:
                raise StorageRefused("an account does not follow from its entries")
            tables.accounts.put(account.id, account)

    def check(self) -> LedgerReport:
        return check_books(self.session.tables)
