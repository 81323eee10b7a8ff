"""One transaction, and the repositories inside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from atomic_adapters.postgres.access import PostgresAccess
from atomic_adapters.postgres.audit_log import PostgresAuditLog
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.dashboard import PostgresDashboards
from atomic_adapters.postgres.events import PostgresEvents
from atomic_adapters.postgres.fees import PostgresFees
from atomic_adapters.postgres.idempotency import PostgresIdempotencyKeys
from atomic_adapters.postgres.ledger import PostgresAccounts, PostgresLedger
from atomic_adapters.postgres.lists import PostgresLists
from atomic_adapters.postgres.merchants import PostgresMerchants
from atomic_adapters.postgres.migration_files import migration_ids
from atomic_adapters.postgres.oversight import PostgresOversight
from atomic_adapters.postgres.payments import PostgresPayments
from atomic_adapters.postgres.refunds import PostgresRefunds
from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.errors import IdempotencyKeyInUse, StorageRefused, StorageUnavailable
from atomic_core.domain.payments import Acceptance, Accepted, Lookup, Payment

_SQL: Final = statements("unit_of_work")


class PostgresUnitOfWork:
    """READ COMMITTED, with explicit row locks where order matters."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.merchants = PostgresMerchants(session)
        self.accounts = PostgresAccounts(session)
        self.ledger = PostgresLedger(session)
        self.payments = PostgresPayments(session)
        self.refunds = PostgresRefunds(session)
        self.events = PostgresEvents(session)
        self.fees = PostgresFees(session)
        self.lists = PostgresLists(session)
        self.oversight = PostgresOversight(session)
        self.idempotency = PostgresIdempotencyKeys(session)
        self.access = PostgresAccess(session)
        self.audit_log = PostgresAuditLog(session)
        self.dashboards = PostgresDashboards(session)

    def now(self) -> datetime:
        return self._session.one(_SQL["now"])[0]

    def commit(self) -> None:
        self._session.commit()


DESK_PATIENCE: Final = timedelta(milliseconds=100)
"""How long those who are served together wait for somebody else's use of one's key: all of them
wait, and a first use takes a few milliseconds. Whose key it is waits on alone."""


class PostgresStore:
    """Everything stored in one database. `begin` is a `Begin` port; the store is also a `Desk`
    and a `Dependency`."""

    name = "postgres"
    vital = True

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @contextmanager
    def begin(self) -> Iterator[PostgresUnitOfWork]:
        with self._connections.transaction() as connection:
            yield PostgresUnitOfWork(Session(connection))

    def accept(self, acceptances: Sequence[Acceptance]) -> Sequence[Accepted | None]:
        try:
            with self._connections.autocommit() as connection:
                payments = PostgresPayments(Session(connection))
                return payments.accept(acceptances, DESK_PATIENCE)
        except (IdempotencyKeyInUse, StorageRefused):
            # One spoils it for all: nothing was recorded, and each shall be told its own.
            return [None] * len(acceptances)

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        with self._connections.autocommit() as connection:
            return PostgresPayments(Session(connection)).find(lookups)

    def is_up(self) -> bool:
        """Whether it answers, takes writes and has every migration that this code knows."""
        try:
            with self._connections.transaction() as connection:
                return Session(connection).one(_SQL["is_ready"], ids=migration_ids())[0]
        except StorageUnavailable:
            return False

    def close(self) -> None:
        self._connections.close()
