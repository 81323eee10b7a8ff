"""Credentials and sessions in PostgreSQL."""

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

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> None:
        statement = _SQL["replace_password_hash"]
        self.session.execute(statement, merchant_id=merchant_id, old=old, new=new)

    def add_session(self, id: UUID, merchant_id: UUID, hash: bytes, lifetime: timedelta) -> Session:
        return self.session.fetch_one_as(
            Session,
            _SQL["insert_session"],
            id=id,
            merchant_id=merchant_id,
            hash=hash,
            lifetime=lifetime,
        )

    def find_live_session(self, hash: bytes) -> Session | None:
        return self.session.fetch_optional_as(Session, _SQL["find_live_session"], hash=hash)

    def revoke_session(self, session_id: UUID) -> bool:
        return self.session.execute(_SQL["revoke_session"], id=session_id) == 1

    def purge_sessions(self, limit: int) -> int:
        return self.session.execute(_SQL["purge_sessions"], limit=limit)
