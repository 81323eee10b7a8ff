"""Accounts and the books in memory, with the refusals of the real ones."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from atomic_adapters.memory.ledger_verification import verify_ledger
from atomic_adapters.memory.tables import HoldRow, MemorySession
from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.ledger import Entry, Hold, Posted, PostedTransaction
from atomic_core.domain.ledger_verification import LedgerReport


@dataclass(frozen=True, slots=True)
class MemoryAccountRepository:
    session: MemorySession

    def open(self, id: UUID, merchant_id: UUID, name: str, currency: str) -> Account:
        tables = self.session.tables
        if merchant_id not in tables.merchants.rows or id in tables.accounts.rows:
            raise StorageRefused("accounts_merchant_id_fkey, accounts_pkey")
        self.open_system_accounts(currency)
        account = Account.opened(id, merchant_id, name, currency, tables.clock.now())
        tables.accounts.put(id, account)
        return account

    def open_system_accounts(self, currency: str) -> None:
        tables = self.session.tables
        now = tables.clock.now()
        for account in (Account.world(currency, now), Account.fees(currency, now)):
            if account.id not in tables.accounts.rows:
                tables.accounts.put(account.id, account)

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
class MemoryLedgerRepository:
    session: MemorySession

    def record(self, posted: Posted) -> None:
        self._check_balanced(posted)
        for hold in posted.released:
            self._release(hold)
        self._add_transactions(posted)
        self._add_entries(posted)
        self._update_accounts(posted)
        for hold in posted.placed:
            self._place(hold)

    def of_payment(self, payment_id: UUID) -> Sequence[PostedTransaction]:
        tables = self.session.tables
        transactions = [
            transaction
            for transaction in tables.transactions.rows.values()
            if transaction.payment_id == payment_id
        ]
        transactions.sort(key=lambda transaction: (transaction.posted_at, transaction.id))
        return [PostedTransaction(each, self._entries_of(each.id)) for each in transactions]

    def _entries_of(self, transaction_id: UUID) -> Sequence[Entry]:
        entries = self.session.tables.entries.rows.values()
        found = [entry for entry in entries if entry.transaction_id == transaction_id]
        return sorted(found, key=lambda entry: (entry.amount, entry.account_id))

    def check(self) -> LedgerReport:
        return verify_ledger(self.session.tables)

    def _check_balanced(self, posted: Posted) -> None:
        sums = Counter[UUID]()
        for entry in posted.entries:
            sums[entry.transaction_id] += entry.amount
        if any(sums.values()):
            raise StorageRefused("entries_must_balance")

    def _add_transactions(self, posted: Posted) -> None:
        tables = self.session.tables
        for row in posted.transactions:
            once = (row.payment_id, row.kind, row.refund_id)
            if once in tables.posted.rows or row.id in tables.transactions.rows:
                raise StorageRefused("ledger_transactions_once_per_payment")
            refund = tables.refunds.rows.get(row.refund_id) if row.refund_id else None
            if row.payment_id not in tables.payments.rows or (
                row.refund_id and (refund is None or refund.refund.payment_id != row.payment_id)
            ):
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
            last = tables.entries.rows.get((account.id, account.sequence))
            tip = (account.balance, account.head)
            if last is None or (last.balance_after, last.hash) != tip:
                raise StorageRefused("account_must_follow_entries")
            now = tables.accounts.rows[account.id]
            moved = replace(
                now, balance=account.balance, sequence=account.sequence, head=account.head
            )
            self._put(moved)

    def _release(self, hold: Hold) -> None:
        tables = self.session.tables
        key = (hold.payment_id, hold.refund_id)
        row = tables.holds.rows.get(key)
        if row is None or not row.live or row.hold != hold:
            raise StorageRefused("a hold could not be let go of")
        tables.holds.put(key, HoldRow(hold, live=False))
        self._pend(hold, -hold.amount)

    def _place(self, hold: Hold) -> None:
        tables = self.session.tables
        key = (hold.payment_id, hold.refund_id)
        if key in tables.holds.rows:
            raise StorageRefused("holds_once")
        tables.holds.put(key, HoldRow(hold))
        self._pend(hold, hold.amount)

    def _pend(self, hold: Hold, amount: int) -> None:
        rows = self.session.tables.accounts.rows
        debited = rows[hold.debit_account_id]
        self._put(replace(debited, pending_out=debited.pending_out + amount))
        credited = rows[hold.credit_account_id]
        self._put(replace(credited, pending_in=credited.pending_in + amount))

    def _put(self, account: Account) -> None:
        low, high = account.bounds
        fits = low <= account.available and account.balance + account.pending_in <= high
        if not fits or account.pending_in < 0 or account.pending_out < 0:
            raise StorageRefused("accounts_balance_in_bounds")
        self.session.tables.accounts.put(account.id, account)
