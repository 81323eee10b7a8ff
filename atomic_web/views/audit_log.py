"""GET /merchants/audit-log: every use of a merchant's authority."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from flask import Blueprint, Response

from atomic_core.domain.audit_log import Place, Recorded
from atomic_core.domain.lists import Position
from atomic_web.access.authentication import logged_in
from atomic_web.context import request_context
from atomic_web.http.cursors import Cursors
from atomic_web.http.query import read_query
from atomic_web.http.responses import ok
from atomic_web.openapi import examples
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.audit_log import AuditPageSchema
from atomic_web.schemas.filters import PAGE, parted

views = Blueprint("audit_log", __name__, url_prefix="/merchants/audit-log")

_page: Final = AuditPageSchema()


class _Page(NamedTuple):
    items: Sequence[Recorded]
    next_cursor: str | None


LIST: Final = Operation(
    id="listAuditLog",
    summary="Who did what in this merchant's name, newest first",
    description="Nothing in it can be changed or removed, by nobody.",
    query=PAGE,
    answers=(
        Success(
            status=200,
            description="A page of it.",
            data=_page,
            examples={
                "last": _Page([examples.RECORDED], None),
                "first": _Page([examples.RECORDED], examples.CURSOR),
            },
        ),
    ),
)


@views.get("")
@documented(LIST)
@logged_in()
def show() -> Response:
    limit, cursor, _ = parted(read_query(PAGE))
    context = request_context()
    cursors = Cursors(context.merchant_id, ("audit log",))
    after = cursors.position(cursor)
    log = context.app_context.application.merchants.list_audit_events
    rows, rest = log(context.merchant_id, Place(*after) if after else None, limit)
    return ok(_page.dump(_Page(rows, rest and cursors.at(Position(*rest)))))
