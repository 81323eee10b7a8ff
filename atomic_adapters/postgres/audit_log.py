"""The audit log in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.audit_log import AuditEvent, AuditLogPosition, RecordedAuditEvent

_SQL: Final = load_statements("audit_log")


@dataclass(frozen=True, slots=True)
class PostgresAuditLogRepository:
    session: DatabaseSession

    def add(self, event: AuditEvent) -> None:
        self.session.execute(
            _SQL["insert_audit_event"],
            id=event.id,
            merchant_id=event.merchant_id,
            event=event.type.value,
            actor=event.origin.actor.value,
            actor_id=event.origin.actor_id,
            address=event.origin.address,
            request_id=event.origin.request_id,
            server_request_id=event.origin.server_request_id,
            email_hash=event.email_hash,
            details=Jsonb(dict(event.stored_details)),
        )

    def list_by_merchant(
        self, merchant_id: UUID, before: AuditLogPosition | None, limit: int
    ) -> Sequence[RecordedAuditEvent]:
        return self.session.fetch_all_as(
            RecordedAuditEvent,
            _SQL["list_audit_events"],
            merchant_id=merchant_id,
            before_at=before and before.at,
            before_id=before and before.id,
            limit=limit,
        )
