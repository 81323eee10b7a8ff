"""What merchants see of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.audit_log import AuditLogPosition, RecordedAuditEvent
from atomic_core.domain.dashboard import Dashboard
from atomic_core.domain.errors import NotFound
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class GetDashboard:
    """A merchant's dashboard, all of one moment. Raises NotFound without credentials."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Dashboard:
        with self.begin() as work:
            shown = work.dashboard.get(merchant_id)
        if shown is None:
            raise NotFound("There is no such merchant.")
        return shown


@dataclass(frozen=True, slots=True)
class ListAuditEvents:
    """Up to `limit` rows of a merchant's audit log, newest first, and the place after which to go
    on; None if there are no more."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, before: AuditLogPosition | None, limit: int
    ) -> tuple[Sequence[RecordedAuditEvent], AuditLogPosition | None]:
        with self.begin() as work:
            # One more: it tells whether there is more.
            rows = work.audit_log.list_by_merchant(merchant_id, before, limit + 1)
        shown = rows[:limit]
        return shown, shown[-1].position if len(rows) > limit else None
