"""What every part of the door may reach: the application, its settings, the visit at hand."""

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


@dataclass(frozen=True, slots=True)
class AppContext:
    application: Application
    settings: Settings


@dataclass(slots=True)
class RequestContext:
    """What is known so far of the request being answered."""

    app_context: AppContext
    request_id: str
    started: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    """Whose API key was shown, on a route that asks for one."""
    session: Session | None = None
    """Whose token was shown, on a route that asks for one."""
    rates: Sequence[RateState] = ()
    standing: Sequence[tuple[str, str]] | None = None
    """The headers to carry instead of those that every answer carries."""
    payment_id: UUID | str | None = None
    payments: int | None = None
    """How many, where they are many."""

    @property
    def known_caller(self) -> Caller:
        """Whose request this is. Raises Unauthorized on a route that asks for no key."""
        if self.caller is None:
            raise Unauthorized
        return self.caller

    @property
    def known_session(self) -> Session:
        """Whose session this is. Raises Unauthorized on a route that asks for no token."""
        if self.session is None:
            raise Unauthorized
        return self.session

    @property
    def merchant_id(self) -> UUID:
        """Raises Unauthorized on a route that asks neither for a key nor for a token."""
        return self.session.merchant_id if self.session else self.known_caller.merchant_id


CURRENT_CONTEXT: Final[ContextVar[RequestContext]] = ContextVar("atomic_visit")
"""Set by the entrance. Our own, for Flask's `g` and `current_app` take a detour each time."""


def app_context() -> AppContext:
    return CURRENT_CONTEXT.get().app_context


def request_context() -> RequestContext:
    return CURRENT_CONTEXT.get()
