"""POST and GET /ledger/transactions, and reversals: the ledger as merchants use it."""

from functools import partial
from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.lists import JournalFilter
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.journal import ReversalRequest
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
    read_idempotent_request,
    to_response,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object, read_optional_json_object
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.ids import parse_path_id, parse_sole_path_id
from atomic_web.http.pages import RenderedPage, render_page
from atomic_web.http.query import parse_query, refuse_query_parameters
from atomic_web.http.responses import build_meta, ok_response
from atomic_web.journal_requests import build_new_transaction, render_posted
from atomic_web.openapi import journal_examples as examples
from atomic_web.openapi.error_responses import (
    ALREADY_REVERSED,
    EXTERNAL_ID_CONFLICT,
    NOT_FOUND,
    TRANSACTION_REFUSED,
)
from atomic_web.openapi.examples import CURSOR
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.filters import LEDGER_TRANSACTION_QUERY, split_page_parameters
from atomic_web.schemas.journal import (
    JournalTransactionPageSchema,
    JournalTransactionPreviewSchema,
    JournalTransactionSchema,
    NewJournalTransactionSchema,
    ReversalSchema,
    build_contents,
)

views = Blueprint("journal", __name__, url_prefix="/ledger/transactions")

_request_schema: Final = NewJournalTransactionSchema()
_reversal_schema: Final = ReversalSchema()
_response_schema: Final = JournalTransactionSchema()
_preview_schema: Final = JournalTransactionPreviewSchema()
_page_schema: Final = JournalTransactionPageSchema()

CREATE: Final = Operation(
    id="postLedgerTransaction",
    summary="Post a ledger transaction",
    description="Posts entries in the merchant's own accounts at once, all or none. 422 names the "
    "first entry that its account does not allow, and why. An account that is not the merchant's is"
    " 404. With `pending` the entries are reserved instead, until the transaction is posted, voided"
    " or expired. With `dryRun` the response is 200 with what would be posted; an Idempotency-Key"
    " then stays unused.",
    body=_request_schema,
    body_examples={
        "transfer": examples.NEW_TRANSACTION,
        "pending": examples.NEW_TRANSACTION | {"pending": True},
    },
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="What would be posted: with `dryRun` only.",
            data=_preview_schema,
            examples={"preview": examples.TRANSACTION},
        ),
        Success(
            status=201,
            description="The transaction, with the balances after its entries if it is posted.",
            data=_response_schema,
            examples={"posted": examples.TRANSACTION, "pending": examples.PENDING},
            headers=("Location",),
            links={"transaction": build_link("getLedgerTransaction", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, EXTERNAL_ID_CONFLICT, TRANSACTION_REFUSED),
)
REVERSE: Final = Operation(
    id="reverseLedgerTransaction",
    summary="Reverse a ledger transaction",
    description="Posts the negated entries as a new transaction, which refers to the original. Once"
    " only: later requests get 409, and so does the reversal of a reversal.",
    body=_reversal_schema,
    body_examples={"default": {}, "reason": {"description": "Posted twice by mistake"}},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The reversal.",
            data=_response_schema,
            examples={"reversal": examples.REVERSAL},
            headers=("Location",),
            links={"transaction": build_link("getLedgerTransaction", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, ALREADY_REVERSED, TRANSACTION_REFUSED),
)
SHOW: Final = Operation(
    id="getLedgerTransaction",
    summary="Get a ledger transaction with its entries",
    description="A ledger transaction that the merchant has posted. Those of payments and refunds "
    "are in the entries of accounts.",
    responses=(
        Success(
            status=200,
            description="The transaction.",
            data=_response_schema,
            examples={"posted": examples.TRANSACTION},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
LIST: Final = Operation(
    id="listLedgerTransactions",
    summary="List ledger transactions",
    description="Those that the merchant has posted, newest first. `nextCursor` leads to the next "
    "page. A transaction must match all filters.",
    query=LEDGER_TRANSACTION_QUERY,
    responses=(
        Success(
            status=200,
            description="A page.",
            data=_page_schema,
            examples={
                "first": RenderedPage([_response_schema.dump(examples.TRANSACTION)], CURSOR),
                "empty": RenderedPage([], None),
            },
        ),
    ),
)


@views.post("")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.LEDGER_WRITE)
def create() -> Response:
    content = read_json_object()
    refuse_query_parameters()
    values, key, context = _request_schema.parse(content), read_idempotency_key(), request_context()
    new_transaction = build_new_transaction(values, key, build_origin())
    journal = context.application.journal
    if values["dry_run"]:
        return ok_response(_preview_schema.dump(journal.preview(new_transaction)))
    # Another request may render the response.
    render = partial(render_posted, meta=build_meta())
    request = read_idempotent_request(key, content)
    return to_response(journal.post_once(new_transaction, request, render))


@views.post("/<id>/reverse")
@describe_operation(REVERSE)
@requires_api_key(scope=Scope.LEDGER_WRITE)
def reverse(id: str) -> Response:
    transaction_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    values, key = _reversal_schema.parse(content), read_idempotency_key()
    context = request_context()
    request = ReversalRequest(
        merchant_id=context.merchant_id,
        transaction_id=transaction_id,
        idempotency_key=key,
        origin=build_origin(),
        **build_contents(values),
    )
    reverse_transaction = context.application.journal.reverse
    return execute_idempotently(key, reverse_transaction, request, render_posted, content)


@views.get("/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.LEDGER_READ)
def show(id: str) -> Response:
    transaction_id = parse_sole_path_id(id)
    context = request_context()
    transaction = context.application.journal.get(context.merchant_id, transaction_id)
    return ok_response(_response_schema.dump(transaction))


@views.get("")
@describe_operation(LIST)
@requires_api_key(scope=Scope.LEDGER_READ)
def list_transactions() -> Response:
    limit, cursor, filters = split_page_parameters(parse_query(LEDGER_TRANSACTION_QUERY))
    journal_filter, context = JournalFilter(**filters), request_context()
    codec = CursorCodec(context.merchant_id, ("ledger transactions", journal_filter))
    page = context.application.journal.list(
        context.merchant_id, journal_filter, codec.decode_position(cursor), limit
    )
    return render_page(page, _page_schema, _response_schema, codec)
