"""The context of the request being answered, for every part of the web layer."""

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.credentials import Session
from atomic_core.domain.errors import Unauthorized
from atomic_core.domain.merchants import Caller
from atomic_core.ports.rate_limiter import RateState

BASE_PATH: Final = "/api/v1"


@dataclass(slots=True)
class RequestContext:
    """What is known so far about the request being answered."""

    application: Application
    settings: Settings
    request_id: str
    """The X-Request-Id, which the client can choose."""
    server_request_id: UUID
    """Generated for this request. Recorded with what the request writes."""
    started_at: float = field(default_factory=time.perf_counter)
    """Seconds on the monotonic clock."""
    caller: Caller | None = None
    """The owner of the API key, on a route that requires one."""
    session: Session | None = None
    """The session of the token, on a route that requires one."""
    rate_limit_states: Sequence[RateState] = ()
    security_headers: Sequence[tuple[str, str]] | None = None
    """Replaces the default security headers of the response."""
    payment_id: UUID | str | None = None
    """For the request log."""
    payment_count: int | None = None
    """For the request log: the number of payments in a batch."""

    @property
    def authenticated_caller(self) -> Caller:
        """Raises Unauthorized on a route that requires no API key."""
        if self.caller is None:
            raise Unauthorized
        return self.caller

    @property
    def authenticated_session(self) -> Session:
        """Raises Unauthorized on a route that requires no session token."""
        if self.session is None:
            raise Unauthorized
        return self.session

    @property
    def merchant_id(self) -> UUID:
        """Raises Unauthorized on a route that requires neither an API key nor a session token."""
        return self.session.merchant_id if self.session else self.authenticated_caller.merchant_id


CURRENT_CONTEXT: Final[ContextVar[RequestContext]] = ContextVar("atomic_request_context")
"""Set by RequestContextMiddleware. A plain context variable is faster to read than Flask's `g` and
`current_app` proxies."""


def request_context() -> RequestContext:
    return CURRENT_CONTEXT.get()
