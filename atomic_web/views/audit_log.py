"""GET /merchants/audit-log: every use of a merchant's authority."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from flask import Blueprint, Response

from atomic_core.domain.audit_log import Place, Recorded
from atomic_core.domain.lists import Position
from atomic_web.auth import logged_in
from atomic_web.context import visit
from atomic_web.cursors import Cursors
from atomic_web.filters import PAGE, parted
from atomic_web.openapi import examples
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.query import read_query
from atomic_web.responses import ok
from atomic_web.schemas.audit_log import AuditPageSchema

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
    at_hand = visit()
    cursors = Cursors(at_hand.merchant_id, ("audit log",))
    after = cursors.position(cursor)
    log = at_hand.door.application.read_audit_log
    rows, rest = log(at_hand.merchant_id, Place(*after) if after else None, limit)
    return ok(_page.dump(_Page(rows, rest and cursors.at(Position(*rest)))))
