"""Repositories of who may come in. Like all others they live inside a unit of work."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.audit_log import Deed, Place, Recorded
from atomic_core.domain.credentials import Credentials, Session
from atomic_core.domain.dashboard import Dashboard


class Access(Protocol):
    def add_credentials(self, credentials: Credentials) -> bool:
        """Keep them; False if the email is somebody's already. Waits for a concurrent use of the
        same email to end."""
        ...

    def credentials(self, email: str) -> Credentials | None:
        """Whose email this is."""
        ...

    def replace_password_hash(self, merchant_id: UUID, old: str, new: str) -> None:
        """Unless it has been replaced meanwhile."""
        ...

    def add_session(
        self, id: UUID, merchant_id: UUID, hash: bytes, lifetime: timedelta
    ) -> Session: ...

    def live_session(self, hash: bytes) -> Session | None:
        """The session whose token has this hash, if it is neither revoked nor expired."""
        ...

    def revoke_session(self, session_id: UUID) -> bool:
        """Revoke now and for good. False if it was revoked before, or is unknown."""
        ...

    def purge_sessions(self, limit: int) -> int:
        """Delete up to `limit` expired sessions; return how many."""
        ...


class AuditLog(Protocol):
    def add(self, deed: Deed) -> None: ...

    def page(self, merchant_id: UUID, before: Place | None, limit: int) -> Sequence[Recorded]:
        """Up to `limit` rows of the merchant, newest first; those before `before`."""
        ...


class Dashboards(Protocol):
    def show(self, merchant_id: UUID) -> Dashboard | None:
        """All of one moment; None for a merchant without credentials. Must be the first thing in
        its unit of work, which can write nothing then. Locks nothing."""
        ...
