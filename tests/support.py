"""Helpers of many tests: stores, tampering with their data, applications and builders."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import psycopg

from atomic_adapters.event_reader import BatchedEventReader
from atomic_adapters.event_signal import PollingEventSignal
from atomic_adapters.memory.services import (
    AlwaysUpDependency,
    CurrentSchema,
    MemoryBreakerStates,
    MemoryJobQueue,
    MemoryRateLimiter,
    MemorySecretCipher,
    MemoryWebhookSender,
)
from atomic_adapters.memory.tables import Tables
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.networks.sandbox_disputes import SandboxDisputes
from atomic_adapters.security.api_key_cache import LruApiKeyCache
from atomic_adapters.security.api_key_usage import DirectApiKeyUsage
from atomic_adapters.security.argon2_password_hasher import MINIMAL_PARAMETERS, Argon2PasswordHasher
from atomic_adapters.security.common_passwords import CommonPasswords
from atomic_adapters.system import Sha256Hasher, SystemClock, SystemIdGenerator
from atomic_core.application import Application, LaneOptions, Options, Ports
from atomic_core.domain.accounts import AccountStatus
from atomic_core.domain.balances import Snapshot
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.disputes import Dispute
from atomic_core.domain.idempotency import IdempotentRequest
from atomic_core.domain.journal import JournalStatus
from atomic_core.domain.ledger import TransactionKind
from atomic_core.domain.money import Money
from atomic_core.domain.payments import (
    DEFAULT_ACTION_PERIOD,
    DEFAULT_HOLD_PERIOD,
    InsertedPayment,
    NewPayment,
    Payment,
    PaymentInsert,
    PaymentLookup,
    Status,
)
from atomic_core.domain.settlement import DEFAULT_NETWORK_PATIENCE
from atomic_core.ports.breaker_states import BreakerStates
from atomic_core.ports.card_network import CardNetwork
from atomic_core.ports.dispute_network import DisputeNetwork
from atomic_core.ports.job_queue import JobQueue
from atomic_core.ports.network_event_verifier import NetworkEventVerifier
from atomic_core.ports.network_statement import NetworkStatement
from atomic_core.ports.payment_store import PaymentStore
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.ports.webhook_sender import WebhookSender
from atomic_core.ports.worker_liveness import WorkerLiveness
from atomic_core.use_cases import ledger
from atomic_core.use_cases.in_doubt import DEFAULT_IN_DOUBT_ALARM
from worker_processes import UnregisteredWorker, WorkerProcess

T = TypeVar("T")

DEPTH: Final = int(os.environ.get("TEST_DEPTH", "1"))
"""How many times as many examples the tests use as they need to catch the mutants: `make
test-deep` sets 4."""

IDS = SystemIdGenerator()
HOUR = timedelta(hours=1)
NOW = timedelta(0)


class Tampering(Protocol):
    """Changes stored rows directly, with the database's guards off, to test ledger verification."""

    def set_balance(self, account_id: UUID, balance: int) -> None: ...
    def set_entry_amount(self, account_id: UUID, sequence: int, amount: int) -> None: ...
    def set_entry_hash(self, account_id: UUID, sequence: int, hash: bytes) -> None: ...
    def delete_entry(self, account_id: UUID, sequence: int) -> None: ...
    def set_status(self, payment_id: UUID, status: Status) -> None: ...
    def set_amount(self, payment_id: UUID, amount: int) -> None: ...
    def add_empty_transaction(self, transaction_id: UUID, payment_id: UUID) -> None: ...
    def delete_payment(self, payment_id: UUID) -> None: ...
    def delete_payment_transaction(self, payment_id: UUID) -> None: ...
    def move_posting(self, payment_id: UUID, other_id: UUID) -> None: ...
    def set_owner(self, account_id: UUID, merchant_id: UUID) -> None: ...
    def set_pending(self, account_id: UUID, incoming: int, outgoing: int) -> None: ...
    def set_account_status(
        self, account_id: UUID, status: AccountStatus, changed_at: datetime
    ) -> None: ...
    def set_limits(self, account_id: UUID, low: int | None, high: int | None) -> None: ...
    def move_entry(self, account_id: UUID, sequence: int, to_account_id: UUID) -> None: ...
    def set_hold_amount(self, payment_id: UUID, amount: int) -> None: ...
    def delete_hold(self, payment_id: UUID) -> None: ...
    def set_fee(self, payment_id: UUID, fee: int) -> None: ...
    def set_refund_status(self, refund_id: UUID, status: Status) -> None: ...
    def set_refunded(self, payment_id: UUID, refunded: int, reserved: int) -> None: ...
    def swap_refund_postings(self, payment_id: UUID, first_id: UUID, second_id: UUID) -> None: ...
    def set_posted_at(self, transaction_id: UUID, at: datetime) -> None: ...
    def set_last_posted_at(self, account_id: UUID, at: datetime | None) -> None: ...
    def change_total(self, merchant_id: UUID, status: Status, refunded: int) -> None:
        """Add to the refunded amount of a merchant's only total of this status."""
        ...

    def delete_totals(self, merchant_id: UUID) -> None: ...

    def set_effective_at(self, transaction_id: UUID, at: datetime) -> None: ...
    def set_journal_amount(self, transaction_id: UUID, account_id: UUID, amount: int) -> None: ...
    def set_journal_owner(self, transaction_id: UUID, merchant_id: UUID) -> None: ...
    def set_journal_status(self, transaction_id: UUID, status: JournalStatus) -> None: ...
    def set_journal_hold(self, transaction_id: UUID, account_id: UUID, amount: int) -> None: ...
    def delete_journal_holds(self, transaction_id: UUID) -> None: ...
    def set_expires_at(self, transaction_id: UUID, at: datetime) -> None: ...
    def set_reverses(self, transaction_id: UUID, reverses_id: UUID) -> None: ...
    def delete_journal_transaction(self, transaction_id: UUID) -> None: ...
    def delete_ledger_transaction(self, transaction_id: UUID) -> None: ...

    def change_dispute(self, dispute: Dispute) -> None:
        """Store the dispute with this id so."""
        ...

    def set_snapshot(self, account_id: UUID, day: date, sequence: int, balance: int) -> None: ...
    def set_closing_balance(self, period_id: UUID, sequence: int, balance: int) -> None: ...
    def set_digest(self, period_id: UUID, digest: bytes) -> None: ...

    def age_events(self, merchant_id: UUID, up_to: int, by: timedelta) -> None:
        """Make a merchant's events older up to this sequence number, and all of timelines."""
        ...


@dataclass(frozen=True)
class Store:
    begin: UnitOfWorkFactory
    tampering: Tampering
    payment_store: PaymentStore
    start_worker: Callable[[], WorkerProcess]
    """Registers another worker process. It ends with the test at the latest."""


@dataclass(frozen=True)
class UnitOfWorkPaymentStore:
    """A PaymentStore of plain units of work, for stores that a test has wrapped."""

    begin: UnitOfWorkFactory

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        with self.begin() as work:
            inserted_payments = work.payments.insert(inserts)
            work.commit()
        return inserted_payments

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        with self.begin() as work:
            return work.payments.find(lookups)


class MemoryTampering:
    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def set_balance(self, account_id: UUID, balance: int) -> None:
        rows = self.tables.accounts.rows
        rows[account_id] = replace(rows[account_id], balance=balance)

    def set_entry_amount(self, account_id: UUID, sequence: int, amount: int) -> None:
        rows = self.tables.entries.rows
        rows[account_id, sequence] = rows[account_id, sequence]._replace(amount=amount)

    def set_entry_hash(self, account_id: UUID, sequence: int, hash: bytes) -> None:
        rows = self.tables.entries.rows
        rows[account_id, sequence] = rows[account_id, sequence]._replace(hash=hash)

    def delete_entry(self, account_id: UUID, sequence: int) -> None:
        del self.tables.entries.rows[account_id, sequence]

    def set_status(self, payment_id: UUID, status: Status) -> None:
        rows = self.tables.payments.rows
        reason = "because" if status is Status.FAILED else None
        payment = replace(rows[payment_id].item, status=status, failure_reason=reason)
        rows[payment_id] = replace(rows[payment_id], item=payment)

    def set_amount(self, payment_id: UUID, amount: int) -> None:
        rows = self.tables.payments.rows
        payment = rows[payment_id].item
        payment = replace(payment, money=Money(amount, payment.money.currency))
        rows[payment_id] = replace(rows[payment_id], item=payment)

    def add_empty_transaction(self, transaction_id: UUID, payment_id: UUID) -> None:
        transaction = next(iter(self.tables.transactions.rows.values()))
        self.tables.transactions.rows[transaction_id] = transaction._replace(
            id=transaction_id, payment_id=payment_id
        )
        self.tables.transaction_ids.rows[payment_id, TransactionKind.PAYMENT, None] = transaction_id

    def delete_payment(self, payment_id: UUID) -> None:
        del self.tables.payments.rows[payment_id]

    def delete_payment_transaction(self, payment_id: UUID) -> None:
        del self.tables.transactions.rows[
            self.tables.transaction_ids.rows.pop((payment_id, TransactionKind.PAYMENT, None))
        ]

    def set_effective_at(self, transaction_id: UUID, at: datetime) -> None:
        rows = self.tables.transactions.rows
        rows[transaction_id] = rows[transaction_id]._replace(effective_at=at)

    def set_journal_amount(self, transaction_id: UUID, account_id: UUID, amount: int) -> None:
        rows = self.tables.journal_transactions.rows
        entries = [
            entry._replace(amount=amount) if entry.account_id == account_id else entry
            for entry in rows[transaction_id].entries
        ]
        rows[transaction_id] = replace(rows[transaction_id], entries=entries)

    def set_journal_status(self, transaction_id: UUID, status: JournalStatus) -> None:
        rows = self.tables.journal_transactions.rows
        rows[transaction_id] = replace(rows[transaction_id], status=status)

    def set_journal_hold(self, transaction_id: UUID, account_id: UUID, amount: int) -> None:
        rows = self.tables.journal_holds.rows
        rows[transaction_id, account_id] = replace(rows[transaction_id, account_id], amount=amount)

    def delete_journal_holds(self, transaction_id: UUID) -> None:
        rows = self.tables.journal_holds.rows
        for key in [key for key in rows if key[0] == transaction_id]:
            del rows[key]

    def set_expires_at(self, transaction_id: UUID, at: datetime) -> None:
        rows = self.tables.journal_transactions.rows
        rows[transaction_id] = replace(rows[transaction_id], expires_at=at)

    def set_journal_owner(self, transaction_id: UUID, merchant_id: UUID) -> None:
        rows = self.tables.journal_transactions.rows
        rows[transaction_id] = replace(rows[transaction_id], merchant_id=merchant_id)

    def set_reverses(self, transaction_id: UUID, reverses_id: UUID) -> None:
        rows = self.tables.journal_transactions.rows
        rows[transaction_id] = replace(rows[transaction_id], reverses_id=reverses_id)

    def delete_journal_transaction(self, transaction_id: UUID) -> None:
        del self.tables.journal_transactions.rows[transaction_id]

    def delete_ledger_transaction(self, transaction_id: UUID) -> None:
        del self.tables.transactions.rows[transaction_id]

    def change_dispute(self, dispute: Dispute) -> None:
        rows = self.tables.disputes.rows
        rows[dispute.id] = replace(rows[dispute.id], dispute=dispute)

    def set_snapshot(self, account_id: UUID, day: date, sequence: int, balance: int) -> None:
        rows = self.tables.balance_snapshots.rows
        rows[account_id, day] = Snapshot(account_id, day, sequence, balance)

    def set_closing_balance(self, period_id: UUID, sequence: int, balance: int) -> None:
        rows = self.tables.closing_balances.rows
        rows[period_id] = tuple(
            row._replace(balance=balance) if row.sequence == sequence else row
            for row in rows[period_id]
        )

    def set_digest(self, period_id: UUID, digest: bytes) -> None:
        rows = self.tables.periods.rows
        rows[period_id] = replace(rows[period_id], digest=digest)

    def move_posting(self, payment_id: UUID, other_id: UUID) -> None:
        id = self.tables.transaction_ids.rows.pop((payment_id, TransactionKind.PAYMENT, None))
        self.tables.transaction_ids.rows[other_id, TransactionKind.PAYMENT, None] = id
        rows = self.tables.transactions.rows
        rows[id] = rows[id]._replace(payment_id=other_id)

    def set_owner(self, account_id: UUID, merchant_id: UUID) -> None:
        rows = self.tables.accounts.rows
        rows[account_id] = replace(rows[account_id], merchant_id=merchant_id)

    def set_account_status(
        self, account_id: UUID, status: AccountStatus, changed_at: datetime
    ) -> None:
        rows = self.tables.accounts.rows
        rows[account_id] = replace(rows[account_id], status=status, status_changed_at=changed_at)

    def set_limits(self, account_id: UUID, low: int | None, high: int | None) -> None:
        rows = self.tables.accounts.rows
        rows[account_id] = replace(rows[account_id], min_balance=low, max_balance=high)

    def move_entry(self, account_id: UUID, sequence: int, to_account_id: UUID) -> None:
        rows = self.tables.entries.rows
        entry = rows.pop((account_id, sequence))
        rows[to_account_id, sequence] = entry._replace(account_id=to_account_id)

    def set_pending(self, account_id: UUID, incoming: int, outgoing: int) -> None:
        rows = self.tables.accounts.rows
        changed = replace(rows[account_id], pending_in=incoming, pending_out=outgoing)
        rows[account_id] = changed

    def set_hold_amount(self, payment_id: UUID, amount: int) -> None:
        rows = self.tables.holds.rows
        row = rows[payment_id, None]
        rows[payment_id, None] = replace(row, hold=row.hold._replace(amount=amount))

    def delete_hold(self, payment_id: UUID) -> None:
        del self.tables.holds.rows[payment_id, None]

    def set_fee(self, payment_id: UUID, fee: int) -> None:
        rows = self.tables.payments.rows
        rows[payment_id] = replace(rows[payment_id], item=replace(rows[payment_id].item, fee=fee))

    def set_refund_status(self, refund_id: UUID, status: Status) -> None:
        rows = self.tables.refunds.rows
        reason = "because" if status is Status.FAILED else None
        refund = replace(rows[refund_id].item, status=status, failure_reason=reason)
        rows[refund_id] = replace(rows[refund_id], item=refund)

    def set_refunded(self, payment_id: UUID, refunded: int, reserved: int) -> None:
        rows = self.tables.payments.rows
        payment = rows[payment_id].item
        payment = replace(payment, amount_refunded=refunded, refunds_reserved=reserved)
        rows[payment_id] = replace(rows[payment_id], item=payment)

    def swap_refund_postings(self, payment_id: UUID, first_id: UUID, second_id: UUID) -> None:
        ids, rows = self.tables.transaction_ids.rows, self.tables.transactions.rows
        keys = [
            (payment_id, TransactionKind.REFUND, refund_id) for refund_id in (first_id, second_id)
        ]
        ids[keys[0]], ids[keys[1]] = ids[keys[1]], ids[keys[0]]
        for _, _, refund_id in keys:
            id = ids[payment_id, TransactionKind.REFUND, refund_id]
            rows[id] = rows[id]._replace(refund_id=refund_id)

    def set_posted_at(self, transaction_id: UUID, at: datetime) -> None:
        rows = self.tables.transactions.rows
        rows[transaction_id] = rows[transaction_id]._replace(posted_at=at)

    def set_last_posted_at(self, account_id: UUID, at: datetime | None) -> None:
        rows = self.tables.accounts.rows
        rows[account_id] = replace(rows[account_id], last_posted_at=at)

    def change_total(self, merchant_id: UUID, status: Status, refunded: int) -> None:
        rows = self.tables.payment_totals.rows
        [key] = [key for key in rows if (key[0], key[3]) == (merchant_id, status)]
        rows[key] = replace(rows[key], refunded=rows[key].refunded + refunded)

    def delete_totals(self, merchant_id: UUID) -> None:
        rows = self.tables.payment_totals.rows
        for key in [key for key in rows if key[0] == merchant_id]:
            del rows[key]

    def age_events(self, merchant_id: UUID, up_to: int, by: timedelta) -> None:
        rows = self.tables.events.rows
        for key, row in rows.items():
            event = row.in_stream
            if row.event.merchant_id == merchant_id and (not event or event.sequence <= up_to):
                rows[key] = replace(row, at=row.at - by)


class PostgresTampering:
    def __init__(self, url: str) -> None:
        self.url = url

    def _write(self, statement: bytes, *parameters: object, rows: int = 1) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")
            assert connection.execute(statement, parameters).rowcount == rows

    def set_balance(self, account_id: UUID, balance: int) -> None:
        self._write(b"UPDATE accounts SET balance = %s WHERE id = %s", balance, account_id)

    def set_entry_amount(self, account_id: UUID, sequence: int, amount: int) -> None:
        statement = b"UPDATE entries SET amount = %s WHERE account_id = %s AND sequence = %s"
        self._write(statement, amount, account_id, sequence)

    def set_entry_hash(self, account_id: UUID, sequence: int, hash: bytes) -> None:
        statement = b"UPDATE entries SET hash = %s WHERE account_id = %s AND sequence = %s"
        self._write(statement, hash, account_id, sequence)

    def delete_entry(self, account_id: UUID, sequence: int) -> None:
        statement = b"DELETE FROM entries WHERE account_id = %s AND sequence = %s"
        self._write(statement, account_id, sequence)

    def set_status(self, payment_id: UUID, status: Status) -> None:
        reason = "because" if status is Status.FAILED else None
        statement = b"UPDATE payments SET status = %s, failure_reason = %s WHERE id = %s"
        self._write(statement, status.value, reason, payment_id)

    def set_amount(self, payment_id: UUID, amount: int) -> None:
        self._write(b"UPDATE payments SET amount = %s WHERE id = %s", amount, payment_id)

    def add_empty_transaction(self, transaction_id: UUID, payment_id: UUID) -> None:
        statement = b"INSERT INTO ledger_transactions VALUES (%s, %s, 'payment', now())"
        self._write(statement, transaction_id, payment_id)

    def delete_payment(self, payment_id: UUID) -> None:
        self._write(b"DELETE FROM payments WHERE id = %s", payment_id)

    def delete_payment_transaction(self, payment_id: UUID) -> None:
        self._write(b"DELETE FROM ledger_transactions WHERE payment_id = %s", payment_id)

    def move_posting(self, payment_id: UUID, other_id: UUID) -> None:
        statement = b"UPDATE ledger_transactions SET payment_id = %s WHERE payment_id = %s"
        self._write(statement, other_id, payment_id)

    def set_owner(self, account_id: UUID, merchant_id: UUID) -> None:
        self._write(b"UPDATE accounts SET merchant_id = %s WHERE id = %s", merchant_id, account_id)

    def set_account_status(
        self, account_id: UUID, status: AccountStatus, changed_at: datetime
    ) -> None:
        statement = b"UPDATE accounts SET status = %s, status_changed_at = %s WHERE id = %s"
        self._write(statement, status.value, changed_at, account_id)

    def set_limits(self, account_id: UUID, low: int | None, high: int | None) -> None:
        statement = b"UPDATE accounts SET min_balance = %s, max_balance = %s WHERE id = %s"
        self._write(statement, low, high, account_id)

    def move_entry(self, account_id: UUID, sequence: int, to_account_id: UUID) -> None:
        statement = b"UPDATE entries SET account_id = %s WHERE account_id = %s AND sequence = %s"
        self._write(statement, to_account_id, account_id, sequence)

    def set_pending(self, account_id: UUID, incoming: int, outgoing: int) -> None:
        statement = b"UPDATE accounts SET pending_in = %s, pending_out = %s WHERE id = %s"
        self._write(statement, incoming, outgoing, account_id)

    def set_hold_amount(self, payment_id: UUID, amount: int) -> None:
        self._write(b"UPDATE holds SET amount = %s WHERE payment_id = %s", amount, payment_id)

    def delete_hold(self, payment_id: UUID) -> None:
        self._write(b"DELETE FROM holds WHERE payment_id = %s", payment_id)

    def set_fee(self, payment_id: UUID, fee: int) -> None:
        self._write(b"UPDATE payments SET fee_amount = %s WHERE id = %s", fee, payment_id)

    def set_refund_status(self, refund_id: UUID, status: Status) -> None:
        reason = "because" if status is Status.FAILED else None
        statement = b"UPDATE refunds SET status = %s, failure_reason = %s WHERE id = %s"
        self._write(statement, status.value, reason, refund_id)

    def set_refunded(self, payment_id: UUID, refunded: int, reserved: int) -> None:
        statement = b"UPDATE payments SET amount_refunded = %s, refunds_reserved = %s WHERE id = %s"
        self._write(statement, refunded, reserved, payment_id)

    def swap_refund_postings(self, payment_id: UUID, first_id: UUID, second_id: UUID) -> None:
        # In three steps, because refund_id is unique.
        statement = b"UPDATE ledger_transactions SET refund_id = %s WHERE refund_id = %s"
        self._write(statement, payment_id, first_id)
        self._write(statement, first_id, second_id)
        self._write(statement, second_id, payment_id)

    def set_posted_at(self, transaction_id: UUID, at: datetime) -> None:
        statement = b"UPDATE ledger_transactions SET posted_at = %s WHERE id = %s"
        self._write(statement, at, transaction_id)

    def set_last_posted_at(self, account_id: UUID, at: datetime | None) -> None:
        self._write(b"UPDATE accounts SET last_posted_at = %s WHERE id = %s", at, account_id)

    def set_effective_at(self, transaction_id: UUID, at: datetime) -> None:
        statement = b"UPDATE journal_transactions SET effective_at = %s WHERE id = %s"
        self._write(statement, at, transaction_id)

    def set_journal_amount(self, transaction_id: UUID, account_id: UUID, amount: int) -> None:
        statement = b"""
            UPDATE journal_entries SET amount = %s WHERE transaction_id = %s AND account_id = %s"""
        self._write(statement, amount, transaction_id, account_id)

    def set_journal_status(self, transaction_id: UUID, status: JournalStatus) -> None:
        statement = b"""
            UPDATE journal_transactions
               SET status = %s, resolved_at = CASE WHEN %s = 'PENDING' THEN NULL ELSE now() END,
                   effective_at = coalesce(effective_at, now())
             WHERE id = %s"""
        self._write(statement, status.value, status.value, transaction_id)

    def set_journal_hold(self, transaction_id: UUID, account_id: UUID, amount: int) -> None:
        statement = b"""
            UPDATE journal_holds SET amount = %s WHERE transaction_id = %s AND account_id = %s"""
        self._write(statement, amount, transaction_id, account_id)

    def delete_journal_holds(self, transaction_id: UUID) -> None:
        statement = b"DELETE FROM journal_holds WHERE transaction_id = %s"
        self._write(statement, transaction_id, rows=2)

    def set_expires_at(self, transaction_id: UUID, at: datetime) -> None:
        statement = b"UPDATE journal_transactions SET expires_at = %s WHERE id = %s"
        self._write(statement, at, transaction_id)

    def set_journal_owner(self, transaction_id: UUID, merchant_id: UUID) -> None:
        statement = b"UPDATE journal_transactions SET merchant_id = %s WHERE id = %s"
        self._write(statement, merchant_id, transaction_id)

    def set_reverses(self, transaction_id: UUID, reverses_id: UUID) -> None:
        statement = b"UPDATE journal_transactions SET reverses_id = %s WHERE id = %s"
        self._write(statement, reverses_id, transaction_id)

    def delete_journal_transaction(self, transaction_id: UUID) -> None:
        self._write(b"DELETE FROM journal_transactions WHERE id = %s", transaction_id)

    def delete_ledger_transaction(self, transaction_id: UUID) -> None:
        self._write(b"DELETE FROM ledger_transactions WHERE id = %s", transaction_id)

    def change_dispute(self, dispute: Dispute) -> None:
        statement = b"""UPDATE disputes
                           SET (merchant_id, payment_id, account_id, network, status, amount, fee,
                                fee_returned, closed_at, due_at)
                               = (%s, %s, %s, %s, %s, %s, %s, %s,
                                  CASE WHEN %s THEN now() END, CASE WHEN NOT %s THEN now() END)
                         WHERE id = %s"""
        owners = (dispute.merchant_id, dispute.payment_id, dispute.account_id, dispute.network)
        amounts = (dispute.money.amount, dispute.fee, dispute.fee_returned)
        is_final = dispute.status.is_final
        values = (*owners, dispute.status.value, *amounts, is_final, is_final, dispute.id)
        self._write(statement, *values)

    def set_snapshot(self, account_id: UUID, day: date, sequence: int, balance: int) -> None:
        statement = b"""UPDATE balance_snapshots SET sequence = %s, balance = %s
                         WHERE account_id = %s AND day = %s"""
        self._write(statement, sequence, balance, account_id, day)

    def set_closing_balance(self, period_id: UUID, sequence: int, balance: int) -> None:
        statement = b"""
            UPDATE closing_balances SET balance = %s WHERE period_id = %s AND sequence = %s"""
        self._write(statement, balance, period_id, sequence)

    def set_digest(self, period_id: UUID, digest: bytes) -> None:
        self._write(b"UPDATE ledger_periods SET digest = %s WHERE id = %s", digest, period_id)

    def change_total(self, merchant_id: UUID, status: Status, refunded: int) -> None:
        # One row, whatever the slots.
        statement = b"""
            UPDATE payment_totals SET refunded = refunded + %s
             WHERE ctid = (SELECT min(ctid) FROM payment_totals
                            WHERE merchant_id = %s AND status = %s)"""
        self._write(statement, refunded, merchant_id, status.value)

    def delete_totals(self, merchant_id: UUID) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("DELETE FROM payment_totals WHERE merchant_id = %s", (merchant_id,))

    def age_events(self, merchant_id: UUID, up_to: int, by: timedelta) -> None:
        # Ids begin with the time.
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(
                "UPDATE events SET occurred_at = occurred_at - %(by)s, id = (lpad(to_hex(("
                "extract(epoch FROM occurred_at - %(by)s) * 1000)::bigint), 12, '0')"
                " || substr(replace(id::text, '-', ''), 13))::uuid"
                " WHERE merchant_id = %(merchant_id)s"
                "   AND (sequence IS NULL OR sequence <= %(up_to)s)",
                {"merchant_id": merchant_id, "up_to": up_to, "by": by},
            )


def build_application(
    begin: UnitOfWorkFactory,
    card_network: CardNetwork | None = None,
    job_queue: JobQueue | None = None,
    batch_size: int = 1_000,
    lease: timedelta = HOUR,
    payment_store: PaymentStore | None = None,
    worker_liveness: WorkerLiveness | None = None,
    hold_period: timedelta = DEFAULT_HOLD_PERIOD,
    network_timeout: timedelta = HOUR,
    network_patience: timedelta = DEFAULT_NETWORK_PATIENCE,
    webhook_sender: WebhookSender | None = None,
    card_networks: Mapping[str, CardNetwork] | None = None,
    lanes: Mapping[str, LaneOptions] = MappingProxyType({}),
    default_network: str = DEFAULT_NETWORK,
    breaker_states: BreakerStates | None = None,
    network_event_verifiers: Mapping[str, NetworkEventVerifier] = MappingProxyType({}),
    statements: Mapping[str, NetworkStatement] = MappingProxyType({}),
    in_doubt_alarm: timedelta = DEFAULT_IN_DOUBT_ALARM,
    action_period: timedelta = DEFAULT_ACTION_PERIOD,
    dispute_networks: Mapping[str, DisputeNetwork] = MappingProxyType({}),
) -> Application:
    """The application on a store, with all other ports in memory."""
    clock = SystemClock()
    ports = Ports(
        begin=begin,
        worker_liveness=worker_liveness or UnregisteredWorker(),
        delivery_liveness=worker_liveness or UnregisteredWorker(),
        payment_store=payment_store or UnitOfWorkPaymentStore(begin),
        event_reader=BatchedEventReader(begin),
        event_signal=PollingEventSignal(begin, connections=10),
        clock=clock,
        ids=IDS,
        key_hasher=Sha256Hasher(),
        api_key_cache=LruApiKeyCache(),
        api_key_usage=DirectApiKeyUsage(begin),
        password_hasher=Argon2PasswordHasher(MINIMAL_PARAMETERS),
        password_blocklist=CommonPasswords(),
        job_queue=job_queue or MemoryJobQueue(),
        rate_limiter=MemoryRateLimiter(clock),
        card_networks=card_networks or {DEFAULT_NETWORK: card_network or SandboxCardNetwork()},
        webhook_sender=webhook_sender or MemoryWebhookSender(),
        secret_cipher=MemorySecretCipher(),
        breaker_states=breaker_states or MemoryBreakerStates(),
        network_event_verifiers=network_event_verifiers,
        dependencies=[AlwaysUpDependency("postgres")],
        schema_version=CurrentSchema(),
        statements=statements,
        dispute_networks=dispute_networks or {DEFAULT_NETWORK: SandboxDisputes(NOW)},
    )
    options = Options(
        batch_size,
        lease,
        hold_period,
        network_timeout,
        network_patience,
        action_period=action_period,
        in_doubt_alarm=in_doubt_alarm,
        default_network=default_network,
        lanes=lanes,
    )
    return Application(ports, options)


def with_use_cases(application: Application, replacements: Mapping[str, Any]) -> Application:
    """A copy of the application with use cases or ports replaced. Keys are paths such as
    "ledger.verify" or "job_queue"."""
    copied = copy(application)
    for path, replacement in replacements.items():
        group, _, name = path.rpartition(".")
        if group:
            setattr(copied, group, copy(getattr(copied, group)))
        owner = getattr(copied, group) if group else copied
        if not hasattr(owner, name):
            raise AttributeError(path)
        setattr(owner, name, replacement)
    return copied


def add_merchant(begin: UnitOfWorkFactory, name: str = "Shop") -> UUID:
    merchant_id = IDS.new_id()
    with begin() as work:
        work.merchants.add(merchant_id, name)
        work.commit()
    return merchant_id


def open_account(begin: UnitOfWorkFactory, merchant_id: UUID, currency: str = "USD") -> UUID:
    with begin() as work:
        new_account = ledger.NewAccount(merchant_id, f"Shop {currency}", currency)
        account = ledger.open_account(work, IDS, new_account)
        work.commit()
    return account.id


def add_payment(work: UnitOfWork, new_payment: NewPayment, id: UUID | None = None) -> Payment:
    """Insert a payment of a merchant with an account in its currency. Does not commit."""
    insert = PaymentInsert(id or IDS.new_id(), new_payment)
    [inserted] = work.payments.insert([insert])
    assert inserted
    return insert.to_payment(inserted)


def find_payment(work: UnitOfWork, merchant_id: UUID, payment_id: UUID) -> Payment | None:
    [payment] = work.payments.find([PaymentLookup(merchant_id, payment_id)])
    return payment


def build_payment(merchant_id: UUID, amount: int = 5_000, source: str = "tok_visa") -> NewPayment:
    return NewPayment(merchant_id, Money(amount, "USD"), source)


def build_request(
    merchant_id: UUID,
    key: str = "key-1",
    path: str = "/payments",
    fingerprint: bytes = bytes(32),
    retention: timedelta = HOUR,
) -> IdempotentRequest:
    return IdempotentRequest(merchant_id, key, "POST", path, fingerprint, retention)


def run_concurrently(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Run all actions concurrently, each in its own thread; return their results in order."""
    with ThreadPoolExecutor(len(actions)) as threads:
        return [future.result() for future in [threads.submit(action) for action in actions]]


def number_parameters(statement: bytes) -> tuple[bytes, list[str]]:
    """Replace named parameters by $1, $2 …; also return their names in that order."""
    names: list[str] = []

    def number(match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        if name not in names:
            names.append(name)
        return b"$%d" % (names.index(name) + 1)

    return re.sub(rb"%\((\w+)\)[sb]", number, statement).replace(b"%%", b"%"), names
