"""A merchant's dashboard and audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.audit_log import AuditLogPosition, RecordedAuditEvent
from atomic_core.domain.dashboard import Dashboard
from atomic_core.domain.errors import NotFound
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class GetDashboard:
    """A merchant's dashboard, from one snapshot. Raises NotFound without credentials."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Dashboard:
        with self.begin() as work:
            dashboard = work.dashboard.get(merchant_id)
        if dashboard is None:
            raise NotFound("No merchant has this id.")
        return dashboard


@dataclass(frozen=True, slots=True)
class ListAuditEvents:
    """Up to `limit` events of a merchant's audit log, newest first, and the position of the last
    one, or None if no more follow."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, before: AuditLogPosition | None, limit: int
    ) -> tuple[Sequence[RecordedAuditEvent], AuditLogPosition | None]:
        with self.begin() as work:
            # One more than the page, to see whether more follow.
            events = work.audit_log.list_by_merchant(merchant_id, before, limit + 1)
        page = events[:limit]
        return page, page[-1].position if len(events) > limit else None
