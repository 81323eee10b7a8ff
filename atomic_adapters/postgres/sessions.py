"""Credentials and sessions in PostgreSQL."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.credentials import Credentials
from atomic_core.domain.credentials import Session as Login

_SQL: Final = statements("sessions")


@dataclass(frozen=True, slots=True)
class PostgresSessionRepository:
    session: Session

    def add_credentials(self, credentials: Credentials) -> bool:
        added = self.session.execute(
            _SQL["add_credentials"],
            merchant_id=credentials.merchant_id,
            email=credentials.email,
            password_hash=credentials.password_hash,
            account_id=credentials.account_id,
        )
        return added == 1

    def credentials(self, email: str) -> Credentials | None:
        return self.session.first_of(Credentials, _SQL["get_credentials"], email=email)

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> None:
        statement = _SQL["replace_password_hash"]
        self.session.execute(statement, merchant_id=merchant_id, old=old, new=new)

    def add_session(self, id: UUID, merchant_id: UUID, hash: bytes, lifetime: timedelta) -> Login:
        return self.session.one_of(
            Login,
            _SQL["add_session"],
            id=id,
            merchant_id=merchant_id,
            hash=hash,
            lifetime=lifetime,
        )

    def live_session(self, hash: bytes) -> Login | None:
        return self.session.first_of(Login, _SQL["live_session"], hash=hash)

    def revoke_session(self, session_id: UUID) -> bool:
        return self.session.execute(_SQL["revoke_session"], id=session_id) == 1

    def purge_sessions(self, limit: int) -> int:
        return self.session.execute(_SQL["purge_sessions"], limit=limit)
