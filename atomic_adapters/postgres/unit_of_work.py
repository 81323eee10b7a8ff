"""The unit of work: one transaction, and the repositories inside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from atomic_adapters.postgres.admin_queries import PostgresAdminQueries
from atomic_adapters.postgres.audit_log import PostgresAuditLogRepository
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.dashboard import PostgresDashboardRepository
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.events import PostgresEventRepository
from atomic_adapters.postgres.fees import PostgresFeeRepository
from atomic_adapters.postgres.idempotency import PostgresIdempotencyRepository
from atomic_adapters.postgres.ledger import PostgresAccountRepository, PostgresLedgerRepository
from atomic_adapters.postgres.lists import PostgresListQueries
from atomic_adapters.postgres.merchants import PostgresMerchantRepository
from atomic_adapters.postgres.migration_files import get_migration_ids
from atomic_adapters.postgres.payments import PostgresPaymentRepository
from atomic_adapters.postgres.refunds import PostgresRefundRepository
from atomic_adapters.postgres.sessions import PostgresSessionRepository
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.errors import IdempotencyKeyInUse, StorageRefused, StorageUnavailable
from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup

_SQL: Final = load_statements("unit_of_work")


class PostgresUnitOfWork:
    """A `UnitOfWork` port: READ COMMITTED, with explicit row locks where order matters."""

    def __init__(self, session: DatabaseSession) -> None:
        self._session = session
        self.merchants = PostgresMerchantRepository(session)
        self.accounts = PostgresAccountRepository(session)
        self.ledger = PostgresLedgerRepository(session)
        self.payments = PostgresPaymentRepository(session)
        self.refunds = PostgresRefundRepository(session)
        self.events = PostgresEventRepository(session)
        self.fees = PostgresFeeRepository(session)
        self.lists = PostgresListQueries(session)
        self.admin_queries = PostgresAdminQueries(session)
        self.idempotency = PostgresIdempotencyRepository(session)
        self.sessions = PostgresSessionRepository(session)
        self.audit_log = PostgresAuditLogRepository(session)
        self.dashboard = PostgresDashboardRepository(session)

    def now(self) -> datetime:
        return self._session.fetch_one(_SQL["read_clock"])[0]

    def commit(self) -> None:
        self._session.commit()


PAYMENT_STORE_LOCK_TIMEOUT: Final = timedelta(milliseconds=100)
"""How long a batch waits for a concurrent use of one of its Idempotency-Keys, which usually takes a
few milliseconds. The whole batch waits; afterwards its payments are inserted one by one, each with
the full lock time-out."""


class PostgresStore:
    """A `PaymentStore` and a `Dependency` port; `begin` is a `UnitOfWorkFactory` port."""

    name = "postgres"
    is_required = True

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @contextmanager
    def begin(self) -> Iterator[PostgresUnitOfWork]:
        with self._connections.transaction() as connection:
            yield PostgresUnitOfWork(DatabaseSession(connection))

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        try:
            with self._connections.autocommit() as connection:
                payments = PostgresPaymentRepository(DatabaseSession(connection))
                return payments.insert(inserts, PAYMENT_STORE_LOCK_TIMEOUT)
        except (IdempotencyKeyInUse, StorageRefused):
            # Nothing was inserted. Callers retry alone and get the error of their own payment.
            return [None] * len(inserts)

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        with self._connections.autocommit() as connection:
            return PostgresPaymentRepository(DatabaseSession(connection)).find(lookups)

    def is_up(self) -> bool:
        """Whether PostgreSQL responds, accepts writes and has all migrations of this code."""
        try:
            with self._connections.transaction() as connection:
                return DatabaseSession(connection).fetch_one(
                    _SQL["is_ready"], ids=get_migration_ids()
                )[0]
        except StorageUnavailable:
            return False

    def close(self) -> None:
        self._connections.close()
