"""Credentials, sessions and the audit log in memory."""

from collections.abc import Iterable, Sequence
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

    def get_credentials(self, merchant_id: UUID) -> Credentials | None:
        for credentials in self.session.tables.credentials.rows.values():
            if credentials.merchant_id == merchant_id:
                return credentials
        return None

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> bool:
        credentials = self.get_credentials(merchant_id)
        if credentials is None or credentials.password_hash != old:
            return False
        changed = replace(credentials, password_hash=new)
        self.session.tables.credentials.put(credentials.email, changed)
        return True

    def add_session(
        self,
        id: UUID,
        merchant_id: UUID,
        hash: bytes,
        lifetime: timedelta,
        address: str | None = None,
    ) -> Session:
        tables = self.session.tables
        if merchant_id not in tables.merchants.rows or hash in tables.sessions.rows:
            raise StorageRefused("sessions_merchant_id_fkey, sessions_hash_once")
        now = tables.clock.now()
        session = Session(id, merchant_id, now, now + lifetime, address)
        tables.sessions.put(hash, SessionRow(session, revoked=False))
        return session

    def find_live_session(self, hash: bytes) -> Session | None:
        tables = self.session.tables
        row = tables.sessions.rows.get(hash)
        if row is None or not self._is_live(row):
            return None
        merchant = tables.merchants.rows[row.session.merchant_id]
        return None if merchant.suspended_at else row.session

    def get_session(self, session_id: UUID, merchant_id: UUID) -> Session | None:
        for row in self.session.tables.sessions.rows.values():
            if (row.session.id, row.session.merchant_id) == (session_id, merchant_id):
                return row.session
        return None

    def list_live_sessions(self, merchant_id: UUID, limit: int) -> Sequence[Session]:
        return self._list_live_sessions(merchant_id)[:limit]

    def revoke_session(self, session_id: UUID) -> bool:
        sessions = self.session.tables.sessions
        for hash, row in sessions.rows.items():
            if row.session.id == session_id and not row.revoked:
                sessions.put(hash, replace(row, revoked=True))
                return True
        return False

    def revoke_sessions(self, merchant_id: UUID, keep: UUID | None = None) -> Sequence[UUID]:
        return self._revoke(
            session for session in self._list_live_sessions(merchant_id) if session.id != keep
        )

    def revoke_oldest_sessions(self, merchant_id: UUID, keep: int) -> Sequence[UUID]:
        return self._revoke(self._list_live_sessions(merchant_id)[keep:])

    def _revoke(self, sessions: Iterable[Session]) -> Sequence[UUID]:
        return [session.id for session in sessions if self.revoke_session(session.id)]

    def _is_live(self, row: SessionRow) -> bool:
        return not row.revoked and row.session.expires_at > self.session.tables.clock.now()

    def _list_live_sessions(self, merchant_id: UUID) -> list[Session]:
        """Newest first."""
        rows = self.session.tables.sessions.rows.values()
        own = [
            row.session
            for row in rows
            if row.session.merchant_id == merchant_id and self._is_live(row)
        ]
        return sorted(own, key=lambda session: (session.created_at, session.id), reverse=True)

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
        server_request_id=origin.server_request_id,
        details=event.stored_details,
        at=row.at,
    )
