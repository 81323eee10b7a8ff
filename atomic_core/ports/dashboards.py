"""The repository of dashboards."""

from typing import Protocol
from uuid import UUID

from atomic_core.domain.dashboard import Dashboard


class DashboardRepository(Protocol):
    def get(self, merchant_id: UUID) -> Dashboard | None:
        """The dashboard, from one snapshot. None for a merchant without credentials. Must be the
        first call of its unit of work, which becomes read-only. Locks nothing."""
        ...
