"""GET /accounts/{id}/balance, /balance-history and /explain, and GET /ledger/trial-balance."""

from datetime import UTC, timedelta
from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.balances import DEFAULT_HISTORY_DAYS, TimeAxis
from atomic_core.domain.explanations import MAX_EXPLAINED_ENTRIES
from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import requires_api_key
from atomic_web.context import request_context
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.ids import parse_path_id
from atomic_web.http.query import parse_query
from atomic_web.http.responses import ok_response
from atomic_web.openapi import balance_examples as examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.examples import CURSOR
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.balances import (
    BALANCE_QUERY,
    HISTORY_QUERY,
    BalanceHistorySchema,
    BalanceSchema,
    TrialBalanceSchema,
)
from atomic_web.schemas.explanations import (
    EXPLAIN_QUERY,
    ExplanationSchema,
    RenderedExplanation,
)
from atomic_web.schemas.filters import split_page_parameters

views = Blueprint("balances", __name__)

_balance_schema: Final = BalanceSchema()
_history_schema: Final = BalanceHistorySchema()
_trial_balance_schema: Final = TrialBalanceSchema()
_explanation_schema: Final = ExplanationSchema()

BALANCE: Final = Operation(
    id="getAccountBalance",
    summary="Get the balance of an account as of a moment",
    description="On the `posted` axis an entry counts from when it was posted, on the `effective` "
    "axis from its `effectiveAt`, which can be earlier or later. Without `at` the present balance, "
    "with what is pending.",
    query=BALANCE_QUERY,
    responses=(
        Success(
            status=200,
            description="The balance.",
            data=_balance_schema,
            examples={"present": examples.BALANCE, "past": examples.PAST_BALANCE},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
HISTORY: Final = Operation(
    id="getAccountBalanceHistory",
    summary="Get the balance of an account per day",
    description="The balance at the end of each day, for a chart.",
    query=HISTORY_QUERY,
    responses=(
        Success(
            status=200,
            description="The balances.",
            data=_history_schema,
            examples={"days": examples.HISTORY},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
EXPLAIN: Final = Operation(
    id="explainAccountBalance",
    summary="Explain why a balance has changed",
    description="The balances at two moments, the sums of what was posted between them by kind, "
    "and each entry, newest first, with its payment, refund or ledger transaction and its request. "
    f"At most {MAX_EXPLAINED_ENTRIES:,} entries; `nextCursor` leads to the next page.",
    query=EXPLAIN_QUERY,
    responses=(
        Success(
            status=200,
            description="The explanation.",
            data=_explanation_schema,
            examples={"first": RenderedExplanation(examples.EXPLANATION, CURSOR)},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
TRIAL_BALANCE: Final = Operation(
    id="getTrialBalance",
    summary="Get the trial balance",
    description="The balances of all accounts of the merchant as of a moment, by type and currency,"
    " and whether they sum to 0.",
    query=BALANCE_QUERY,
    responses=(
        Success(
            status=200,
            description="The trial balance.",
            data=_trial_balance_schema,
            examples={"balanced": examples.TRIAL_BALANCE},
        ),
    ),
)


@views.get("/accounts/<id>/balance")
@describe_operation(BALANCE)
@requires_api_key(scope=Scope.ACCOUNTS_READ)
def show_balance(id: str) -> Response:
    account_id, context = parse_path_id(id), request_context()
    values = parse_query(BALANCE_QUERY)
    balance = context.application.balances.get(
        context.merchant_id,
        account_id,
        values.get("axis", TimeAxis.POSTED),
        values.get("before"),
    )
    return ok_response(_balance_schema.dump(balance))


@views.get("/accounts/<id>/balance-history")
@describe_operation(HISTORY)
@requires_api_key(scope=Scope.ACCOUNTS_READ)
def show_history(id: str) -> Response:
    account_id, context = parse_path_id(id), request_context()
    values = parse_query(HISTORY_QUERY)
    last = values.get("last") or context.application.clock.now().astimezone(UTC).date()
    first = values.get("first") or last - timedelta(days=DEFAULT_HISTORY_DAYS - 1)
    history = context.application.balances.get_history(
        context.merchant_id, account_id, values.get("axis", TimeAxis.POSTED), first, last
    )
    return ok_response(_history_schema.dump(history))


@views.get("/accounts/<id>/explain")
@describe_operation(EXPLAIN)
@requires_api_key(scope=Scope.ACCOUNTS_READ)
def explain(id: str) -> Response:
    account_id, context = parse_path_id(id), request_context()
    limit, cursor, moments = split_page_parameters(parse_query(EXPLAIN_QUERY))
    begin, end = moments.get("begin"), moments.get("end")
    codec = CursorCodec(context.merchant_id, ("explain", account_id, begin, end))
    explanation = context.application.balances.explain(
        context.merchant_id, account_id, begin, end, codec.decode_sequence(cursor), limit
    )
    page = explanation.page
    next_cursor = codec.encode_sequence(page.items[-1].sequence) if page.has_more else None
    return ok_response(_explanation_schema.dump(RenderedExplanation(explanation, next_cursor)))


@views.get("/ledger/trial-balance")
@describe_operation(TRIAL_BALANCE)
@requires_api_key(scope=Scope.LEDGER_READ)
def show_trial_balance() -> Response:
    context, values = request_context(), parse_query(BALANCE_QUERY)
    trial_balance = context.application.balances.get_trial_balance(
        context.merchant_id, values.get("axis", TimeAxis.POSTED), values.get("before")
    )
    return ok_response(_trial_balance_schema.dump(trial_balance))
