"""The unit of work in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from atomic_adapters.memory.access import MemoryAccess, MemoryAuditLog
from atomic_adapters.memory.dashboard import MemoryDashboards
from atomic_adapters.memory.events import MemoryEvents
from atomic_adapters.memory.fees import MemoryFees
from atomic_adapters.memory.idempotency import MemoryIdempotencyKeys
from atomic_adapters.memory.ledger import MemoryAccounts, MemoryLedger
from atomic_adapters.memory.lists import MemoryLists
from atomic_adapters.memory.merchants import MemoryMerchants
from atomic_adapters.memory.oversight import MemoryOversight
from atomic_adapters.memory.payments import MemoryPayments
from atomic_adapters.memory.refunds import MemoryRefunds
from atomic_adapters.memory.table import Session, Tables
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.payments import Acceptance, Accepted, Lookup, Payment
from atomic_core.ports.outside import Clock

LOCK_TIMEOUT: Final = timedelta(seconds=3)


class MemoryUnitOfWork:
    def __init__(self, session: Session) -> None:
        self._session = session
        self.merchants = MemoryMerchants(session)
        self.accounts = MemoryAccounts(session)
        self.ledger = MemoryLedger(session)
        self.payments = MemoryPayments(session)
        self.refunds = MemoryRefunds(session)
        self.events = MemoryEvents(session)
        self.fees = MemoryFees(session)
        self.lists = MemoryLists(session)
        self.oversight = MemoryOversight(session)
        self.idempotency = MemoryIdempotencyKeys(session)
        self.access = MemoryAccess(session)
        self.audit_log = MemoryAuditLog(session)
        self.dashboards = MemoryDashboards(session)

    def now(self) -> datetime:
        return self._session.tables.clock.now()

    def commit(self) -> None:
        self._session.commit()


class MemoryStore:
    """Everything stored in this process. `begin` is a `Begin` port; the store is also a `Desk`."""

    def __init__(self, clock: Clock, lock_timeout: timedelta = LOCK_TIMEOUT) -> None:
        self.tables = Tables(clock, lock_timeout)

    def accept(self, acceptances: Sequence[Acceptance]) -> Sequence[Accepted | None]:
        try:
            with self.begin() as work:
                accepted = work.payments.accept(acceptances)
                work.commit()
        except StorageRefused:
            return [None] * len(acceptances)
        return accepted

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        with self.begin() as work:
            return work.payments.find(lookups)

    @contextmanager
    def begin(self) -> Iterator[MemoryUnitOfWork]:
        session = Session(self.tables)
        try:
            yield MemoryUnitOfWork(session)
        finally:
            session.end()
