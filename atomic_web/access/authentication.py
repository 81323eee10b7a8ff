"""Who may come in. Every route says so itself: with `@public`, with `@authenticated`, for those who
show an API key that is good for it, or with `@logged_in`, for those who show a session token."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from atomic_core.domain.errors import AtomicError, Forbidden, StorageUnavailable, Unauthorized
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.sessions import NO_SESSION
from atomic_web.context import app_context, request_context

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks of its callers."""

    authenticated: bool
    """Whether it asks for anything: an API key, or else a session token."""
    limited: bool = True
    """Whether the global limit per client address counts it."""
    limit: str | None = None
    """The name of a further limit, counted per merchant, or per client address on a public route
    (see Settings.rate_limits)."""
    counts: bool = False
    """Whether its view calls count_request itself, knowing of more to count against."""
    scope: Scope | None = None
    """What an API key must be good for."""
    session: bool = False
    """Whether it asks for a session token, and no API key will do."""
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


def public(
    *, limited: bool = True, limit: str | None = None, counts: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a route that anyone may call."""
    return _declare(Access(authenticated=False, limited=limited, limit=limit, counts=counts))


def logged_in(limit: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a route that asks for a session token."""
    return _declare(Access(authenticated=True, limit=limit, session=True))


def authenticated(
    *, scope: str, limit: str | None = None, confirms: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a route that asks for an API key with this scope, with a limit of its own if one is
    named.

    With `confirms` its view must act through a use case that confirms the caller. Should it
    refuse a request before that, the caller is confirmed here: whoever shows a revoked key is
    told so, and nothing else.
    """
    access = Access(authenticated=True, limit=limit, confirms=confirms, scope=Scope(scope))
    declare = _declare(access)
    if not confirms:
        return declare
    return lambda view: declare(_confirming(view))


def access_of(view: Callable[..., Any]) -> Access | None:
    """What the view declared; None if it declared nothing."""
    return _declared.get(view)


def access_of_request() -> Access:
    """Raises LookupError for a route that declared nothing: closed until it says otherwise."""
    endpoint = request.endpoint
    if endpoint is None:
        return UNMATCHED
    access = access_of(current_app.view_functions[endpoint])
    if access is None:
        raise LookupError(f"{endpoint} does not say who may call it")
    return access


def authenticate(access: Access) -> None:
    """Note in the visit whose key or token was shown. Raises Unauthorized, in the same words
    whatever is wrong; Forbidden if the key is not good for this route."""
    context = request_context()
    shown = _shown()
    if access.session:
        if shown is None:
            raise Unauthorized(NO_SESSION)
        context.session = context.app_context.application.sessions.authenticate(shown)
        return
    if shown is None:
        raise Unauthorized
    application = context.app_context.application
    caller = application.api_keys.recognize(shown)
    allowed = access.scope in caller.scopes
    # Also before a refusal, which a key that is revoked must not be told.
    if not access.confirms or not allowed:
        application.api_keys.confirm(caller)
    context.caller = caller
    if not allowed:
        needed = f"This API key lacks the scope {access.scope}."
        raise Forbidden(needed, details={"scope": [f"Must include {access.scope}."]})


def _shown() -> str | None:
    """What stands in the Authorization header, if it can be a key or a token at all."""
    header = request.headers.get("Authorization", "")
    match = _BEARER.fullmatch(header) if len(header) <= _MAX_HEADER else None
    return match[1] if match else None


def _confirming(view: Callable[P, R]) -> Callable[P, R]:
    @wraps(view)
    def confirmed(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return view(*args, **kwargs)
        except StorageUnavailable:
            raise
        except (AtomicError, HTTPException):
            app_context().application.api_keys.confirm(request_context().known_caller)
            raise

    return confirmed


def _declare(access: Access) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def mark(view: Callable[P, R]) -> Callable[P, R]:
        _declared[view] = access
        return view

    return mark
