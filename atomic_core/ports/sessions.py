"""The repository of credentials and sessions."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.credentials import Credentials, Session


class SessionRepository(Protocol):
    def add_credentials(self, credentials: Credentials) -> bool:
        """Store credentials. False if the email is taken. Waits for a concurrent insert of the same
        email."""
        ...

    def find_credentials(self, email: str) -> Credentials | None:
        """The credentials with this email."""
        ...

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> None:
        """Replace the hash `old`; does nothing if another one is stored."""
        ...

    def add_session(
        self, id: UUID, merchant_id: UUID, hash: bytes, lifetime: timedelta
    ) -> Session: ...

    def find_live_session(self, hash: bytes) -> Session | None:
        """The session whose token has this hash, if it is neither revoked nor expired."""
        ...

    def revoke_session(self, session_id: UUID) -> bool:
        """Revoke the session for good. False if it is unknown or was revoked before."""
        ...

    def purge_sessions(self, limit: int) -> int:
        """Delete up to `limit` expired sessions and return their number."""
        ...
