"""GET /merchants/audit-log: registrations, logins and changes of API keys."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.audit_log import AuditLogPosition
from atomic_core.domain.lists import Position
from atomic_web.access.authentication import requires_session
from atomic_web.context import request_context
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.pages import RenderedPage
from atomic_web.http.query import parse_query
from atomic_web.http.responses import ok_response
from atomic_web.openapi import examples
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.audit_log import AuditPageSchema
from atomic_web.schemas.filters import PAGE_QUERY, split_page_parameters

views = Blueprint("audit_log", __name__, url_prefix="/merchants/audit-log")

_page_schema: Final = AuditPageSchema()


LIST: Final = Operation(
    id="listAuditLog",
    summary="List the merchant's audit log, newest first",
    description="The audit log is append-only.",
    query=PAGE_QUERY,
    responses=(
        Success(
            status=200,
            description="A page of the audit log.",
            data=_page_schema,
            examples={
                "last": RenderedPage([examples.RECORDED], None),
                "first": RenderedPage([examples.RECORDED], examples.CURSOR),
            },
        ),
    ),
)


@views.get("")
@describe_operation(LIST)
@requires_session()
def show() -> Response:
    limit, cursor, _ = split_page_parameters(parse_query(PAGE_QUERY))
    context = request_context()
    codec = CursorCodec(context.merchant_id, ("audit log",))
    after = codec.decode_position(cursor)
    events, next_place = context.application.merchants.list_audit_events(
        context.merchant_id, AuditLogPosition(*after) if after else None, limit
    )
    next_cursor = codec.encode_position(Position(*next_place)) if next_place else None
    return ok_response(_page_schema.dump(RenderedPage(events, next_cursor)))
