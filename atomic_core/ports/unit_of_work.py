"""The unit of work: one database transaction with all repositories."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from atomic_core.ports.accounts import AccountRepository
from atomic_core.ports.admin_queries import AdminQueries
from atomic_core.ports.audit_log import AuditLogRepository
from atomic_core.ports.balances import BalanceRepository
from atomic_core.ports.dashboards import DashboardRepository
from atomic_core.ports.disputes import DisputeRepository
from atomic_core.ports.events import EventRepository
from atomic_core.ports.fees import FeeRepository
from atomic_core.ports.idempotency_keys import IdempotencyRepository
from atomic_core.ports.journal import JournalRepository
from atomic_core.ports.ledger import LedgerRepository
from atomic_core.ports.lists import ListQueries
from atomic_core.ports.merchants import MerchantRepository
from atomic_core.ports.network_events import NetworkEventRepository
from atomic_core.ports.payments import PaymentRepository
from atomic_core.ports.periods import PeriodRepository
from atomic_core.ports.reconciliation import ReconciliationRepository
from atomic_core.ports.refunds import RefundRepository
from atomic_core.ports.sessions import SessionRepository
from atomic_core.ports.webhooks import WebhookDeliveryRepository, WebhookEndpointRepository


class UnitOfWork(Protocol):
    """One transaction. Leaving its context without `commit()` rolls back every write."""

    @property
    def merchants(self) -> MerchantRepository: ...

    @property
    def accounts(self) -> AccountRepository: ...

    @property
    def ledger(self) -> LedgerRepository: ...

    @property
    def journal(self) -> JournalRepository: ...

    @property
    def balances(self) -> BalanceRepository: ...

    @property
    def periods(self) -> PeriodRepository: ...

    @property
    def payments(self) -> PaymentRepository: ...

    @property
    def refunds(self) -> RefundRepository: ...

    @property
    def disputes(self) -> DisputeRepository: ...

    @property
    def events(self) -> EventRepository: ...

    @property
    def network_events(self) -> NetworkEventRepository: ...

    @property
    def fees(self) -> FeeRepository: ...

    @property
    def lists(self) -> ListQueries: ...

    @property
    def admin_queries(self) -> AdminQueries: ...

    @property
    def idempotency(self) -> IdempotencyRepository: ...

    @property
    def sessions(self) -> SessionRepository: ...

    @property
    def audit_log(self) -> AuditLogRepository: ...

    @property
    def dashboard(self) -> DashboardRepository: ...

    @property
    def webhook_endpoints(self) -> WebhookEndpointRepository: ...

    @property
    def webhook_deliveries(self) -> WebhookDeliveryRepository: ...

    @property
    def reconciliation(self) -> ReconciliationRepository: ...

    def now(self) -> datetime:
        """The current time of the database's clock, in UTC. Ledger timestamps come from here."""
        ...

    def commit(self) -> None:
        """Commit every write.

        Raises StorageUnavailable if the connection is lost before the database responds: the
        writes may then be committed, and a retry must detect them.
        """
        ...


class UnitOfWorkFactory(Protocol):
    def __call__(self) -> AbstractContextManager[UnitOfWork]:
        """Begin a unit of work. Raises StorageUnavailable."""
        ...
