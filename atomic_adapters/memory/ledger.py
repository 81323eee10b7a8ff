"""Accounts and the ledger in memory, with the checks of PostgreSQL's constraints and triggers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from atomic_adapters.memory.account_rows import check_limits, check_postable, put_account
from atomic_adapters.memory.ledger_verification import verify_ledger
from atomic_adapters.memory.tables import HoldRow, MemorySession
from atomic_core.domain.accounts import (
    DEFAULT_TERMS,
    Account,
    AccountStatus,
    AccountTerms,
    AccountType,
)
from atomic_core.domain.disputes import DisputeStatus, build_opening, build_reversal
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.journal import JournalStatus
from atomic_core.domain.ledger import (
    Entry,
    Hold,
    LedgerTransaction,
    PostedTransaction,
    TransactionKind,
)
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.domain.posting import PostingResult


@dataclass(frozen=True, slots=True)
class MemoryAccountRepository:
    session: MemorySession

    def open(
        self,
        id: UUID,
        merchant_id: UUID,
        name: str,
        currency: str,
        terms: AccountTerms = DEFAULT_TERMS,
    ) -> Account:
        tables = self.session.tables
        if merchant_id not in tables.merchants.rows or id in tables.accounts.rows:
            raise StorageRefused("accounts_merchant_id_fkey, accounts_pkey")
        external_id = terms.external_id
        if external_id is not None and self.find_by_external_id(merchant_id, external_id):
            raise StorageRefused("accounts_external_id")
        self.open_system_accounts(currency)
        account = Account.new_merchant_account(
            id, merchant_id, name, currency, tables.clock.now(), terms
        )
        check_limits(account)
        tables.accounts.put(id, account)
        return account

    def update(self, account: Account) -> Account:
        tables = self.session.tables
        stored = tables.accounts.rows[account.id]
        changed_at = stored.status_changed_at
        if account.status is not stored.status:
            if account.status is AccountStatus.CLOSED and not stored.is_empty:
                raise StorageRefused("accounts_are_closed_empty")
            now = tables.clock.now()
            changed_at = max(now, stored.last_posted_at or now)
        updated = replace(
            stored,
            name=account.name,
            metadata=account.metadata,
            status=account.status,
            status_changed_at=changed_at,
        )
        tables.accounts.put(account.id, updated)
        return updated

    def find_by_external_id(self, merchant_id: UUID, external_id: str) -> UUID | None:
        rows = self.session.tables.accounts.rows.values()
        key = (merchant_id, external_id)
        return next((row.id for row in rows if (row.merchant_id, row.external_id) == key), None)

    def open_system_accounts(self, currency: str) -> None:
        tables = self.session.tables
        now = tables.clock.now()
        for account in (
            Account.new_world_account(currency, now),
            Account.new_fee_account(currency, now),
        ):
            if account.id not in tables.accounts.rows:
                tables.accounts.put(account.id, account)

    def get(self, merchant_id: UUID, account_id: UUID) -> Account | None:
        account = self.session.tables.accounts.rows.get(account_id)
        return account if account and account.merchant_id == merchant_id else None

    def get_default_account(self, merchant_id: UUID, currency: str) -> Account | None:
        key = (merchant_id, currency, AccountType.LIABILITY)
        candidates = [
            account
            for account in self.session.tables.accounts.rows.values()
            if (account.merchant_id, account.currency, account.type) == key
        ]
        candidates.sort(key=_get_order_of_payments)
        return candidates[0] if candidates else None

    def lock(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        rows = self.session.tables.accounts.rows
        return {id: rows[id] for id in sorted(ids) if id in rows}

    def lock_owned(self, merchant_id: UUID, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        accounts = self.lock(ids)
        return {
            id: account for id, account in accounts.items() if account.merchant_id == merchant_id
        }

    def lock_available(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        # A unit of work locks the whole store, so no other can have locked an account.
        return self.lock(ids)


def _get_order_of_payments(account: Account) -> tuple[bool, datetime, UUID]:
    return account.status is AccountStatus.CLOSED, account.created_at, account.id


@dataclass(frozen=True, slots=True)
class MemoryLedgerRepository:
    session: MemorySession

    def save(self, result: PostingResult) -> None:
        self._check_balanced(result)
        for hold in result.released_holds:
            self._release_hold(hold)
        self._add_transactions(result)
        self._add_entries(result)
        self._update_accounts(result)
        for hold in result.placed_holds:
            self._place_hold(hold)

    def list_by_payment(self, payment_id: UUID) -> Sequence[PostedTransaction]:
        tables = self.session.tables
        transactions = [
            transaction
            for transaction in tables.transactions.rows.values()
            if transaction.payment_id == payment_id
        ]
        # A refund can have the time of its payment, and an earlier id: ids follow another clock.
        transactions.sort(key=lambda row: (row.posted_at, row.refund_id is not None, row.id))
        return [PostedTransaction(row, self._get_entries(row.id)) for row in transactions]

    def _get_entries(self, transaction_id: UUID) -> Sequence[Entry]:
        entries = self.session.tables.entries.rows.values()
        of_transaction = [entry for entry in entries if entry.transaction_id == transaction_id]
        return sorted(of_transaction, key=lambda entry: (entry.amount, entry.account_id))

    def verify(self) -> LedgerReport:
        return verify_ledger(self.session.tables)

    def _check_balanced(self, result: PostingResult) -> None:
        sums = Counter[UUID]()
        for entry in result.entries:
            sums[entry.transaction_id] += entry.amount
        if any(sums.values()):
            raise StorageRefused("entries_must_balance")

    def _add_transactions(self, result: PostingResult) -> None:
        tables = self.session.tables
        for row in result.transactions:
            key = (row.payment_id, row.kind, row.refund_id)
            if key in tables.transaction_ids.rows or row.id in tables.transactions.rows:
                raise StorageRefused("ledger_transactions_once_per_payment")
            refund = tables.refunds.rows.get(row.refund_id) if row.refund_id else None
            if row.kind is TransactionKind.JOURNAL:
                self._check_journal(row, result)
            elif row.kind in (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL):
                self._check_dispute(row, result)
            elif row.payment_id not in tables.payments.rows or (
                row.refund_id and (refund is None or refund.item.payment_id != row.payment_id)
            ):
                raise StorageRefused("ledger_transactions_of_payment")
            tables.transaction_ids.put(key, row.id)
            tables.transactions.put(row.id, row)

    def _check_journal(self, row: LedgerTransaction, result: PostingResult) -> None:
        tables = self.session.tables
        transaction = tables.journal_transactions.rows.get(row.id)
        is_posted = transaction is not None and transaction.status is JournalStatus.POSTED
        if transaction is None or not is_posted or row.payment_id != row.id:
            raise StorageRefused("ledger_transactions_of_payment")
        owners = {
            tables.accounts.rows[entry.account_id].merchant_id for entry in transaction.entries
        }
        requested = {
            (entry.account_id, entry.posted_amount)
            for entry in transaction.entries
            if entry.posted_amount
        }
        posted = {
            (entry.account_id, entry.amount)
            for entry in result.entries
            if entry.transaction_id == row.id
        }
        if requested != posted or owners != {transaction.merchant_id}:
            raise StorageRefused("journal_matches_ledger")

    def _check_dispute(self, row: LedgerTransaction, result: PostingResult) -> None:
        found = self.session.tables.disputes.rows.get(row.payment_id)
        dispute = found and found.dispute
        is_opening = row.kind is TransactionKind.DISPUTE
        if dispute is None or (not is_opening and dispute.status is not DisputeStatus.WON):
            raise StorageRefused("ledger_transactions_of_payment")
        build = build_opening if is_opening else build_reversal
        posted = [
            (entry.account_id, entry.amount)
            for entry in result.entries
            if entry.transaction_id == row.id
        ]
        if sorted(posted) != sorted(build(dispute, row.id).legs):
            raise StorageRefused("disputes_match_ledger")

    def _add_entries(self, result: PostingResult) -> None:
        tables = self.session.tables
        for entry in result.entries:
            key = (entry.account_id, entry.sequence)
            previous = tables.entries.rows.get((entry.account_id, entry.sequence - 1))
            has_predecessor = entry.sequence == 1 or previous is not None
            balance = previous.balance_after if previous else 0
            is_next = has_predecessor and entry.balance_after == balance + entry.amount
            has_transaction = entry.transaction_id in tables.transactions.rows
            if has_transaction:
                check_postable(tables, entry)
            if key in tables.entries.rows or not is_next or not has_transaction:
                raise StorageRefused("entries_must_balance")
            if previous and self._get_time(entry) < self._get_time(previous):
                raise StorageRefused("entries_in_order_of_time")
            tables.entries.put(key, entry)

    def _get_time(self, entry: Entry) -> datetime:
        return self.session.tables.transactions.rows[entry.transaction_id].posted_at

    def _update_accounts(self, result: PostingResult) -> None:
        tables = self.session.tables
        for account in result.accounts:
            last = tables.entries.rows.get((account.id, account.sequence))
            if last is None or (last.balance_after, last.hash) != (account.balance, account.head):
                raise StorageRefused("account_must_follow_entries")
            updated = replace(
                tables.accounts.rows[account.id],
                balance=account.balance,
                sequence=account.sequence,
                head=account.head,
                last_posted_at=account.last_posted_at,
            )
            put_account(tables, updated)

    def _release_hold(self, hold: Hold) -> None:
        tables = self.session.tables
        key = (hold.payment_id, hold.refund_id)
        row = tables.holds.rows.get(key)
        if row is None or not row.is_live or row.hold != hold:
            raise StorageRefused("no such live hold to release")
        tables.holds.put(key, HoldRow(hold, is_live=False))
        self._apply_pending(hold, -hold.amount)

    def _place_hold(self, hold: Hold) -> None:
        tables = self.session.tables
        key = (hold.payment_id, hold.refund_id)
        if key in tables.holds.rows:
            raise StorageRefused("holds_once")
        tables.holds.put(key, HoldRow(hold))
        self._apply_pending(hold, hold.amount)

    def _apply_pending(self, hold: Hold, amount: int) -> None:
        tables = self.session.tables
        debited = tables.accounts.rows[hold.debit_account_id]
        put_account(tables, replace(debited, pending_out=debited.pending_out + amount))
        credited = tables.accounts.rows[hold.credit_account_id]
        put_account(tables, replace(credited, pending_in=credited.pending_in + amount))
