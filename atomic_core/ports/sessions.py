"""The repository of credentials and sessions."""

from collections.abc import Sequence
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

    def get_credentials(self, merchant_id: UUID) -> Credentials | None:
        """The credentials of this merchant; None if it was not registered with a password."""
        ...

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> bool:
        """Replace the hash `old`. False, without a change, if another one is stored."""
        ...

    def add_session(
        self,
        id: UUID,
        merchant_id: UUID,
        hash: bytes,
        lifetime: timedelta,
        address: str | None = None,
    ) -> Session: ...

    def find_live_session(self, hash: bytes) -> Session | None:
        """The session whose token has this hash, if it is neither revoked nor expired and its
        merchant is not suspended."""
        ...

    def get_session(self, session_id: UUID, merchant_id: UUID) -> Session | None:
        """A session of this merchant, also if it is revoked or expired."""
        ...

    def list_live_sessions(self, merchant_id: UUID, limit: int) -> Sequence[Session]:
        """The merchant's newest sessions that are neither revoked nor expired, newest first."""
        ...

    def revoke_session(self, session_id: UUID) -> bool:
        """Revoke the session for good. False if it is unknown or was revoked before."""
        ...

    def revoke_sessions(self, merchant_id: UUID, keep: UUID | None = None) -> Sequence[UUID]:
        """Revoke the merchant's live sessions, except for the session `keep`; return their ids.
        Lock the merchant first, so that no session is opened meanwhile."""
        ...

    def revoke_oldest_sessions(self, merchant_id: UUID, keep: int) -> Sequence[UUID]:
        """Revoke the merchant's live sessions except for the newest `keep`; return their ids. Lock
        the merchant first."""
        ...

    def purge_sessions(self, limit: int) -> int:
        """Delete up to `limit` expired sessions and return their number."""
        ...
