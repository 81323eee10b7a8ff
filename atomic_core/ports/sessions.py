"""The repository of credentials and sessions."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.credentials import Credentials, Session


class SessionRepository(Protocol):
    def add_credentials(self, credentials: Credentials) -> bool:
        """Keep them; False if the email is somebody's already. Waits for a concurrent use of the
        same email to end."""
        ...

    def find_credentials(self, email: str) -> Credentials | None:
        """Whose email this is."""
        ...

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> None:
        """Unless it has been replaced meanwhile."""
        ...

    def add_session(
        self, id: UUID, merchant_id: UUID, hash: bytes, lifetime: timedelta
    ) -> Session: ...

    def find_live_session(self, hash: bytes) -> Session | None:
        """The session whose token has this hash, if it is neither revoked nor expired."""
        ...

    def revoke_session(self, session_id: UUID) -> bool:
        """Revoke now and for good. False if it was revoked before, or is unknown."""
        ...

    def purge_sessions(self, limit: int) -> int:
        """Delete up to `limit` expired sessions; return how many."""
        ...
