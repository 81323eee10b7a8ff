"""POST /ledger/periods/close, and GET /ledger/periods with their closing balances."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.periods import ClosingRequest, Period
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import BASE_PATH, request_context
from atomic_web.http.body import read_json_object
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.ids import parse_path_id, parse_sole_path_id
from atomic_web.http.pages import RenderedPage, render_numbered_page, render_page
from atomic_web.http.query import parse_query, refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import period_examples as examples
from atomic_web.openapi.error_responses import NOT_FOUND, PERIOD_CONFLICT
from atomic_web.openapi.examples import CURSOR
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.filters import PAGE_QUERY, split_page_parameters
from atomic_web.schemas.periods import (
    ClosingBalancePageSchema,
    ClosingBalanceSchema,
    ClosingSchema,
    PeriodPageSchema,
    PeriodSchema,
    build_end_date,
)

views = Blueprint("periods", __name__, url_prefix="/ledger/periods")

PATH: Final = f"{BASE_PATH}/ledger/periods"

_request_schema: Final = ClosingSchema()
_response_schema: Final = PeriodSchema()
_page_schema: Final = PeriodPageSchema()
_balance_schema: Final = ClosingBalanceSchema()
_balance_page_schema: Final = ClosingBalancePageSchema()

CLOSE: Final = Operation(
    id="closeLedgerPeriod",
    summary="Close a ledger period",
    description="Closes the merchant's books up to a day: no ledger transaction with an "
    "`effectiveAt` up to its end is posted any more. The balance of each account at the end is "
    "kept, with a digest of all of them. It cannot be undone. Payments take effect when they are "
    "posted, and are not affected.",
    body=_request_schema,
    body_examples={"month": {"endDate": "2026-10-31"}},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The closed period.",
            data=_response_schema,
            examples={"closed": examples.PERIOD},
            headers=("Location",),
            links={"period": build_link("getLedgerPeriod", "/data/id")},
        ),
    ),
    error_responses=(PERIOD_CONFLICT,),
)
SHOW: Final = Operation(
    id="getLedgerPeriod",
    summary="Get a closed ledger period",
    description="With the digest of its closing balances.",
    responses=(
        Success(
            status=200,
            description="The period.",
            data=_response_schema,
            examples={"closed": examples.PERIOD},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
LIST: Final = Operation(
    id="listLedgerPeriods",
    summary="List closed ledger periods",
    description="The latest first. `nextCursor` leads to the next page.",
    query=PAGE_QUERY,
    responses=(
        Success(
            status=200,
            description="A page.",
            data=_page_schema,
            examples={
                "first": RenderedPage([_response_schema.dump(examples.PERIOD)], CURSOR),
                "empty": RenderedPage([], None),
            },
        ),
    ),
)
BALANCES: Final = Operation(
    id="listClosingBalances",
    summary="List the closing balances of a ledger period",
    description="In the order of account ids. `nextCursor` leads to the next page.",
    query=PAGE_QUERY,
    responses=(
        Success(
            status=200,
            description="A page.",
            data=_balance_page_schema,
            examples={
                "first": RenderedPage([_balance_schema.dump(examples.CLOSING_BALANCE)], CURSOR),
                "empty": RenderedPage([], None),
            },
        ),
    ),
    error_responses=(NOT_FOUND,),
)


@views.post("/close")
@describe_operation(CLOSE)
@requires_api_key(scope=Scope.LEDGER_WRITE)
def close() -> Response:
    content = read_json_object()
    refuse_query_parameters()
    end, context = build_end_date(_request_schema.parse(content)), request_context()
    request = ClosingRequest(context.merchant_id, end, build_origin())
    key, close_period = read_idempotency_key(), context.application.periods.close
    return execute_idempotently(key, close_period, request, _render_closed, content)


@views.get("/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.LEDGER_READ)
def show(id: str) -> Response:
    period_id, context = parse_sole_path_id(id), request_context()
    period = context.application.periods.get(context.merchant_id, period_id)
    return ok_response(_response_schema.dump(period))


@views.get("")
@describe_operation(LIST)
@requires_api_key(scope=Scope.LEDGER_READ)
def list_periods() -> Response:
    limit, cursor, _ = split_page_parameters(parse_query(PAGE_QUERY))
    context = request_context()
    codec = CursorCodec(context.merchant_id, ("ledger periods",))
    page = context.application.periods.list(
        context.merchant_id, codec.decode_position(cursor), limit
    )
    return render_page(page, _page_schema, _response_schema, codec)


@views.get("/<id>/balances")
@describe_operation(BALANCES)
@requires_api_key(scope=Scope.LEDGER_READ)
def list_balances(id: str) -> Response:
    period_id, context = parse_path_id(id), request_context()
    limit, cursor, _ = split_page_parameters(parse_query(PAGE_QUERY))
    codec = CursorCodec(context.merchant_id, ("closing balances", period_id))
    page = context.application.periods.list_balances(
        context.merchant_id, period_id, codec.decode_sequence(cursor), limit
    )
    return render_numbered_page(page, _balance_page_schema, _balance_schema, codec)


def _render_closed(period: Period) -> StoredResponse:
    body = render_envelope(_response_schema.dump(period))
    return StoredResponse(201, body, f"{PATH}/{period.id}")
