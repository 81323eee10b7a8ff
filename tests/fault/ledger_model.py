"""The model of ledger transactions, and the audit that compares the database with it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

SELECT_TRANSACTIONS: Final = """
SELECT transactions.id::text, transactions.external_id AS token, transactions.merchant_id,
       transactions.status, transactions.reverses_id::text,
       (SELECT array_agg(ARRAY[account_id::text, amount::text] ORDER BY position)
          FROM journal_entries
         WHERE transaction_id = transactions.id) AS requested,
       (SELECT count(*) FROM ledger_transactions WHERE id = transactions.id) AS postings,
       (SELECT coalesce(max(amount), 0) FROM entries WHERE transaction_id = transactions.id)
           AS posted,
       (SELECT count(*) FROM journal_holds
         WHERE transaction_id = transactions.id AND released_at IS NULL) AS live_holds
  FROM journal_transactions AS transactions
"""


@dataclass(slots=True)
class LedgerRequest:
    """A ledger transaction that a client requested. Its unique token is its external id and its
    Idempotency-Key."""

    token: str
    merchant_id: UUID
    entries: tuple[tuple[str, int], ...]
    expires_at: datetime | None = None
    """Of a pending one."""
    transaction_id: str = ""
    """Set when it is acknowledged."""
    is_refused: bool = False
    first_response: bytes = b""
    ends: list[tuple[str, int]] = field(default_factory=list)
    """Status and posted amount of each accepted post or void of a pending one."""
    reversal_ids: list[str] = field(default_factory=list)

    @property
    def amount(self) -> int:
        return max(amount for _, amount in self.entries)

    @property
    def body(self) -> dict[str, object]:
        body: dict[str, object] = {
            "entries": [{"accountId": id, "amount": amount} for id, amount in self.entries],
            "externalId": self.token,
        }
        if self.expires_at:
            body |= {"pending": True, "expiresAt": self.expires_at.isoformat()}
        return body

    @property
    def final_state(self) -> tuple[str, int]:
        """The status and the posted amount at the end."""
        if not self.expires_at:
            return ("POSTED", self.amount)
        return self.ends[0] if self.ends else ("EXPIRED", 0)


@dataclass
class LedgerModel:
    requests: dict[str, LedgerRequest] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, requests: Sequence[LedgerRequest]) -> None:
        """Must be called before the requests are sent."""
        with self._lock:
            for request in requests:
                self.requests[request.token] = request


def audit_ledger_transactions(
    connection: psycopg.Connection[Any], model: LedgerModel, check: Callable[..., bool]
) -> None:
    """Compare all ledger transactions with the model, once none is pending."""
    reversals = {id for request in model.requests.values() for id in request.reversal_ids}
    recorded: set[str] = set()
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows: list[Any] = cursor.execute(SELECT_TRANSACTIONS).fetchall()
    for row in rows:
        holds = row.live_holds == 0
        check("ledger", holds=holds, details=f"{row.id} has {row.live_holds} live holds")
        if row.reverses_id:
            details = f"reversal {row.id} was acknowledged: {row.id in reversals}"
            check("I9", holds=row.id in reversals, details=details)
            reversals.discard(row.id)
            continue
        request = model.requests.get(row.token)
        if request is None:
            check("I9", holds=False, details=f"no client requested this transaction: {row}")
            continue
        recorded.add(row.token)
        _check_transaction(row, request, check)
    for id in reversals:
        check("I9", holds=False, details=f"reversal {id} was acknowledged and is lost")
    for request in model.requests.values():
        is_lost = bool(request.transaction_id) and request.token not in recorded
        check("I9", holds=not is_lost, details=f"{request.token} was answered 201 and is lost")


def _check_transaction(row: Any, request: LedgerRequest, check: Callable[..., bool]) -> None:
    requested = tuple((id, int(amount)) for id, amount in row.requested)
    is_same = (row.merchant_id, requested) == (request.merchant_id, request.entries)
    check("I9", holds=is_same, details=f"{request} is recorded as {row}")
    holds = row.id == request.transaction_id and not request.is_refused
    check("I9", holds=holds, details=f"{request} was not acknowledged, and is recorded as {row}")
    state = (row.status, row.posted)
    details = f"{request.token} ended as {state}, expected {request.final_state}"
    check("I4", holds=state == request.final_state, details=details)
    postings = int(row.status == "POSTED")
    details = f"{request.token} is {row.status} and has {row.postings} postings"
    check("I5", holds=row.postings == postings, details=details)
