"""One transaction, and the repositories inside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.idempotency import PostgresIdempotencyKeys
from atomic_adapters.postgres.ledger import PostgresAccounts, PostgresLedger
from atomic_adapters.postgres.merchants import PostgresMerchants
from atomic_adapters.postgres.migration_files import migration_ids
from atomic_adapters.postgres.payments import PostgresPayments
from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.errors import StorageUnavailable

_SQL: Final = statements("unit_of_work")


class PostgresUnitOfWork:
    """READ COMMITTED, with explicit row locks where order matters."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.merchants = PostgresMerchants(session)
        self.accounts = PostgresAccounts(session)
        self.ledger = PostgresLedger(session)
        self.payments = PostgresPayments(session)
        self.idempotency = PostgresIdempotencyKeys(session)

    def now(self) -> datetime:
        return self._session.one(_SQL["now"])[0]

    def commit(self) -> None:
        self._session.commit()


class PostgresStore:
    """Everything stored in one database. `begin` is a `Begin` port; its `Dependency` too."""

    name = "postgres"
    vital = True

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @contextmanager
    def begin(self) -> Iterator[PostgresUnitOfWork]:
        with self._connections.transaction() as connection:
            yield PostgresUnitOfWork(Session(connection))

    def is_up(self) -> bool:
        """Whether it answers, takes writes and has every migration that this code knows."""
        try:
            with self._connections.transaction() as connection:
                return Session(connection).one(_SQL["is_ready"], ids=migration_ids())[0]
        except StorageUnavailable:
            return False

    def close(self) -> None:
        self._connections.close()
