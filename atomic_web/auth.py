"""Who may come in. Every route says so itself, with `@public` or `@authenticated`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from atomic_core.domain.errors import AtomicError, StorageUnavailable, Unauthorized
from atomic_core.domain.merchants import Caller
from atomic_web.context import door, visit

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
    confirms: bool = False
    """Whether the route's use case makes sure itself that the key is still active, in the
    transaction that does the work. Until then the caller may be known from memory only."""


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


def authenticated(
    limit: str | None = None, *, confirms: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a route that asks for an API key, with a limit of its own if one is named.

    With `confirms` its view must act through a use case that confirms the caller. Should it
    refuse a request before that, the caller is confirmed here: whoever shows a revoked key is
    told so, and nothing else.
    """
    declare = _declare(Access(authenticated=True, limit=limit, confirms=confirms))
    if not confirms:
        return declare
    return lambda view: declare(_confirming(view))


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


def authenticate(access: Access) -> Caller:
    """Whose key was shown. Raises Unauthorized, in the same words whatever is wrong."""
    header = request.headers.get("Authorization", "")
    match = _BEARER.fullmatch(header) if len(header) <= _MAX_HEADER else None
    if match is None:
        raise Unauthorized
    application = door().application
    caller = application.recognize(match[1])
    if not access.confirms:
        application.confirm(caller)
    return caller


def _confirming(view: Callable[P, R]) -> Callable[P, R]:
    @wraps(view)
    def confirmed(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return view(*args, **kwargs)
        except StorageUnavailable:
            raise
        except (AtomicError, HTTPException):
            door().application.confirm(visit().known_caller)
            raise

    return confirmed


def _declare(access: Access) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def mark(view: Callable[P, R]) -> Callable[P, R]:
        _declared[view] = access
        return view

    return mark
