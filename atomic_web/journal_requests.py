"""Requests to post ledger transactions: parsed the same way alone and in a batch."""

from typing import Any

from atomic_core.domain.journal import NewJournalTransaction
from atomic_core.domain.origins import Origin
from atomic_web.context import request_context
from atomic_web.schemas.journal import build_contents, build_legs, parse_optional_time


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
