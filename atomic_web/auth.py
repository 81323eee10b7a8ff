"""Who may come in. Every route says so itself, with `@public` or `@authenticated`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from flask import current_app, request

from atomic_core.domain.errors import Unauthorized
from atomic_core.domain.merchants import ApiKey
from atomic_web.context import door

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks of its callers."""

    authenticated: bool
    limited: bool = True
    """Whether the global limit per client address counts it."""
    limit: str | None = None
    """The name of a further limit, counted per merchant (see Settings.rate_limits)."""


UNMATCHED: Final = Access(authenticated=False)
"""For addresses that lead nowhere: no key is asked for, but searching them is limited."""

_declared: dict[Callable[..., Any], Access] = {}

# RFC 6750's b64token; the scheme's name is case-insensitive (RFC 9110, 11.1). Whatever does
# not look like a key is refused without asking the store.
_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]{1,256}=*)")
_MAX_HEADER: Final = 512


def public(*, limited: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a route that anyone may call."""
    return _declare(Access(authenticated=False, limited=limited))


def authenticated(limit: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a route that asks for an API key, with a limit of its own if one is named."""
    return _declare(Access(authenticated=True, limit=limit))


def access_of(view: Callable[..., Any]) -> Access | None:
    """What the view declared; None if it declared nothing."""
    return _declared.get(view)


def access_of_request() -> Access:
    """Raises LookupError for a route that declared nothing: closed until it says otherwise."""
    if request.endpoint is None:
        return UNMATCHED
    access = access_of(current_app.view_functions[request.endpoint])
    if access is None:
        raise LookupError(f"{request.endpoint} declares neither @public nor @authenticated")
    return access


def authenticate() -> ApiKey:
    """Raises Unauthorized, in the same words whatever is wrong."""
    header = request.headers.get("Authorization", "")
    match = _BEARER.fullmatch(header) if len(header) <= _MAX_HEADER else None
    if match is None:
        raise Unauthorized
    return door().application.authenticate(match[1])


def _declare(access: Access) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def mark(view: Callable[P, R]) -> Callable[P, R]:
        _declared[view] = access
        return view

    return mark
