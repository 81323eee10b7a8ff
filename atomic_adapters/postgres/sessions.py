"""Credentials and sessions in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.credentials import Credentials, Session

_SQL: Final = load_statements("sessions")


@dataclass(frozen=True, slots=True)
class PostgresSessionRepository:
    session: DatabaseSession

    def add_credentials(self, credentials: Credentials) -> bool:
        added = self.session.execute(
            _SQL["insert_credentials"],
            merchant_id=credentials.merchant_id,
            email=credentials.email,
            password_hash=credentials.password_hash,
            account_id=credentials.account_id,
        )
        return added == 1

    def find_credentials(self, email: str) -> Credentials | None:
        return self.session.fetch_optional_as(Credentials, _SQL["find_credentials"], email=email)

    def get_credentials(self, merchant_id: UUID) -> Credentials | None:
        statement = _SQL["get_credentials"]
        return self.session.fetch_optional_as(Credentials, statement, merchant_id=merchant_id)

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> bool:
        statement = _SQL["replace_password_hash"]
        return self.session.execute(statement, merchant_id=merchant_id, old=old, new=new) == 1

    def add_session(
        self,
        id: UUID,
        merchant_id: UUID,
        hash: bytes,
        lifetime: timedelta,
        address: str | None = None,
    ) -> Session:
        return self.session.fetch_one_as(
            Session,
            _SQL["insert_session"],
            id=id,
            merchant_id=merchant_id,
            hash=hash,
            lifetime=lifetime,
            address=address,
        )

    def find_live_session(self, hash: bytes) -> Session | None:
        return self.session.fetch_optional_as(Session, _SQL["find_live_session"], hash=hash)

    def get_session(self, session_id: UUID, merchant_id: UUID) -> Session | None:
        return self.session.fetch_optional_as(
            Session, _SQL["get_session"], id=session_id, merchant_id=merchant_id
        )

    def list_live_sessions(self, merchant_id: UUID, limit: int) -> Sequence[Session]:
        return self.session.fetch_all_as(
            Session, _SQL["list_live_sessions"], merchant_id=merchant_id, limit=limit
        )

    def revoke_session(self, session_id: UUID) -> bool:
        return self.session.execute(_SQL["revoke_session"], id=session_id) == 1

    def revoke_sessions(self, merchant_id: UUID, keep: UUID | None = None) -> Sequence[UUID]:
        statement = _SQL["revoke_sessions"]
        rows = self.session.fetch_all(statement, merchant_id=merchant_id, keep=keep)
        return [id for (id,) in rows]

    def revoke_oldest_sessions(self, merchant_id: UUID, keep: int) -> Sequence[UUID]:
        statement = _SQL["revoke_oldest_sessions"]
        rows = self.session.fetch_all(statement, merchant_id=merchant_id, keep=keep)
        return [id for (id,) in rows]

    def purge_sessions(self, limit: int) -> int:
        return self.session.execute(_SQL["purge_sessions"], limit=limit)
