"""Lists in PostgreSQL: each filter by an index, whatever the others are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from atomic_adapters.postgres.payments import payment_of
from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.ledger import Account
from atomic_core.domain.lists import (
    AccountFilter,
    BookedEntry,
    CreatedFilter,
    PaymentFilter,
    Position,
)
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Payment, Status

_SQL: Final = statements("lists")

FEW: Final = 2_000
"""So many rows are read and sorted in a few milliseconds. A range of amounts that more fall into is
common: walking by age, a page of it is soon full."""

MAX_SEQUENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PostgresLists:
    session: Session

    def payments(
        self, merchant_id: UUID, wanted: PaymentFilter, after: Position | None, limit: int
    ) -> Sequence[Payment]:
        asked = _asked(merchant_id, wanted, after, limit) | {
            "currency": wanted.currency,
            "statuses": sorted(wanted.statuses or Status),
            "amount_min": wanted.amount_min,
            "amount_max": wanted.amount_max,
        }
        if wanted.metadata:
            rows = self.session.rows(
                _SQL["list_payments_by_metadata"], **asked, **self._pair(merchant_id, wanted)
            )
        elif self._has_few(merchant_id, wanted):
            rows = self.session.rows(_SQL["list_payments_by_amount"], **asked)
        else:
            rows = self.session.rows(_SQL["list_payments"], **asked, phases=_phases(wanted))
        return [payment_of(row) for row in rows]

    def accounts(
        self, merchant_id: UUID, wanted: AccountFilter, after: Position | None, limit: int
    ) -> Sequence[Account]:
        asked = _asked(merchant_id, wanted, after, limit)
        if wanted.currency is None:
            return self.session.all_of(Account, _SQL["list_accounts"], **asked)
        of_currency = _SQL["list_accounts_of_currency"]
        return self.session.all_of(Account, of_currency, **asked, currency=wanted.currency)

    def entries(
        self, account_id: UUID, wanted: CreatedFilter, after: int | None, limit: int
    ) -> Sequence[BookedEntry]:
        rows = self.session.rows(
            _SQL["list_entries"],
            account_id=account_id,
            created_from=wanted.created_from,
            created_to=wanted.created_to,
            before=MAX_SEQUENCE if after is None else after,
            limit=limit,
        )
        return [BookedEntry(*row) for row in rows]

    def _has_few(self, merchant_id: UUID, wanted: PaymentFilter) -> bool:
        if (wanted.amount_min, wanted.amount_max) == (1, MAX_AMOUNT):
            return False
        [count] = self.session.one(
            _SQL["count_payments_by_amount"],
            merchant_id=merchant_id,
            amount_min=wanted.amount_min,
            amount_max=wanted.amount_max,
            few=FEW,
        )
        return count < FEW

    def _pair(self, merchant_id: UUID, wanted: PaymentFilter) -> Mapping[str, object]:
        key, value = wanted.metadata[0]
        if len(wanted.metadata) > 1:
            key, value = self.session.one(
                _SQL["rarest_payment_pair"],
                merchant_id=merchant_id,
                keys=[key for key, _ in wanted.metadata],
                values=[value for _, value in wanted.metadata],
                few=FEW,
            )
        return {"key": key, "value": value, "metadata": Jsonb(dict(wanted.metadata))}


def _asked(
    merchant_id: UUID, wanted: CreatedFilter, after: Position | None, limit: int
) -> dict[str, Any]:
    top = wanted.top(after)
    return {
        "merchant_id": merchant_id,
        "created_from": wanted.created_from,
        "top_at": top.created_at,
        "top_id": top.id,
        "limit": limit,
    }


def _phases(wanted: PaymentFilter) -> Sequence[str]:
    """As payments.phase has it."""
    open = {Status.PENDING, Status.PROCESSING}
    return sorted({"OPEN" if status in open else status.value for status in wanted.statuses or Status})
