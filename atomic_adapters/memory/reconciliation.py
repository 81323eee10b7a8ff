"""What reconciliation reads of the ledger, and its reports, in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.accounts import AccountType
from atomic_core.domain.ledger import LedgerTransaction, TransactionKind
from atomic_core.domain.reconciliation import BookedPayment, Posting, ReconciliationReport

DISPUTE_KINDS = (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL)
POSTED_KINDS = (TransactionKind.PAYMENT, TransactionKind.REFUND, *DISPUTE_KINDS)


@dataclass(frozen=True, slots=True)
class MemoryReconciliationRepository:
    session: MemorySession

    def list_postings(self, payment_ids: Sequence[UUID]) -> Sequence[Posting]:
        requested = set(payment_ids)
        return [
            self._build_posting(transaction)
            for transaction in self._list_transactions()
            if self._get_payment_id(transaction) in requested
        ]

    def list_posted(
        self, network: str, begin: datetime, end: datetime, after: UUID | None, limit: int
    ) -> Sequence[Posting]:
        payments = self.session.tables.payments.rows
        found = [
            transaction
            for transaction in self._list_transactions()
            if begin <= transaction.posted_at < end
            and payments[self._get_payment_id(transaction)].item.network == network
            and (after is None or transaction.id > after)
        ]
        found.sort(key=lambda transaction: transaction.id)
        return [self._build_posting(transaction) for transaction in found[:limit]]

    def list_payments(self, payment_ids: Sequence[UUID]) -> Sequence[BookedPayment]:
        rows = self.session.tables.payments.rows
        found = sorted(id for id in set(payment_ids) if id in rows)
        return [self._build_payment(id) for id in found]

    def add(self, report: ReconciliationReport) -> bool:
        rows = self.session.tables.reconciliations
        if report.is_scheduled and any(
            (kept.network, kept.end) == (report.network, report.end)
            for kept in rows.rows.values()
            if kept.is_scheduled
        ):
            return False
        rows.put(report.id, report)
        return True

    def get(self, report_id: UUID) -> ReconciliationReport | None:
        return self.session.tables.reconciliations.rows.get(report_id)

    def list(self, limit: int) -> Sequence[ReconciliationReport]:
        reports = self.session.tables.reconciliations.rows.values()
        return sorted(reports, key=lambda row: (row.created_at, row.id), reverse=True)[:limit]

    def get_last_scheduled(self, network: str) -> ReconciliationReport | None:
        reports = [
            report
            for report in self.session.tables.reconciliations.rows.values()
            if report.network == network and report.is_scheduled
        ]
        return max(reports, key=lambda report: report.end, default=None)

    def _list_transactions(self) -> Iterator[LedgerTransaction]:
        for transaction in self.session.tables.transactions.rows.values():
            if transaction.kind in POSTED_KINDS:
                yield transaction

    def _get_payment_id(self, transaction: LedgerTransaction) -> UUID:
        """Of a dispute's ledger transaction, too: its subject is the dispute."""
        if transaction.kind not in DISPUTE_KINDS:
            return transaction.payment_id
        return self.session.tables.disputes.rows[transaction.payment_id].dispute.payment_id

    def _build_posting(self, transaction: LedgerTransaction) -> Posting:
        tables = self.session.tables
        [(amount, currency)] = [
            (-entry.amount, account.currency)
            for entry in tables.entries.rows.values()
            if entry.transaction_id == transaction.id
            and (account := tables.accounts.rows[entry.account_id]).merchant_id is None
            and account.type == AccountType.ASSET
        ]
        is_dispute = transaction.kind in DISPUTE_KINDS
        return Posting(
            transaction.id,
            self._get_payment_id(transaction),
            transaction.refund_id,
            amount,
            currency,
            tables.disputes.rows[transaction.payment_id].dispute.network_reference
            if is_dispute
            else None,
        )

    def _build_payment(self, payment_id: UUID) -> BookedPayment:
        tables = self.session.tables
        payment = tables.payments.rows[payment_id].item
        postings = self.list_postings([payment_id])
        open_refunds = sorted(
            row.item.id
            for row in tables.refunds.rows.values()
            if row.item.payment_id == payment_id and row.item.status.is_open
        )
        return BookedPayment(
            payment_id,
            payment.merchant_id,
            payment.network,
            payment.network_reference,
            payment.status,
            payment.money.currency,
            sum(posting.amount for posting in postings),
            [*([payment_id] if payment.status.is_open else []), *open_refunds],
        )
