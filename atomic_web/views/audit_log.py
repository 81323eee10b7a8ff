"""GET /merchants/audit-log: every use of a merchant's authority."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from flask import Blueprint, Response

from atomic_core.domain.audit_log import Place, Recorded
from atomic_web.auth import logged_in
from atomic_web.context import door, visit
from atomic_web.openapi import examples
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.paging import cursor_of, read_page
from atomic_web.responses import ok
from atomic_web.schemas.audit_log import AuditPageSchema

views = Blueprint("audit_log", __name__, url_prefix="/merchants/audit-log")

_page: Final = AuditPageSchema()


class _Page(NamedTuple):
    items: Sequence[Recorded]
    next_cursor: str | None

    @classmethod
    def of(cls, rows: Sequence[Recorded], rest: Place | None) -> "_Page":
        return cls(rows, rest and cursor_of(*rest))


LIST: Final = Operation(
    id="listAuditLog",
    summary="Who did what in this merchant's name, newest first",
    description="Nothing in it can be changed or removed, by nobody.",
    parameters=("limit", "cursor"),
    answers=(
        Success(
            status=200,
            description="A page of it.",
            data=_page,
            examples={
                "last": _Page.of([examples.RECORDED], None),
                "first": _Page.of([examples.RECORDED], examples.RECORDED.place),
            },
        ),
    ),
)


@views.get("")
@documented(LIST)
@logged_in()
def show() -> Response:
    asked = read_page()
    before = Place(*asked.after) if asked.after else None
    log = door().application.read_audit_log
    return ok(_page.dump(_Page.of(*log(visit().merchant_id, before, asked.limit))))
