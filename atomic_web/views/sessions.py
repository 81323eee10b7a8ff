"""/merchants/sessions: a merchant lists and ends its sessions."""

from typing import Final, NamedTuple

from flask import Blueprint, Response

from atomic_core.domain.credentials import MAX_LIVE_SESSIONS, Session
from atomic_web.access.authentication import requires_session
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.ids import parse_sole_path_id
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.sessions import EndedSessionSchema, EndedSessionsSchema, SessionSchema

views = Blueprint("sessions", __name__, url_prefix="/merchants/sessions")

_list_schema: Final = SessionSchema(many=True)
_ended_session_schema: Final = EndedSessionSchema()
_ended_sessions_schema: Final = EndedSessionsSchema()


class _ListedSession(NamedTuple):
    session: Session
    is_current: bool


class _EndedSession(NamedTuple):
    revoked: bool = True


class _EndedSessions(NamedTuple):
    revoked_count: int


LIST: Final = Operation(
    id="listSessions",
    summary="List the sessions, newest first",
    description=f"Without expired and revoked ones. Above {MAX_LIVE_SESSIONS} sessions, a login "
    "ends the oldest.",
    responses=(
        Success(
            status=200,
            description="The sessions.",
            data=_list_schema,
            examples={"one": [_ListedSession(examples.LOGGED_IN.session, is_current=True)]},
        ),
    ),
)
REVOKE: Final = Operation(
    id="revokeSession",
    summary="End a session",
    description="Its token stops working at once. Safe to repeat.",
    responses=(
        Success(
            status=200,
            description="The session is revoked.",
            data=_ended_session_schema,
            examples={"ended": _EndedSession()},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
REVOKE_OTHERS: Final = Operation(
    id="revokeOtherSessions",
    summary="End all other sessions",
    description="All but the session of this request.",
    responses=(
        Success(
            status=200,
            description="The other sessions are revoked.",
            data=_ended_sessions_schema,
            examples={"two": _EndedSessions(2)},
        ),
    ),
)


@views.get("")
@describe_operation(LIST)
@requires_session()
def list_() -> Response:
    refuse_query_parameters()
    context = request_context()
    current = context.authenticated_session
    sessions = [
        _ListedSession(session, session.id == current.id)
        for session in context.application.sessions.list(context.merchant_id)
    ]
    return ok_response(_list_schema.dump(sessions))


@views.delete("/<id>")
@describe_operation(REVOKE)
@requires_session()
def revoke(id: str) -> Response:
    session_id = parse_sole_path_id(id)
    context = request_context()
    context.application.sessions.revoke(session_id, context.merchant_id, build_origin())
    return ok_response(_ended_session_schema.dump(_EndedSession()))


@views.delete("")
@describe_operation(REVOKE_OTHERS)
@requires_session()
def revoke_others() -> Response:
    refuse_query_parameters()
    context = request_context()
    count = context.application.sessions.revoke_others(
        context.merchant_id, context.authenticated_session.id, build_origin()
    )
    return ok_response(_ended_sessions_schema.dump(_EndedSessions(count)))
