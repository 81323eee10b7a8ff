"""The repository of dashboards."""

from typing import Protocol
from uuid import UUID

from atomic_core.domain.dashboard import Dashboard


class DashboardRepository(Protocol):
    def get(self, merchant_id: UUID) -> Dashboard | None:
        """All of one moment; None for a merchant without credentials. Must be the first thing in
        its unit of work, which can write nothing then. Locks nothing."""
        ...
