"""POST /ledger/transactions/batch: many ledger transactions in one commit."""

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from flask import Blueprint, Response

from atomic_core.domain.errors import AtomicError, TransactionRefused, ValidationFailed
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.domain.journal_batches import ITEMS, MAX_BATCH_TRANSACTIONS, check_batch
from atomic_core.domain.merchants import Scope
from atomic_core.domain.origins import Origin
from atomic_core.use_cases.journal_batches import BatchOutcome, TransactionBatch
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.errors import STATUS, build_error_object
from atomic_web.http.body import read_json_object
from atomic_web.http.query import MAX_REPORTED_ERRORS, refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.journal_requests import build_new_transaction
from atomic_web.openapi import journal_examples as examples
from atomic_web.openapi.error_responses import (
    EXTERNAL_ID_CONFLICT,
    NOT_FOUND,
    TRANSACTION_REFUSED,
)
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.fields import describe_unknown_field
from atomic_web.schemas.journal import JournalBatchItemSchema
from atomic_web.schemas.journal_batches import (
    JournalBatchOptionsSchema,
    JournalBatchPreviewSchema,
    JournalBatchResultsSchema,
    JournalBatchSchema,
)

ITEMS_PER_TURN: Final = 50
"""Transactions that are validated before other requests run: about five milliseconds."""

views = Blueprint("journal_batches", __name__, url_prefix="/ledger/transactions/batch")

_item_schema: Final = JournalBatchItemSchema()
_options_schema: Final = JournalBatchOptionsSchema()
_options_schema.error_messages["unknown"] = describe_unknown_field(
    field.data_key or name for name, field in JournalBatchSchema().fields.items()
)
_results_schema: Final = JournalBatchResultsSchema()
_preview_schema: Final = JournalBatchPreviewSchema()


class _Result(NamedTuple):
    status: int
    transaction: JournalTransaction | None
    error: dict[str, Any] | None


class _Results(NamedTuple):
    results: Sequence[_Result]


def _build_results(outcomes: Sequence[BatchOutcome], status: int) -> _Results:
    """`status` is that of transactions that are not refused."""
    return _Results(
        [
            _Result(STATUS[outcome.type], None, build_error_object(outcome))
            if isinstance(outcome, AtomicError)
            else _Result(status, outcome, None)
            for outcome in outcomes
        ]
    )


_REFUSED: Final = TransactionRefused(details={"entries.0": ["insufficient_balance"]})

CREATE: Final = Operation(
    id="postLedgerTransactions",
    summary="Post many ledger transactions",
    description="Posts the transactions in order and in one commit. Each is handled as if posted "
    "alone after those before it: `results` has the outcome of each in its place, 201 or an error. "
    "With `atomic` all are posted or none: the response is then the error of the first transaction "
    "that is refused, with its index in the details. A transaction with a malformed member refuses "
    "the whole batch. With `dryRun` the response is 200 with what would be posted; an "
    "Idempotency-Key then stays unused.",
    body=JournalBatchSchema(),
    body_examples={
        "independent": {"transactions": [examples.NEW_TRANSACTION]},
        "atomic": {"transactions": [examples.NEW_TRANSACTION], "atomic": True},
    },
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="What would be posted: with `dryRun` only.",
            data=_preview_schema,
            examples={"preview": _build_results([examples.TRANSACTION, _REFUSED], 200)},
        ),
        Success(
            status=201,
            description="The outcome of each transaction.",
            data=_results_schema,
            examples={"one refused": _build_results([examples.TRANSACTION, _REFUSED], 201)},
        ),
    ),
    error_responses=(NOT_FOUND, EXTERNAL_ID_CONFLICT, TRANSACTION_REFUSED),
)


@views.post("")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.LEDGER_WRITE)
def create() -> Response:
    context = request_context()
    content = read_json_object(context.settings.batch_body_limit)
    refuse_query_parameters()
    options = _parse_options(content)
    key = read_idempotency_key()
    transactions = _parse_transactions(content[ITEMS], key)
    batch = TransactionBatch(context.merchant_id, transactions, options["atomic"])
    journal = context.application.journal
    if options["dry_run"]:
        outcomes = journal.preview_batch(batch)
        return ok_response(_preview_schema.dump(_build_results(outcomes, 200)))
    return execute_idempotently(key, journal.post_batch, batch, _render_batch, content)


def _parse_options(content: dict[str, Any]) -> dict[str, Any]:
    """The members besides the transactions. Raises ValidationFailed, also if there are too many or
    no transactions."""
    items = content.get(ITEMS)
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_BATCH_TRANSACTIONS:
        problem = f"Must be a list of 1 to {MAX_BATCH_TRANSACTIONS} transactions."
        raise ValidationFailed(details={ITEMS: [problem]})
    return _options_schema.parse({name: content[name] for name in content.keys() - {ITEMS}})


def _parse_transactions(items: Sequence[Any], key: str | None) -> Sequence[NewJournalTransaction]:
    """Raises ValidationFailed with the errors of all transactions by index."""
    origin = build_origin()
    transactions: list[NewJournalTransaction] = []
    errors: dict[str, Sequence[str]] = {}
    for index, item in enumerate(items):
        if index and index % ITEMS_PER_TURN == 0:
            time.sleep(0)  # switches greenlets
        try:
            transactions.append(_parse_transaction(item, key, origin))
        except ValidationFailed as error:
            for name, messages in (error.details or {"": [error.message]}).items():
                errors[f"{ITEMS}.{index}.{name}".rstrip(".")] = messages
            if len(errors) >= MAX_REPORTED_ERRORS:
                break
    if errors:
        raise ValidationFailed(details=dict(list(errors.items())[:MAX_REPORTED_ERRORS]))
    check_batch(transactions)
    return transactions


def _parse_transaction(item: Any, key: str | None, origin: Origin) -> NewJournalTransaction:
    if not isinstance(item, dict):
        raise ValidationFailed("Must be a JSON object.")
    return build_new_transaction(_item_schema.parse(item), key, origin)


def _render_batch(outcomes: Sequence[BatchOutcome]) -> StoredResponse:
    data = _results_schema.dump(_build_results(outcomes, 201))
    return StoredResponse(201, render_envelope(data))
