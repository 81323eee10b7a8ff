"""Requests to post ledger transactions: parsed and rendered the same way wherever they are made."""

from typing import Any, Final

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.domain.origins import Origin
from atomic_web.context import BASE_PATH, request_context
from atomic_web.http.responses import Meta, render_envelope
from atomic_web.schemas.journal import (
    JournalTransactionSchema,
    build_contents,
    build_legs,
    parse_optional_time,
)

PATH: Final = f"{BASE_PATH}/ledger/transactions"

_response_schema: Final = JournalTransactionSchema()


def build_new_transaction(
    values: dict[str, Any], key: str | None, origin: Origin
) -> NewJournalTransaction:
    """`values` are those of JournalBatchItemSchema; `key` is the request's Idempotency-Key."""
    return NewJournalTransaction(
        merchant_id=request_context().merchant_id,
        entries=build_legs(values["entries"]),
        idempotency_key=key,
        origin=origin,
        is_pending=values["pending"],
        expires_at=parse_optional_time(values["expires_at"]),
        **build_contents(values),
    )


def render_posted(transaction: JournalTransaction, meta: Meta | None = None) -> StoredResponse:
    """`meta` is that of the request, if another one renders the response."""
    body = render_envelope(_response_schema.dump(transaction), meta)
    return StoredResponse(201, body, f"{PATH}/{transaction.id}")
