"""The log of every use of authority: who may speak for a merchant, since when, and who said so."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID


class AuditEventType(StrEnum):
    MERCHANT_REGISTERED = "merchant_registered"
    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    LOGOUT = "logout"
    PASSWORD_REHASHED = "password_rehashed"  # noqa: S105  no password
    KEY_CREATED = "key_created"
    KEY_ADOPTED = "key_adopted"
    KEY_REVOKED = "key_revoked"
    KEY_ROTATED = "key_rotated"


class ActorType(StrEnum):
    ANONYMOUS = "anonymous"
    SESSION = "session"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who does something, and whence they ask."""

    actor: ActorType
    actor_id: UUID | None = None
    """The session's, if it is one."""
    address: str | None = None
    """The client's IP address; None for operators, and where there is none to be read."""
    request_id: str | None = None

    def as_session(self, session_id: UUID) -> "Origin":
        """The same request, by the session that it opened."""
        return replace(self, actor=ActorType.SESSION, actor_id=session_id)


OPERATOR: Final = Origin(ActorType.OPERATOR)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What is to be told. Its time is the store's."""

    id: UUID
    type: AuditEventType
    origin: Origin
    merchant_id: UUID | None
    details: Mapping[str, str] = field(default_factory=dict)
    """Never a secret."""
    email_hash: bytes | None = None
    """SHA-256 of an email that is nobody's, instead of a merchant."""


@dataclass(frozen=True, slots=True)
class RecordedAuditEvent:
    """A row of the log."""

    id: UUID
    type: str
    actor: str
    actor_id: UUID | None
    address: str | None
    request_id: str | None
    details: Mapping[str, str]
    at: datetime

    @property
    def position(self) -> "AuditLogPosition":
        return AuditLogPosition(self.at, self.id)


class AuditLogPosition(NamedTuple):
    """Where a row stands in the log's order."""

    at: datetime
    id: UUID
