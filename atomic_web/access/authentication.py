"""Authentication. Every view declares its access policy with one decorator: `@public`,
`@requires_api_key` or `@requires_session`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from atomic_core.domain.errors import AtomicError, StorageUnavailable
from atomic_core.domain.merchants import TOKEN_PREFIX, Scope
from atomic_web.context import request_context
from atomic_web.errors import (
    ApiKeyGiven,
    ApiKeyMalformed,
    ApiKeyMissing,
    RequestTimeout,
    ScopeMissing,
    SessionTokenGiven,
    SessionTokenMalformed,
    SessionTokenMissing,
)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Which credential a route requires, and which rate limits apply to it."""

    is_public: bool
    """Requires neither an API key nor a session token."""
    is_session_required: bool = False
    """Requires a session token instead of an API key."""
    scope: Scope | None = None
    """The scope that the API key must have."""
    other_scopes: tuple[Scope, ...] = ()
    """Each of them admits an API key as well. The view then calls require_scope with the scope of
    what it reveals."""
    is_confirmed_by_use_case: bool = False
    """The use case itself checks, in its transaction, that the API key is still active. Until then
    the key may be known from a cache only."""
    has_global_limit: bool = True
    """Counts against the `global` limit per client address."""
    rate_limit: str | None = None
    """The name of a further limit (see Settings.rate_limits). Counted per merchant, or per client
    address on a public route."""
    is_counted_by_view: bool = False
    """The view calls count_request itself, because it knows of more limits."""
    must_be_counted: bool = False
    """Refused while the rate limiter is unavailable: its limits are what protects passwords."""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """An API key must have one of them."""
        return (self.scope, *self.other_scopes) if self.scope else ()


UNROUTED: Final = AccessPolicy(is_public=True)
"""For URLs that match no route: no credential is required, but the requests are rate limited."""

PREFLIGHT: Final = AccessPolicy(is_public=True, has_global_limit=False, rate_limit="service")
"""For OPTIONS: a browser's preflight carries no credential."""

_policies_by_view: dict[Callable[..., Any], AccessPolicy] = {}

# RFC 6750's b64token; the scheme's name is case-insensitive (RFC 9110, 11.1). Anything that
# cannot be a credential is refused without a look-up.
_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]{1,256}=*)")
_MAX_HEADER_LENGTH: Final = 512

_API_KEY_PREFIX: Final = "sk_"


def public(
    *,
    has_global_limit: bool = True,
    rate_limit: str | None = None,
    is_counted_by_view: bool = False,
    must_be_counted: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare that a route requires no credential."""
    return _declare(
        AccessPolicy(
            is_public=True,
            has_global_limit=has_global_limit,
            rate_limit=rate_limit,
            is_counted_by_view=is_counted_by_view,
            must_be_counted=must_be_counted,
        )
    )


def requires_session(
    rate_limit: str | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare that a route requires a session token."""
    return _declare(AccessPolicy(is_public=False, is_session_required=True, rate_limit=rate_limit))


def requires_api_key(
    *,
    scope: str,
    other_scopes: Sequence[str] = (),
    rate_limit: str | None = None,
    is_confirmed_by_use_case: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare that a route requires an API key with this scope, or with one of `other_scopes`.

    With `is_confirmed_by_use_case` the view must call a use case that confirms the caller. If the
    view fails before that, the caller is confirmed here, so that a revoked key always gets 401.
    """
    declare = _declare(
        AccessPolicy(
            is_public=False,
            scope=Scope(scope),
            other_scopes=tuple(Scope(other) for other in other_scopes),
            rate_limit=rate_limit,
            is_confirmed_by_use_case=is_confirmed_by_use_case,
        )
    )
    if not is_confirmed_by_use_case:
        return declare
    return lambda view: declare(_confirm_caller_on_error(view))


def get_access_policy(view: Callable[..., Any]) -> AccessPolicy | None:
    """None if the view declares none."""
    return _policies_by_view.get(view)


def get_current_policy() -> AccessPolicy:
    """The policy of the current request's route. Raises LookupError if its view declares none: a
    route is closed until it declares a policy."""
    endpoint = request.endpoint
    if endpoint is None:
        return UNROUTED
    policy = get_access_policy(current_app.view_functions[endpoint])
    if policy is None:
        raise LookupError(f"{endpoint} declares no access policy")
    return policy


def authenticate(policy: AccessPolicy) -> None:
    """Set the caller or the session of the request context.

    Raises Unauthorized, with the same error for unknown, expired and revoked credentials, and
    ScopeMissing if the API key lacks the scope.
    """
    context = request_context()
    credential = _read_bearer_credential()
    if policy.is_session_required:
        if credential is None:
            raise SessionTokenMalformed if _has_authorization() else SessionTokenMissing
        if credential.startswith(_API_KEY_PREFIX):
            raise ApiKeyGiven
        context.session = context.application.sessions.authenticate(credential)
        return
    if credential is None:
        raise ApiKeyMalformed if _has_authorization() else ApiKeyMissing
    if credential.startswith(TOKEN_PREFIX):
        raise SessionTokenGiven
    api_keys = context.application.api_keys
    caller = api_keys.identify(credential)
    has_scope = not caller.scopes.isdisjoint(policy.scopes)
    # A missing scope is reported to active keys only, so the key is confirmed first.
    if not policy.is_confirmed_by_use_case or not has_scope:
        api_keys.require_active(caller)
    context.caller = caller
    if not has_scope:
        raise _build_scope_error(*policy.scopes)


def is_scope_granted(scope: Scope) -> bool:
    """Whether the API key of the current request has this scope."""
    return scope in request_context().authenticated_caller.scopes


def require_scope(scope: Scope) -> None:
    """For a view that reveals more than its route's scope allows. Raises ScopeMissing if the API
    key of the current request lacks this scope."""
    if not is_scope_granted(scope):
        raise _build_scope_error(scope)


def _build_scope_error(*scopes: Scope) -> ScopeMissing:
    names = " or ".join(scopes)
    return ScopeMissing(
        f"This API key lacks the scope {names}.", details={"scope": [f"Must include {names}."]}
    )


def _read_bearer_credential() -> str | None:
    """None if the Authorization header cannot hold an API key or a session token."""
    header = request.headers.get("Authorization", "")
    match = _BEARER.fullmatch(header) if len(header) <= _MAX_HEADER_LENGTH else None
    return match[1] if match else None


def _has_authorization() -> bool:
    return bool(request.headers.get("Authorization", "").strip())


def _confirm_caller_on_error(view: Callable[P, R]) -> Callable[P, R]:
    @wraps(view)
    def call_view(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return view(*args, **kwargs)
        except (StorageUnavailable, RequestTimeout):
            # What has not arrived reveals nothing to a revoked key. Without this, each slow client
            # would need a database connection.
            raise
        except (AtomicError, HTTPException):
            context = request_context()
            context.application.api_keys.require_active(context.authenticated_caller)
            raise

    return call_view


def _declare(policy: AccessPolicy) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def register(view: Callable[P, R]) -> Callable[P, R]:
        _policies_by_view[view] = policy
        return view

    return register
