"""The unit of work: one transaction, and the repositories inside it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from atomic_adapters.postgres.admin_queries import PostgresAdminQueries
from atomic_adapters.postgres.audit_log import PostgresAuditLogRepository
from atomic_adapters.postgres.balances import PostgresBalanceRepository
from atomic_adapters.postgres.connections import Connections, map_errors
from atomic_adapters.postgres.dashboard import PostgresDashboardRepository
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.disputes import PostgresDisputeRepository
from atomic_adapters.postgres.events import PostgresEventRepository
from atomic_adapters.postgres.fees import PostgresFeeRepository
from atomic_adapters.postgres.idempotency import PostgresIdempotencyRepository
from atomic_adapters.postgres.journal import PostgresJournalRepository
from atomic_adapters.postgres.ledger import PostgresAccountRepository, PostgresLedgerRepository
from atomic_adapters.postgres.lists import PostgresListQueries
from atomic_adapters.postgres.merchants import PostgresMerchantRepository
from atomic_adapters.postgres.migration_files import get_migration_ids
from atomic_adapters.postgres.network_events import PostgresNetworkEventRepository
from atomic_adapters.postgres.payments import PostgresPaymentRepository
from atomic_adapters.postgres.periods import PostgresPeriodRepository
from atomic_adapters.postgres.reconciliation import PostgresReconciliationRepository
from atomic_adapters.postgres.refunds import PostgresRefundRepository
from atomic_adapters.postgres.sessions import PostgresSessionRepository
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.postgres.webhook_deliveries import PostgresWebhookDeliveryRepository
from atomic_adapters.postgres.webhook_endpoints import PostgresWebhookEndpointRepository
from atomic_core.domain.errors import (
    AtomicError,
    IdempotencyKeyInUse,
    SchemaOutdated,
    StorageRefused,
)
from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup

log = structlog.get_logger(__name__)

_SQL: Final = load_statements("unit_of_work")


class PostgresUnitOfWork:
    """A `UnitOfWork` port: READ COMMITTED, with explicit row locks where order matters."""

    def __init__(self, session: DatabaseSession) -> None:
        self._session = session
        self.merchants = PostgresMerchantRepository(session)
        self.accounts = PostgresAccountRepository(session)
        self.ledger = PostgresLedgerRepository(session)
        self.journal = PostgresJournalRepository(session)
        self.balances = PostgresBalanceRepository(session)
        self.periods = PostgresPeriodRepository(session)
        self.payments = PostgresPaymentRepository(session)
        self.refunds = PostgresRefundRepository(session)
        self.disputes = PostgresDisputeRepository(session)
        self.events = PostgresEventRepository(session)
        self.network_events = PostgresNetworkEventRepository(session)
        self.fees = PostgresFeeRepository(session)
        self.lists = PostgresListQueries(session)
        self.admin_queries = PostgresAdminQueries(session)
        self.idempotency = PostgresIdempotencyRepository(session)
        self.sessions = PostgresSessionRepository(session)
        self.audit_log = PostgresAuditLogRepository(session)
        self.dashboard = PostgresDashboardRepository(session)
        self.webhook_endpoints = PostgresWebhookEndpointRepository(session)
        self.webhook_deliveries = PostgresWebhookDeliveryRepository(session)
        self.reconciliation = PostgresReconciliationRepository(session)

    def now(self) -> datetime:
        return self._session.fetch_one(_SQL["read_clock"])[0]

    def commit(self) -> None:
        # Last: it locks the streams of the merchants.
        if grown := self.events.flush():
            self.webhook_endpoints.mark_streams_due(grown)
        self._session.commit()


PAYMENT_STORE_LOCK_TIMEOUT: Final = timedelta(milliseconds=100)
"""How long a batch waits for a concurrent use of one of its Idempotency-Keys, which usually takes a
few milliseconds. The whole batch waits; afterwards each merchant's payments are inserted apart."""

SEPARATE_LOCK_TIMEOUT: Final = timedelta(milliseconds=10)
"""How long the payments of one merchant then wait: their key has been waited for already."""

CONTENDED_SECONDS: Final = 1.0
"""How long the keyed payments of a merchant whose key is in use are not inserted together with
those of others, which would wait for that key again."""

MAX_CONTENDED_MERCHANTS: Final = 1_000
"""Remembered at once; bounds memory. Merchants beyond it delay others, by 0.1 s per batch."""


class PostgresStore:
    """A `PaymentStore`, a `Dependency` and a `SchemaVersion` port; `begin` is a `UnitOfWorkFactory`
    port."""

    name = "postgres"
    is_required = True

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._contended_until: dict[UUID, float] = {}
        """By merchant, in monotonic seconds."""

    @contextmanager
    def begin(self) -> Iterator[PostgresUnitOfWork]:
        with (
            self._connections.transaction() as connection,
            DatabaseSession(connection).open() as session,
        ):
            yield PostgresUnitOfWork(session)

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        """Inserts the payments of all merchants in one statement. If one waits too long for its
        Idempotency-Key, each merchant's payments are inserted apart: the others must not wait for
        it, nor be retried alone by their callers."""
        inserted: dict[UUID, InsertedPayment | None] = {}
        together = [insert for insert in inserts if not self._is_contended(insert)]
        try:
            inserted |= self._insert_all(together, PAYMENT_STORE_LOCK_TIMEOUT)
        except IdempotencyKeyInUse:
            inserted |= self._insert_by_merchant(together)
        # Callers of payments that were not inserted retry alone and get their specific error.
        return [inserted.get(insert.payment_id) for insert in inserts]

    def _insert_by_merchant(
        self, inserts: Sequence[PaymentInsert]
    ) -> dict[UUID, InsertedPayment | None]:
        """By id, without the payments of merchants that have a key in use."""
        groups = _group_by_merchant(inserts)
        if len(groups) == 1:
            self._remember_contended(inserts[0].new_payment.merchant_id)
            return {}
        inserted: dict[UUID, InsertedPayment | None] = {}
        for group in groups:
            try:
                inserted |= self._insert_all(group, SEPARATE_LOCK_TIMEOUT)
            except IdempotencyKeyInUse:
                self._remember_contended(group[0].new_payment.merchant_id)
        return inserted

    def _insert_all(
        self, inserts: Sequence[PaymentInsert], lock_timeout: timedelta
    ) -> dict[UUID, InsertedPayment | None]:
        """By id; empty if the database refuses one. Raises IdempotencyKeyInUse."""
        if not inserts:
            return {}
        try:
            inserted = self._connections.execute_alone(
                lambda connection: PostgresPaymentRepository(DatabaseSession(connection)).insert(
                    inserts, lock_timeout
                )
            )
        except StorageRefused:
            return {}
        return {
            insert.payment_id: payment for insert, payment in zip(inserts, inserted, strict=True)
        }

    def _is_contended(self, insert: PaymentInsert) -> bool:
        until = self._contended_until.get(insert.new_payment.merchant_id)
        return until is not None and insert.idempotency is not None and time.monotonic() < until

    def _remember_contended(self, merchant_id: UUID) -> None:
        now = time.monotonic()
        if len(self._contended_until) >= MAX_CONTENDED_MERCHANTS:
            remaining = {id: until for id, until in self._contended_until.items() if until > now}
            self._contended_until = remaining
        if len(self._contended_until) < MAX_CONTENDED_MERCHANTS:
            self._contended_until[merchant_id] = now + CONTENDED_SECONDS

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        return self._connections.execute_alone(
            lambda connection: PostgresPaymentRepository(DatabaseSession(connection)).find(lookups)
        )

    def is_up(self) -> bool:
        """Whether what requests do works on their connections: they repeat a prepared statement,
        each time in a transaction of its own, and write. Whether the schema has what they need
        is another question, which `list_pending` answers.

        Also False for a while after a request met a session without its prepared statements: a
        probe can be luckier than requests.
        """
        is_writable = None
        try:
            with self._connections.autocommit() as connection, map_errors():
                # Prepared by the first, used by the second.
                for _ in range(2):
                    is_writable = connection.execute(_SQL["is_writable"], prepare=True).fetchone()
            with self._connections.transaction() as connection:
                DatabaseSession(connection).execute(_SQL["probe_write"])
        except SchemaOutdated:
            # PostgreSQL has understood the statement.
            return self._connections.are_sessions_kept
        except AtomicError as error:
            log.warning("readiness probe failed", error=error.message, cause=str(error.__cause__))
            return False
        return is_writable == (True,) and self._connections.are_sessions_kept

    def list_pending(self) -> Sequence[str]:
        try:
            parameters = {"ids": get_migration_ids()}
            return self._connections.execute_alone(
                lambda connection: DatabaseSession(connection).fetch_one(
                    _SQL["list_pending"], **parameters
                )[0]
            )
        except SchemaOutdated:
            return get_migration_ids()

    def close(self) -> None:
        self._connections.close()


def _group_by_merchant(inserts: Sequence[PaymentInsert]) -> Sequence[Sequence[PaymentInsert]]:
    groups: dict[UUID, list[PaymentInsert]] = {}
    for insert in inserts:
        groups.setdefault(insert.new_payment.merchant_id, []).append(insert)
    return list(groups.values())
