"""POST /merchants/register, /login, /logout and /password; GET /merchants/dashboard."""

import hashlib
from typing import Any, Final, NamedTuple

from flask import Blueprint, Response
from werkzeug.exceptions import HTTPException

from atomic_core.domain.credentials import (
    Credentials,
    derive_registration_scope_id,
    normalize_email,
    normalize_password,
)
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.use_cases.passwords import PasswordChange
from atomic_core.use_cases.registration import MerchantRegistration
from atomic_core.use_cases.sessions import LoginAttempt, Logout, NewSession
from atomic_web.access.authentication import get_current_policy, public, requires_session
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
    read_idempotent_request,
    redact,
    to_response,
)
from atomic_web.access.origins import build_origin
from atomic_web.access.rate_limiting import SoftLimit, count_against_limit, count_request
from atomic_web.context import request_context
from atomic_web.errors import RegistrationClosed
from atomic_web.http.body import read_json_object
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import (
    EMAIL_CONFLICT,
    MERCHANT_SUSPENDED,
    PASSWORD_CONFLICT,
    REGISTRATION_CLOSED,
    SERVICE_UNAVAILABLE,
    WRONG_CREDENTIALS,
    WRONG_PASSWORD,
)
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.merchants import (
    ChangedPasswordSchema,
    DashboardSchema,
    LoginSchema,
    NewSessionSchema,
    PasswordChangeSchema,
    RegisteredMerchantSchema,
    RegistrationSchema,
)
from atomic_web.schemas.sessions import EndedSessionSchema

views = Blueprint("merchants", __name__, url_prefix="/merchants")

PASSWORDS: Final = frozenset({"password", "currentPassword", "newPassword"})
TOKEN: Final = "token"  # noqa: S105  a field's name

_registration_schema: Final = RegistrationSchema()
_login_schema: Final = LoginSchema()
_registered_merchant_schema: Final = RegisteredMerchantSchema()
_new_session_schema: Final = NewSessionSchema()
_ended_session_schema: Final = EndedSessionSchema()
_password_change_schema: Final = PasswordChangeSchema()
_changed_password_schema: Final = ChangedPasswordSchema()
_dashboard_schema: Final = DashboardSchema()


class _EndedSession(NamedTuple):
    revoked: bool = True


class _ChangedPassword(NamedTuple):
    revoked_sessions: int
    changed: bool = True


REGISTER: Final = Operation(
    id="registerMerchant",
    summary="Register a merchant",
    description="409 if the email is registered already: without a confirmation mail, registration "
    "cannot hide that. A replay with the same Idempotency-Key must have the same password. The "
    "10,000 most common passwords are refused.",
    body=_registration_schema,
    body_examples={"shop": examples.REGISTRATION},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The merchant, with an account in the default currency.",
            data=_registered_merchant_schema,
            examples={"registered": examples.CREDENTIALS},
        ),
    ),
    error_responses=(REGISTRATION_CLOSED, EMAIL_CONFLICT, SERVICE_UNAVAILABLE),
)
LOG_IN: Final = Operation(
    id="logIn",
    summary="Log in",
    description="A wrong password and an unknown email get the same response, after the same work. "
    "Rate limited per client address. After many logins with one email, each client address may "
    "try that email only every half minute.",
    body=_login_schema,
    body_examples={"login": examples.LOGIN},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="The session with its token. No other response contains the token.",
            data=_new_session_schema,
            examples={"opened": examples.LOGGED_IN},
        ),
    ),
    error_responses=(WRONG_CREDENTIALS, MERCHANT_SUSPENDED, SERVICE_UNAVAILABLE),
)
LOG_OUT: Final = Operation(
    id="logOut",
    summary="Log out",
    description="Revokes the session at once; a repeated request gets 401. Takes no body.",
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="The session is revoked.",
            data=_ended_session_schema,
            examples={"ended": _EndedSession()},
        ),
    ),
)
CHANGE_PASSWORD: Final = Operation(
    id="changePassword",
    summary="Change the password",
    description="Ends all other sessions. The 10,000 most common passwords are refused. A replay "
    "with the same Idempotency-Key must have the same new password. Rate limited per session.",
    body=_password_change_schema,
    body_examples={"change": examples.PASSWORD_CHANGE},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="The password is changed.",
            data=_changed_password_schema,
            examples={"changed": _ChangedPassword(revoked_sessions=1)},
        ),
    ),
    error_responses=(WRONG_PASSWORD, PASSWORD_CONFLICT),
)
DASHBOARD: Final = Operation(
    id="getDashboard",
    summary="Get the dashboard",
    description="Profile, balances, latest payments and totals, from one snapshot.",
    responses=(
        Success(
            status=200,
            description="Profile, balances, latest payments and totals, from one snapshot.",
            data=_dashboard_schema,
            examples={"shop": examples.DASHBOARD},
        ),
    ),
)


@views.post("/register")
@describe_operation(REGISTER)
@public(rate_limit="register", must_be_counted=True)
def register() -> Response:
    if not request_context().settings.is_registration_open:
        raise RegistrationClosed
    content = read_json_object()
    refuse_query_parameters()
    values = _registration_schema.parse(content)
    key = read_idempotency_key()
    email = normalize_email(values["email"])
    context = request_context()
    registration = MerchantRegistration(
        email=email,
        password=normalize_password(values["password"]),
        name=values.get("name", email),
        currency=context.settings.default_currency,
        origin=build_origin(),
    )
    request = read_idempotent_request(
        key, _remove_passwords(content), derive_registration_scope_id(email)
    )

    def render_merchant(credentials: Credentials) -> StoredResponse:
        data = _registered_merchant_schema.dump(credentials)
        return StoredResponse(201, render_envelope(data))

    return to_response(
        context.application.merchants.register(registration, request, render_merchant)
    )


@views.post("/login")
@describe_operation(LOG_IN)
@public(rate_limit="login_address", is_counted_by_view=True, must_be_counted=True)
def log_in() -> Response:
    """Counts the request itself, when the email is known: all limits in one round trip."""
    policy = get_current_policy()
    try:
        attempt, request = _parse_attempt()
    except (AtomicError, HTTPException):
        count_request(policy)
        raise
    # The hash, because the rate limiter does not need the email itself.
    subject = hashlib.sha256(attempt.email.encode()).hexdigest()
    count_request(policy, SoftLimit("login_email", subject, "login_slow"))

    def render_session(logged_in: NewSession) -> StoredResponse:
        return StoredResponse(200, render_envelope(_new_session_schema.dump(logged_in)))

    log_in_merchant = request_context().application.sessions.log_in
    return to_response(log_in_merchant(attempt, request, render_session, redact(TOKEN)))


@views.post("/logout")
@describe_operation(LOG_OUT)
@requires_session()
def log_out() -> Response:
    refuse_query_parameters()
    key = read_idempotency_key()
    context = request_context()
    session = context.authenticated_session
    logout = Logout(session.id, session.merchant_id, build_origin())
    end_session = context.application.sessions.log_out
    return execute_idempotently(key, end_session, logout, _render_ended_session, {})


@views.post("/password")
@describe_operation(CHANGE_PASSWORD)
@requires_session()
def change_password() -> Response:
    context = request_context()
    session = context.authenticated_session
    # Per session: a thief with one token must not use up the tries of the owner.
    count_against_limit("password", subject=str(session.id), must_be_counted=True)
    content = read_json_object()
    refuse_query_parameters()
    values = _password_change_schema.parse(content)
    key = read_idempotency_key()
    change = PasswordChange(
        session=session,
        current_password=normalize_password(values["current_password"]),
        new_password=normalize_password(values["new_password"]),
        origin=build_origin(),
    )
    request = read_idempotent_request(key, _remove_passwords(content))

    def render_change(revoked_sessions: int) -> StoredResponse:
        data = _changed_password_schema.dump(_ChangedPassword(revoked_sessions))
        return StoredResponse(200, render_envelope(data))

    change_merchant_password = context.application.sessions.change_password
    return to_response(change_merchant_password(change, request, render_change))


@views.get("/dashboard")
@describe_operation(DASHBOARD)
@requires_session()
def dashboard() -> Response:
    refuse_query_parameters()
    context = request_context()
    merchant_dashboard = context.application.merchants.get_dashboard(context.merchant_id)
    return ok_response(_dashboard_schema.dump(merchant_dashboard))


def _parse_attempt() -> tuple[LoginAttempt, IdempotentRequest | None]:
    content = read_json_object()
    refuse_query_parameters()
    values = _login_schema.parse(content)
    key = read_idempotency_key()
    email = normalize_email(values["email"])
    attempt = LoginAttempt(email, normalize_password(values["password"]), build_origin())
    # The key belongs to the email until the password is verified, then to the merchant.
    return attempt, read_idempotent_request(
        key, _remove_passwords(content), derive_registration_scope_id(email)
    )


def _remove_passwords(content: dict[str, Any]) -> dict[str, Any]:
    """The content to fingerprint: a password could be guessed from its SHA-256 at high speed."""
    return {name: value for name, value in content.items() if name not in PASSWORDS}


def _render_ended_session(_: None) -> StoredResponse:
    return StoredResponse(200, render_envelope(_ended_session_schema.dump(_EndedSession())))
