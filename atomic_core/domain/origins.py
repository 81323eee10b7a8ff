"""Who makes a request, and from where. Every command stores it with what it writes."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID


class ActorType(StrEnum):
    ANONYMOUS = "anonymous"
    KEY = "key"
    SESSION = "session"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Origin:
    """The actor of a request, and the request. What Atomic does by itself has none."""

    actor: ActorType
    actor_id: UUID | None = None
    """The id of the API key or session."""
    address: str | None = None
    """The client's IP address; None for operators and for clients without one. Personal data: only
    operators and readers of the audit log may see it."""
    request_id: str | None = None
    """The X-Request-Id, which the client can choose."""
    server_request_id: UUID | None = None
    """The id that Atomic gave the request, which no client can choose."""
    operator: str | None = None
    """The name of the operator, where it is known."""

    def with_session(self, session_id: UUID) -> "Origin":
        """The same request, made by the session that it opened."""
        return replace(self, actor=ActorType.SESSION, actor_id=session_id)


OPERATOR: Final = Origin(ActorType.OPERATOR)
