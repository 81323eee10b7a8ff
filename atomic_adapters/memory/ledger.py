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

    def lock_free(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        # Who is here holds the whole store: nobody else can hold an account.
        return self.lock(ids)


@dataclass(frozen=True, slots=True)
class MemoryLedger:
    session: Session

    def record(self, posted: Posted) -> None:
        self._check_balanced(posted)
        self._add_transactions(posted)
        self._add_entries(posted)
        self._update_accounts(posted)

    def check(self) -> LedgerReport:
        return check_books(self.session.tables)

    def _check_balanced(self, posted: Posted) -> None:
        sums = Counter[UUID]()
        for entry in posted.entries:
            sums[entry.transaction_id] += entry.amount
        if any(sums.values()):
            raise StorageRefused("entries_must_balance")

    def _add_transactions(self, posted: Posted) -> None:
        tables = self.session.tables
        for row in posted.transactions:
            once = (row.payment_id, row.kind)
            if once in tables.posted.rows or row.id in tables.transactions.rows:
                raise StorageRefused("ledger_transactions_once_per_payment")
            if row.payment_id not in tables.payments.rows:
                raise StorageRefused("ledger_transactions_of_payment")
            tables.posted.put(once, row.id)
            tables.transactions.put(row.id, row)

    def _add_entries(self, posted: Posted) -> None:
        tables = self.session.tables
        for entry in posted.entries:
            place = (entry.account_id, entry.sequence)
            before = tables.entries.rows.get((entry.account_id, entry.sequence - 1))
            first = entry.sequence == 1
            continues = first or before is not None
            balance = before.balance_after if before else 0
            follows = continues and entry.balance_after == balance + entry.amount
            known = entry.transaction_id in tables.transactions.rows
            if place in tables.entries.rows or not follows or not known:
                raise StorageRefused("entries_must_balance")
            tables.entries.put(place, entry)

    def _update_accounts(self, posted: Posted) -> None:
        tables = self.session.tables
        for account in posted.accounts:
            low, high = account.bounds
            last = tables.entries.rows.get((account.id, account.sequence))
            tip = (account.balance, account.head)
            if last is None or (last.balance_after, last.hash) != tip:
                raise StorageRefused("account_must_follow_entries")
            if not low <= account.balance <= high:
                raise StorageRefused("accounts_balance_in_bounds")
            tables.accounts.put(account.id, account)
