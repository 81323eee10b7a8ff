"""The repository of audit events."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditLogPosition, RecordedAuditEvent


class AuditLogRepository(Protocol):
    def add(self, event: AuditEvent) -> None: ...

    def list_by_merchant(
        self, merchant_id: UUID, before: AuditLogPosition | None, limit: int
    ) -> Sequence[RecordedAuditEvent]:
        """Up to `limit` events of the merchant, newest first, after the position `before` in that
        order."""
        ...
