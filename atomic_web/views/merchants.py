"""POST /merchants/register, /login and /logout; GET /merchants/dashboard."""

import hashlib
from typing import Any, Final, NamedTuple

from flask import Blueprint, Response
from werkzeug.exceptions import HTTPException

from atomic_core.domain.credentials import (
    Credentials,
    normal_email,
    normal_password,
    registration_scope,
)
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.use_cases.sessions import Attempt, Leaving, LoggedIn, Registration
from atomic_web.access.audit_origin import origin
from atomic_web.access.authentication import access_of_request, logged_in, public
from atomic_web.access.idempotency import (
    HEADER,
    idempotent_request,
    perform,
    read_key,
    redact,
    to_response,
)
from atomic_web.access.rate_limiting import count_request
from atomic_web.context import app_context, request_context
from atomic_web.http.body import read_object
from atomic_web.http.ids import refuse_query
from atomic_web.http.responses import envelope, ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import STATE_CONFLICT, UNAUTHORIZED, UNAVAILABLE
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.merchants import (
    DashboardSchema,
    LoggedInSchema,
    LoggedOutSchema,
    LoginSchema,
    RegisteredSchema,
    RegistrationSchema,
)

views = Blueprint("merchants", __name__, url_prefix="/merchants")

PASSWORD: Final = "password"  # noqa: S105  a field's name
TOKEN: Final = "token"  # noqa: S105  a field's name

_registration: Final = RegistrationSchema()
_login: Final = LoginSchema()
_registered: Final = RegisteredSchema()
_logged_in: Final = LoggedInSchema()
_logged_out: Final = LoggedOutSchema()
_dashboard: Final = DashboardSchema()


class _LoggedOut(NamedTuple):
    revoked: bool = True


REGISTER: Final = Operation(
    id="registerMerchant",
    summary="Become a merchant, with an account",
    description="409 tells that the email is taken: without a mail to confirm it, a registration "
    "cannot hide that. A repeat with the same Idempotency-Key must have the same password.",
    body=_registration,
    requests={"shop": examples.REGISTRATION},
    parameters=(HEADER,),
    answers=(
        Success(
            status=201,
            description="The merchant, and the account that payments in its currency credit.",
            data=_registered,
            examples={"registered": examples.CREDENTIALS},
        ),
    ),
    refusals=(STATE_CONFLICT, UNAVAILABLE),
)
LOG_IN: Final = Operation(
    id="logIn",
    summary="Open a session",
    description="A wrong password and an unknown email are the same answer, at the same cost. "
    "Counted per address and per email.",
    body=_login,
    requests={"login": examples.LOGIN},
    parameters=(HEADER,),
    answers=(
        Success(
            status=200,
            description="The session's token, this once.",
            data=_logged_in,
            examples={"opened": examples.LOGGED_IN},
        ),
    ),
    refusals=(UNAUTHORIZED, UNAVAILABLE),
)
LOG_OUT: Final = Operation(
    id="logOut",
    summary="End this session",
    description="At once and for good; a repeat is 401. Takes no body.",
    parameters=(HEADER,),
    answers=(
        Success(
            status=200,
            description="Its token opens nothing any more.",
            data=_logged_out,
            examples={"ended": _LoggedOut()},
        ),
    ),
)
DASHBOARD: Final = Operation(
    id="getDashboard",
    summary="Profile, balances, last payments, and totals, all of one moment",
    answers=(
        Success(
            status=200,
            description="The dashboard.",
            data=_dashboard,
            examples={"shop": examples.DASHBOARD},
        ),
    ),
)


@views.post("/register")
@documented(REGISTER)
@public(limit="register")
def register() -> Response:
    content = read_object()
    refuse_query()
    asked = _registration.read(content)
    key = read_key()
    email = normal_email(asked["email"])
    registration = Registration(
        email=email,
        password=normal_password(asked["password"]),
        name=asked.get("name", email),
        currency=app_context().settings.default_currency,
        origin=origin(),
    )
    request = idempotent_request(key, _keepable(content), registration_scope(email))

    def render_registration(added: Credentials) -> StoredResponse:
        return StoredResponse(201, envelope(_registered.dump(added)))

    return to_response(
        app_context().application.merchants.register(registration, request, render_registration)
    )


@views.post("/login")
@documented(LOG_IN)
@public(limit="login_address", counts=True)
def log_in() -> Response:
    """Counted once it is known against which email: all limits in one round trip."""
    access = access_of_request()
    try:
        attempt, request = _read_attempt()
    except (AtomicError, HTTPException):
        count_request(access)
        raise
    # Not the email itself: what counts requests need not know whose they are.
    subject = hashlib.sha256(attempt.email.encode()).hexdigest()
    count_request(access, [("login_email", subject)])

    def render_login(entered: LoggedIn) -> StoredResponse:
        return StoredResponse(200, envelope(_logged_in.dump(entered)))

    return to_response(
        app_context().application.sessions.log_in(attempt, request, render_login, redact(TOKEN))
    )


@views.post("/logout")
@documented(LOG_OUT)
@logged_in()
def log_out() -> Response:
    refuse_query()
    key = read_key()
    session = request_context().known_session
    leaving = Leaving(session.id, session.merchant_id, origin())
    return perform(key, app_context().application.sessions.log_out, leaving, _left, {})


@views.get("/dashboard")
@documented(DASHBOARD)
@logged_in()
def dashboard() -> Response:
    refuse_query()
    return ok(
        _dashboard.dump(
            app_context().application.merchants.get_dashboard(request_context().merchant_id)
        )
    )


def _read_attempt() -> tuple[Attempt, IdempotentRequest | None]:
    content = read_object()
    refuse_query()
    asked = _login.read(content)
    key = read_key()
    email = normal_email(asked["email"])
    attempt = Attempt(email, normal_password(asked["password"]), origin())
    # Whose the key is shows when the password has proved right; until then, it is the email's.
    return attempt, idempotent_request(key, _keepable(content), registration_scope(email))


def _keepable(content: dict[str, Any]) -> dict[str, Any]:
    """What of a request may leave a fingerprint. From that of a password it could be guessed, at
    the speed of SHA-256."""
    return {name: value for name, value in content.items() if name != PASSWORD}


def _left(_nothing: None) -> StoredResponse:
    return StoredResponse(200, envelope(_logged_out.dump(_LoggedOut())))
