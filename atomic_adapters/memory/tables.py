"""In-memory tables with rollback."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.audit_log import AuditEvent
from atomic_core.domain.balances import Snapshot, SnapshotProgress
from atomic_core.domain.credentials import Credentials, Session
from atomic_core.domain.dashboard import PaymentSum, build_sum
from atomic_core.domain.disputes import Dispute
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.events import Event, StreamEvent
from atomic_core.domain.fees import FeeSchedule
from atomic_core.domain.idempotency import IdempotencyRecord
from atomic_core.domain.journal import JournalTransaction
from atomic_core.domain.ledger import Entry, Hold, LedgerTransaction, TransactionKind
from atomic_core.domain.merchants import ApiKey, Merchant
from atomic_core.domain.network_events import NetworkEvent
from atomic_core.domain.payments import Payment
from atomic_core.domain.periods import ClosingBalance, Period
from atomic_core.domain.reconciliation import ReconciliationReport
from atomic_core.domain.refunds import Refund
from atomic_core.domain.webhooks import (
    Delivery,
    DeliveryAttempt,
    EndpointStatus,
    Health,
    WebhookEndpoint,
)
from atomic_core.ports.clock import Clock

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Journal:
    """How to undo each write since the last commit, the latest last."""

    undos: list[Callable[[], object]] = field(default_factory=list)

    def roll_back(self) -> None:
        while self.undos:
            self.undos.pop()()


@dataclass(slots=True)
class Table(Generic[K, V]):
    """Rows by primary key. Every write is recorded in the journal."""

    journal: Journal
    rows: dict[K, V] = field(default_factory=dict)

    def put(self, key: K, row: V) -> None:
        if key in self.rows:
            old = self.rows[key]
            self.journal.undos.append(lambda: self.rows.__setitem__(key, old))
        else:
            self.journal.undos.append(lambda: self.rows.pop(key))
        self.rows[key] = row

    def remove(self, key: K) -> None:
        old = self.rows.pop(key)
        self.journal.undos.append(lambda: self.rows.__setitem__(key, old))


@dataclass(frozen=True, slots=True)
class WorkItemRow(Generic[V]):
    """A payment or refund, and the state of its settlement."""

    item: V
    attempt: int
    faults: int
    due_at: datetime
    leased_until: datetime | None = None
    claimed_by: int | None = None
    reversal_reason: str | None = None
    interrupted_lease: datetime | None = None
    """When the lease of the claim before the current one ended; None if it was settled."""
    key_generation: int = 0
    sent_at: datetime | None = None
    """When the open step was last sent, or may have been."""
    is_doubt_reported: bool = False


@dataclass(frozen=True, slots=True)
class EventRow:
    event: Event
    at: datetime
    in_stream: StreamEvent | None
    """None if it is of the timeline only."""


@dataclass(frozen=True, slots=True)
class HoldRow:
    hold: Hold
    is_live: bool = True


@dataclass(frozen=True, slots=True)
class JournalHoldRow:
    amount: int
    """Credits are positive."""
    is_live: bool = True


@dataclass(frozen=True, slots=True)
class IdempotencyRow:
    record: IdempotencyRecord
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NetworkEventRow:
    event: NetworkEvent
    received_at: datetime
    due_at: datetime | None
    """None once it was acted on."""


@dataclass(frozen=True, slots=True)
class DisputeRow:
    dispute: Dispute
    due_at: datetime | None
    """None once it is closed."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    session: Session
    revoked: bool


@dataclass(frozen=True, slots=True)
class AuditEventRow:
    event: AuditEvent
    at: datetime


@dataclass(frozen=True, slots=True)
class EndpointRow:
    endpoint: WebhookEndpoint
    secret: bytes
    target: int
    target_at: datetime
    former_secret: bytes | None = None
    former_secret_until: datetime | None = None
    replays: int = 0
    retry_at: datetime | None = None
    claim: int = 0
    claimed_until: datetime | None = None
    claimed_by: int | None = None
    health: Health = Health()  # noqa: RUF009  immutable
    deleted_at: datetime | None = None

    @property
    def due_at(self) -> datetime | None:
        """As the generated column of webhook_endpoints."""
        endpoint = self.endpoint
        if endpoint.status is EndpointStatus.DISABLED or self.deleted_at is not None:
            return None
        if endpoint.is_ordered and self.retry_at is not None:
            since = self.retry_at
        elif endpoint.position < self.target:
            since = min(self.target_at, self.retry_at or self.target_at)
        elif self.retry_at is not None:
            since = self.retry_at
        else:
            return None
        waits = (self.claimed_until, self.health.paused_until)
        return max([since, *(until for until in waits if until is not None)])

    def get_former_secret(self, now: datetime) -> bytes | None:
        is_valid = self.former_secret_until is not None and self.former_secret_until > now
        return self.former_secret if is_valid else None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    delivery: Delivery
    retries: int


TotalKey = tuple[UUID, date, str, str]
"""Merchant, UTC day on which the payments were created, currency, status."""


class PaymentTable(Table[UUID, WorkItemRow[Payment]]):
    """Payments. Every write changes the totals of those that are not open."""

    def __init__(self, journal: Journal, totals: Table[TotalKey, PaymentSum]) -> None:
        super().__init__(journal)
        self._totals = totals

    def put(self, key: UUID, row: WorkItemRow[Payment]) -> None:
        if key in self.rows:
            self._add_to_total(self.rows[key].item, -1)
        super().put(key, row)
        self._add_to_total(row.item, 1)

    def _add_to_total(self, payment: Payment, sign: int) -> None:
        if payment.status.is_open:
            return
        key = get_total_key(payment)
        total = self._totals.rows.get(key, PaymentSum(key[3], key[2], 0, 0, 0, 0))
        self._totals.put(key, total.plus(build_sum(payment), sign))


def get_total_key(payment: Payment) -> TotalKey:
    day = payment.created_at.astimezone(UTC).date()
    return payment.merchant_id, day, payment.money.currency, payment.status.value


class Tables:
    """All tables, and the lock that a unit of work holds on them."""

    def __init__(self, clock: Clock, lock_timeout: timedelta) -> None:
        self.clock = clock
        self.lock_timeout = lock_timeout
        self.lock = threading.Lock()
        self.journal = Journal()
        self.live_workers: set[int] = set()
        """Worker ids. Not in the journal: registration is not part of a unit of work."""
        self.merchants: Table[UUID, Merchant] = Table(self.journal)
        self.keys: Table[bytes, ApiKey] = Table(self.journal)
        self.credentials: Table[str, Credentials] = Table(self.journal)
        self.sessions: Table[bytes, SessionRow] = Table(self.journal)
        self.audit_log: Table[UUID, AuditEventRow] = Table(self.journal)
        self.accounts: Table[UUID, Account] = Table(self.journal)
        self.transactions: Table[UUID, LedgerTransaction] = Table(self.journal)
        self.transaction_ids: Table[tuple[UUID, TransactionKind, UUID | None], UUID] = Table(
            self.journal
        )
        self.journal_transactions: Table[UUID, JournalTransaction] = Table(self.journal)
        """Without `reversed_by_id`, which follows from the others."""
        self.journal_holds: Table[tuple[UUID, UUID], JournalHoldRow] = Table(self.journal)
        """By transaction and account."""
        self.entries: Table[tuple[UUID, int], Entry] = Table(self.journal)
        self.balance_snapshots: Table[tuple[UUID, date], Snapshot] = Table(self.journal)
        self.snapshot_progress: Table[bool, SnapshotProgress] = Table(self.journal)
        """One row at most, under True."""
        self.periods: Table[UUID, Period] = Table(self.journal)
        self.closing_balances: Table[UUID, tuple[ClosingBalance, ...]] = Table(self.journal)
        """By period."""
        self.payment_totals: Table[TotalKey, PaymentSum] = Table(self.journal)
        self.payments = PaymentTable(self.journal, self.payment_totals)
        self.refunds: Table[UUID, WorkItemRow[Refund]] = Table(self.journal)
        self.disputes: Table[UUID, DisputeRow] = Table(self.journal)
        self.holds: Table[tuple[UUID, UUID | None], HoldRow] = Table(self.journal)
        self.events: Table[int, EventRow] = Table(self.journal)
        """By position, from 1."""
        self.event_counters: Table[UUID, int] = Table(self.journal)
        self.webhook_streams: Table[UUID, bool] = Table(self.journal)
        """Of merchants with an endpoint: whether the stream has grown."""
        self.webhook_endpoints: Table[UUID, EndpointRow] = Table(self.journal)
        self.webhook_deliveries: Table[tuple[UUID, int], DeliveryRow] = Table(self.journal)
        """By endpoint and sequence number."""
        self.webhook_attempts: Table[UUID, tuple[DeliveryAttempt, ...]] = Table(self.journal)
        """By delivery."""
        self.network_events: Table[tuple[str, str], NetworkEventRow] = Table(self.journal)
        """By network and id."""
        self.fees: Table[tuple[UUID, str], FeeSchedule] = Table(self.journal)
        self.idempotency: Table[tuple[UUID, str], IdempotencyRow] = Table(self.journal)
        self.reconciliations: Table[UUID, ReconciliationReport] = Table(self.journal)


class MemorySession:
    """One unit of work's exclusive access to the tables, from its first use of them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._has_lock = False
        self._has_ended = False

    @property
    def tables(self) -> Tables:
        """The tables, locked until the session ends. Raises StorageUnavailable if another unit of
        work holds the lock for longer than the lock time-out."""
        if self._has_ended:
            raise RuntimeError("this unit of work has ended")
        if not self._has_lock:
            wait = self._tables.lock_timeout.total_seconds()
            if not self._tables.lock.acquire(timeout=wait):
                raise StorageUnavailable
            self._has_lock = True
        return self._tables

    def commit(self) -> None:
        self.tables.journal.undos.clear()

    def end(self) -> None:
        """Undo uncommitted writes, and release the lock."""
        self._has_ended = True
        if self._has_lock:
            self._tables.journal.roll_back()
            self._has_lock = False
            self._tables.lock.release()
