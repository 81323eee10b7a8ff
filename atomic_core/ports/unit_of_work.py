"""All or nothing."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from atomic_core.ports.access import Access, AuditLog, Dashboards
from atomic_core.ports.lists import Lists
from atomic_core.ports.oversight import Oversight
from atomic_core.ports.repositories import (
    Accounts,
    Events,
    Fees,
    IdempotencyKeys,
    Ledger,
    Merchants,
    Payments,
    Refunds,
)


class UnitOfWork(Protocol):
    """One transaction. Leaving it without `commit()` undoes every write in it."""

    @property
    def merchants(self) -> Merchants: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def payments(self) -> Payments: ...

    @property
    def refunds(self) -> Refunds: ...

    @property
    def events(self) -> Events: ...

    @property
    def fees(self) -> Fees: ...

    @property
    def lists(self) -> Lists: ...

    @property
    def oversight(self) -> Oversight: ...

    @property
    def idempotency(self) -> IdempotencyKeys: ...

    @property
    def access(self) -> Access: ...

    @property
    def audit_log(self) -> AuditLog: ...

    @property
    def dashboards(self) -> Dashboards: ...

    def now(self) -> datetime:
        """The store's clock at this moment, in UTC. Money's times come from here."""
        ...

    def commit(self) -> None:
        """Make every write durable.

        Raises StorageUnavailable when the answer was lost: the writes may then have been
        made, and whoever asks again must be able to find them.
        """
        ...


class Begin(Protocol):
    """Begin a unit of work."""

    def __call__(self) -> AbstractContextManager[UnitOfWork]: ...
