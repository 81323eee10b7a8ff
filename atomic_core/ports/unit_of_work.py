"""All or nothing."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from atomic_core.ports.accounts import AccountRepository
from atomic_core.ports.admin_queries import AdminQueries
from atomic_core.ports.audit_log import AuditLogRepository
from atomic_core.ports.dashboards import DashboardRepository
from atomic_core.ports.events import EventRepository
from atomic_core.ports.fees import FeeRepository
from atomic_core.ports.idempotency_keys import IdempotencyRepository
from atomic_core.ports.ledger import LedgerRepository
from atomic_core.ports.lists import ListQueries
from atomic_core.ports.merchants import MerchantRepository
from atomic_core.ports.payments import PaymentRepository
from atomic_core.ports.refunds import RefundRepository
from atomic_core.ports.sessions import SessionRepository


class UnitOfWork(Protocol):
    """One transaction. Leaving it without `commit()` undoes every write in it."""

    @property
    def merchants(self) -> MerchantRepository: ...

    @property
    def accounts(self) -> AccountRepository: ...

    @property
    def ledger(self) -> LedgerRepository: ...

    @property
    def payments(self) -> PaymentRepository: ...

    @property
    def refunds(self) -> RefundRepository: ...

    @property
    def events(self) -> EventRepository: ...

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

    def now(self) -> datetime:
        """The store's clock at this moment, in UTC. Money's times come from here."""
        ...

    def commit(self) -> None:
        """Make every write durable.

        Raises StorageUnavailable when the answer was lost: the writes may then have been
        made, and whoever asks again must be able to find them.
        """
        ...


class UnitOfWorkFactory(Protocol):
    """Begin a unit of work."""

    def __call__(self) -> AbstractContextManager[UnitOfWork]: ...
