"""The repository of audit events."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, Place, Recorded


class AuditLogRepository(Protocol):
    def add(self, deed: AuditEvent) -> None: ...

    def page(self, merchant_id: UUID, before: Place | None, limit: int) -> Sequence[Recorded]:
        """Up to `limit` rows of the merchant, newest first; those before `before`."""
        ...
