"""The log of every use of authority in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.audit_log import AuditEvent, Place, Recorded

_SQL: Final = statements("audit_log")


@dataclass(frozen=True, slots=True)
class PostgresAuditLogRepository:
    session: Session

    def add(self, deed: AuditEvent) -> None:
        self.session.execute(
            _SQL["add_deed"],
            id=deed.id,
            merchant_id=deed.merchant_id,
            event=deed.event.value,
            actor=deed.origin.actor.value,
            actor_id=deed.origin.actor_id,
            address=deed.origin.address,
            request_id=deed.origin.request_id,
            email_hash=deed.email_hash,
            details=Jsonb(dict(deed.details)),
        )

    def page(self, merchant_id: UUID, before: Place | None, limit: int) -> Sequence[Recorded]:
        return self.session.all_of(
            Recorded,
            _SQL["page_of_deeds"],
            merchant_id=merchant_id,
            before_at=before and before.at,
            before_id=before and before.id,
            limit=limit,
        )
