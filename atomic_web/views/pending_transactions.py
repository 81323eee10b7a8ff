"""POST /ledger/transactions/{id}/post and /void: end a pending ledger transaction."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.journal import JournalTransaction
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.pending_transactions import PostPendingRequest, VoidRequest
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_optional_json_object
from atomic_web.http.ids import parse_path_id
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import render_envelope
from atomic_web.journal_requests import PATH
from atomic_web.openapi import journal_examples as examples
from atomic_web.openapi.error_responses import (
    NOT_FOUND,
    POST_PENDING_CONFLICT,
    TRANSACTION_REFUSED,
    VOID_CONFLICT,
)
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.journal import (
    JournalTransactionSchema,
    PendingPostSchema,
    VoidSchema,
    build_legs,
)

views = Blueprint("pending_transactions", __name__, url_prefix="/ledger/transactions/<id>")

_post_schema: Final = PendingPostSchema()
_void_schema: Final = VoidSchema()
_response_schema: Final = JournalTransactionSchema()

POST: Final = Operation(
    id="postPendingLedgerTransaction",
    summary="Post a pending ledger transaction",
    description="Posts all that the transaction reserves, or a part, and releases the rest: an "
    "`amount` of a transaction with two entries, or `entries`. The first post, void or expiry wins;"
    " later requests get 409 with the status.",
    body=_post_schema,
    body_examples={"full": {}, "partial": {"amount": 1_000}},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="The posted transaction, with the balances after its entries.",
            data=_response_schema,
            examples={"partial": examples.POSTED_IN_PART},
            headers=("Location",),
        ),
    ),
    error_responses=(NOT_FOUND, POST_PENDING_CONFLICT, TRANSACTION_REFUSED),
)
VOID: Final = Operation(
    id="voidLedgerTransaction",
    summary="Void a pending ledger transaction",
    description="Releases what the transaction reserves. The first post, void or expiry wins; later"
    " requests get 409 with the status.",
    body=_void_schema,
    body_examples={"default": {}},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="The voided transaction.",
            data=_response_schema,
            examples={"voided": examples.VOIDED},
            headers=("Location",),
        ),
    ),
    error_responses=(NOT_FOUND, VOID_CONFLICT),
)


@views.post("/post")
@describe_operation(POST)
@requires_api_key(scope=Scope.LEDGER_WRITE)
def post(id: str) -> Response:
    transaction_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    values, context = _post_schema.parse(content), request_context()
    entries = values["entries"]
    request = PostPendingRequest(
        merchant_id=context.merchant_id,
        transaction_id=transaction_id,
        amount=values["amount"],
        entries=None if entries is None else build_legs(entries),
        origin=build_origin(),
    )
    post_pending = context.application.journal.post_pending
    key = read_idempotency_key()
    return execute_idempotently(key, post_pending, request, _render_ended, content)


@views.post("/void")
@describe_operation(VOID)
@requires_api_key(scope=Scope.LEDGER_WRITE)
def void(id: str) -> Response:
    transaction_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    _void_schema.parse(content)
    context = request_context()
    request = VoidRequest(context.merchant_id, transaction_id, build_origin())
    key, void_transaction = read_idempotency_key(), context.application.journal.void
    return execute_idempotently(key, void_transaction, request, _render_ended, content)


def _render_ended(transaction: JournalTransaction) -> StoredResponse:
    body = render_envelope(_response_schema.dump(transaction))
    return StoredResponse(200, body, f"{PATH}/{transaction.id}")
