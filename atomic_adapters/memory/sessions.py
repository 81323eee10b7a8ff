"""Credentials, sessions and the audit log in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from uuid import UUID

from atomic_adapters.memory.tables import AuditEventRow, MemorySession, SessionRow
from atomic_core.domain.audit_log import AuditEvent, AuditLogPosition, RecordedAuditEvent
from atomic_core.domain.credentials import Credentials, Session
from atomic_core.domain.errors import StorageRefused


@dataclass(frozen=True, slots=True)
class MemorySessionRepository:
    session: MemorySession

    def add_credentials(self, credentials: Credentials) -> bool:
        tables = self.session.tables
        has_merchant = credentials.merchant_id in tables.merchants.rows
        if not has_merchant or credentials.account_id not in tables.accounts.rows:
            raise StorageRefused("credentials_merchant_id_fkey, credentials_account_id_fkey")
        if credentials.email in tables.credentials.rows:
            return False
        tables.credentials.put(credentials.email, credentials)
        return True

    def find_credentials(self, email: str) -> Credentials | None:
        return self.session.tables.credentials.rows.get(email)

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> None:
        tables = self.session.tables
        for email, credentials in tables.credentials.rows.items():
            if (credentials.merchant_id, credentials.password_hash) == (merchant_id, old):
                tables.credentials.put(email, replace(credentials, password_hash=new))
                return

    def add_session(self, id: UUID, merchant_id: UUID, hash: bytes, lifetime: timedelta) -> Session:
        tables = self.session.tables
        if merchant_id not in tables.merchants.rows or hash in tables.sessions.rows:
            raise StorageRefused("sessions_merchant_id_fkey, sessions_hash_once")
        now = tables.clock.now()
        session = Session(id, merchant_id, now, now + lifetime)
        tables.sessions.put(hash, SessionRow(session, revoked=False))
        return session

    def find_live_session(self, hash: bytes) -> Session | None:
        tables = self.session.tables
        row = tables.sessions.rows.get(hash)
        if row is None or row.revoked or row.session.expires_at <= tables.clock.now():
            return None
        return row.session

    def revoke_session(self, session_id: UUID) -> bool:
        sessions = self.session.tables.sessions
        for hash, row in sessions.rows.items():
            if row.session.id == session_id and not row.revoked:
                sessions.put(hash, replace(row, revoked=True))
                return True
        return False

    def purge_sessions(self, limit: int) -> int:
        tables = self.session.tables
        now = tables.clock.now()
        rows = tables.sessions.rows
        expired = [hash for hash, row in rows.items() if row.session.expires_at <= now]
        for hash in islice(expired, limit):
            tables.sessions.remove(hash)
        return min(len(expired), limit)


@dataclass(frozen=True, slots=True)
class MemoryAuditLogRepository:
    session: MemorySession

    def add(self, event: AuditEvent) -> None:
        tables = self.session.tables
        has_merchant = event.merchant_id in tables.merchants.rows
        if has_merchant == (event.email_hash is not None):
            raise StorageRefused("audit_log_of_a_merchant_or_an_email")
        tables.audit_log.put(event.id, AuditEventRow(event, tables.clock.now()))

    def list_by_merchant(
        self, merchant_id: UUID, before: AuditLogPosition | None, limit: int
    ) -> Sequence[RecordedAuditEvent]:
        rows = self.session.tables.audit_log.rows.values()
        own = [_build_recorded(row) for row in rows if row.event.merchant_id == merchant_id]
        page = [row for row in own if before is None or row.position < before]
        return sorted(page, key=lambda row: row.position, reverse=True)[:limit]


def _build_recorded(row: AuditEventRow) -> RecordedAuditEvent:
    event, origin = row.event, row.event.origin
    return RecordedAuditEvent(
        id=event.id,
        type=event.type.value,
        actor=origin.actor.value,
        actor_id=origin.actor_id,
        address=origin.address,
        request_id=origin.request_id,
        details=event.details,
        at=row.at,
    )
