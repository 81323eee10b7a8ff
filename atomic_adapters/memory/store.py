"""The unit of work in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from atomic_adapters.memory.admin_queries import MemoryAdminQueries
from atomic_adapters.memory.balances import MemoryBalanceRepository
from atomic_adapters.memory.dashboard import MemoryDashboardRepository
from atomic_adapters.memory.disputes import MemoryDisputeRepository
from atomic_adapters.memory.events import MemoryEventRepository
from atomic_adapters.memory.fees import MemoryFeeRepository
from atomic_adapters.memory.idempotency import MemoryIdempotencyRepository
from atomic_adapters.memory.journal import MemoryJournalRepository
from atomic_adapters.memory.ledger import MemoryAccountRepository, MemoryLedgerRepository
from atomic_adapters.memory.lists import MemoryListQueries
from atomic_adapters.memory.merchants import MemoryMerchantRepository
from atomic_adapters.memory.network_events import MemoryNetworkEventRepository
from atomic_adapters.memory.payments import MemoryPaymentRepository
from atomic_adapters.memory.periods import MemoryPeriodRepository
from atomic_adapters.memory.reconciliation import MemoryReconciliationRepository
from atomic_adapters.memory.refunds import MemoryRefundRepository
from atomic_adapters.memory.sessions import MemoryAuditLogRepository, MemorySessionRepository
from atomic_adapters.memory.tables import MemorySession, Tables
from atomic_adapters.memory.webhook_deliveries import MemoryWebhookDeliveryRepository
from atomic_adapters.memory.webhook_endpoints import MemoryWebhookEndpointRepository
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup
from atomic_core.ports.clock import Clock

LOCK_TIMEOUT: Final = timedelta(seconds=3)
"""As LOCK_TIMEOUT_SECONDS for PostgreSQL."""


class MemoryUnitOfWork:
    def __init__(self, session: MemorySession) -> None:
        self._session = session
        self.merchants = MemoryMerchantRepository(session)
        self.accounts = MemoryAccountRepository(session)
        self.ledger = MemoryLedgerRepository(session)
        self.journal = MemoryJournalRepository(session)
        self.balances = MemoryBalanceRepository(session)
        self.periods = MemoryPeriodRepository(session)
        self.payments = MemoryPaymentRepository(session)
        self.refunds = MemoryRefundRepository(session)
        self.disputes = MemoryDisputeRepository(session)
        self.events = MemoryEventRepository(session)
        self.network_events = MemoryNetworkEventRepository(session)
        self.fees = MemoryFeeRepository(session)
        self.lists = MemoryListQueries(session)
        self.admin_queries = MemoryAdminQueries(session)
        self.idempotency = MemoryIdempotencyRepository(session)
        self.sessions = MemorySessionRepository(session)
        self.audit_log = MemoryAuditLogRepository(session)
        self.dashboard = MemoryDashboardRepository(session)
        self.webhook_endpoints = MemoryWebhookEndpointRepository(session)
        self.webhook_deliveries = MemoryWebhookDeliveryRepository(session)
        self.reconciliation = MemoryReconciliationRepository(session)

    def now(self) -> datetime:
        return self._session.tables.clock.now()

    def commit(self) -> None:
        self.webhook_endpoints.mark_streams_due(self.events.flush())
        self._session.commit()


class MemoryStore:
    """A `PaymentStore` port; `begin` is a `UnitOfWorkFactory` port."""

    def __init__(self, clock: Clock, lock_timeout: timedelta = LOCK_TIMEOUT) -> None:
        self.tables = Tables(clock, lock_timeout)

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        try:
            with self.begin() as work:
                inserted = work.payments.insert(inserts)
                work.commit()
        except StorageRefused:
            return [None] * len(inserts)
        return inserted

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        with self.begin() as work:
            return work.payments.find(lookups)

    @contextmanager
    def begin(self) -> Iterator[MemoryUnitOfWork]:
        session = MemorySession(self.tables)
        try:
            yield MemoryUnitOfWork(session)
        finally:
            session.end()
