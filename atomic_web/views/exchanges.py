"""POST /ledger/exchanges: currency exchange, as a ledger transaction of two balanced halves."""

from typing import Final
from uuid import UUID

from flask import Blueprint, Response

from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.exchanges import ExchangeRequest
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response
from atomic_web.journal_requests import render_posted
from atomic_web.openapi import journal_examples as examples
from atomic_web.openapi.error_responses import (
    EXTERNAL_ID_CONFLICT,
    NOT_FOUND,
    TRANSACTION_REFUSED,
)
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.exchanges import ExchangeSchema
from atomic_web.schemas.journal import (
    JournalTransactionPreviewSchema,
    JournalTransactionSchema,
    build_contents,
)

views = Blueprint("exchanges", __name__, url_prefix="/ledger/exchanges")

_request_schema: Final = ExchangeSchema()
_response_schema: Final = JournalTransactionSchema()
_preview_schema: Final = JournalTransactionPreviewSchema()

CREATE: Final = Operation(
    id="exchangeCurrency",
    summary="Exchange one currency for another",
    description="Posts a ledger transaction of four entries: an amount from the source account to "
    "the merchant's position in that currency, and what it is worth from the position in the other "
    "currency to the target account. The amount that is not sent is computed by the rate, exactly, "
    "and rounded once, half to even. With `dryRun` the response is 200 with what would be posted.",
    body=_request_schema,
    body_examples={"default": examples.NEW_EXCHANGE},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="What would be posted: with `dryRun` only.",
            data=_preview_schema,
            examples={"preview": examples.EXCHANGE},
        ),
        Success(
            status=201,
            description="The ledger transaction.",
            data=_response_schema,
            examples={"exchange": examples.EXCHANGE},
            headers=("Location",),
            links={"transaction": build_link("getLedgerTransaction", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, EXTERNAL_ID_CONFLICT, TRANSACTION_REFUSED),
)


@views.post("")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.LEDGER_WRITE)
def create() -> Response:
    content = read_json_object()
    refuse_query_parameters()
    values, key, context = _request_schema.parse(content), read_idempotency_key(), request_context()
    request = ExchangeRequest(
        merchant_id=context.merchant_id,
        source_account_id=UUID(values["source_account_id"]),
        source_position_id=UUID(values["source_position_id"]),
        target_position_id=UUID(values["target_position_id"]),
        target_account_id=UUID(values["target_account_id"]),
        rate=values["rate"],
        source_amount=values["source_amount"],
        target_amount=values["target_amount"],
        idempotency_key=key,
        origin=build_origin(),
        **build_contents(values),
    )
    journal = context.application.journal
    if values["dry_run"]:
        return ok_response(_preview_schema.dump(journal.preview_exchange(request)))
    return execute_idempotently(key, journal.exchange, request, render_posted, content)
