"""What every part of the door may reach: the application, its settings, the visit at hand."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast
from uuid import UUID

from flask import current_app, g

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import Unauthorized
from atomic_core.domain.merchants import Caller
from atomic_core.ports.outside import RateState

BASE_PATH: Final = "/api/v1"

EXTENSION: Final = "atomic"


@dataclass(frozen=True, slots=True)
class Door:
    application: Application
    settings: Settings


@dataclass(slots=True)
class Visit:
    """What is known so far of the request being answered."""

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    rates: Sequence[RateState] = ()
    payment_id: UUID | str | None = None

    @property
    def known_caller(self) -> Caller:
        """Whose request this is. Raises Unauthorized on a route that asks for no key."""
        if self.caller is None:
            raise Unauthorized
        return self.caller

    @property
    def merchant_id(self) -> UUID:
        """Raises Unauthorized on a route that asks for no key."""
        return self.known_caller.merchant_id


def door() -> Door:
    return cast(Door, current_app.extensions[EXTENSION])


def visit() -> Visit:
    return cast(Visit, g.visit)
