"""Lists in PostgreSQL: each filter by an index, whatever the others are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.payments import build_payment
from atomic_adapters.postgres.refunds import build_refund
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.accounts import Account
from atomic_core.domain.lists import (
    AccountFilter,
    BookedEntry,
    CreatedFilter,
    PaymentFilter,
    Position,
    RefundFilter,
)
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import Refund

_SQL: Final = load_statements("lists")
_PAYMENT_SQL: Final = load_statements("payment_lists")
_REFUND_SQL: Final = load_statements("refund_lists")

MAX_SORTED_ROWS: Final = 2_000
"""So many rows are read and sorted in a few milliseconds. A range of amounts that more fall into is
common: walking by age, a page of it is soon full."""

MAX_SEQUENCE: Final = 2**63 - 1


class _Ways(NamedTuple):
    """To a page of work rows."""

    by_age: bytes
    count_by_amount: bytes
    by_amount: bytes
    rarest_pair: bytes
    by_metadata: bytes


_PAYMENTS: Final = _Ways(
    _PAYMENT_SQL["list_payments"],
    _PAYMENT_SQL["count_payments_by_amount"],
    _PAYMENT_SQL["list_payments_by_amount"],
    _PAYMENT_SQL["find_rarest_payment_pair"],
    _PAYMENT_SQL["list_payments_by_metadata"],
)
_REFUNDS: Final = _Ways(
    _REFUND_SQL["list_refunds"],
    _REFUND_SQL["count_refunds_by_amount"],
    _REFUND_SQL["list_refunds_by_amount"],
    _REFUND_SQL["find_rarest_refund_pair"],
    _REFUND_SQL["list_refunds_by_metadata"],
)


@dataclass(frozen=True, slots=True)
class PostgresListQueries:
    session: DatabaseSession

    def payments(
        self, merchant_id: UUID, wanted: PaymentFilter, after: Position | None, limit: int
    ) -> Sequence[Payment]:
        asked = _asked_of_work(merchant_id, wanted, after, limit)
        return [build_payment(row) for row in self._work(_PAYMENTS, wanted, asked)]

    def refunds(
        self, merchant_id: UUID, wanted: RefundFilter, after: Position | None, limit: int
    ) -> Sequence[Refund]:
        asked = _asked_of_work(merchant_id, wanted, after, limit)
        if wanted.payment_id is None:
            rows = self._work(_REFUNDS, wanted, asked)
        else:
            rows = self.session.fetch_all(
                _REFUND_SQL["list_refunds_of_payment"],
                **asked,
                payment_id=wanted.payment_id,
                metadata=json.dumps(dict(wanted.metadata)),
            )
        return [build_refund(row) for row in rows]

    def accounts(
        self, merchant_id: UUID, wanted: AccountFilter, after: Position | None, limit: int
    ) -> Sequence[Account]:
        asked = _asked(merchant_id, wanted, after, limit)
        if wanted.currency is None:
            return self.session.fetch_all_as(Account, _SQL["list_accounts"], **asked)
        of_currency = _SQL["list_accounts_of_currency"]
        return self.session.fetch_all_as(Account, of_currency, **asked, currency=wanted.currency)

    def entries(
        self, account_id: UUID, wanted: CreatedFilter, after: int | None, limit: int
    ) -> Sequence[BookedEntry]:
        rows = self.session.fetch_all(
            _SQL["list_entries"],
            account_id=account_id,
            created_from=wanted.created_from,
            created_to=wanted.created_to,
            before=MAX_SEQUENCE if after is None else after,
            limit=limit,
        )
        return [BookedEntry(*row) for row in rows]

    def _work(
        self, ways: _Ways, wanted: PaymentFilter, asked: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        if wanted.metadata:
            key, value = self._pair(ways, wanted, asked["merchant_id"])
            metadata = json.dumps(dict(wanted.metadata))
            tagged = {**asked, "key": key, "value": value, "metadata": metadata}
            return self.session.fetch_all(ways.by_metadata, **tagged)
        if self._has_few(ways, wanted, asked["merchant_id"]):
            return self.session.fetch_all(ways.by_amount, **asked)
        return self.session.fetch_all(ways.by_age, **asked, phases=get_phases(wanted))

    def _has_few(self, ways: _Ways, wanted: PaymentFilter, merchant_id: UUID) -> bool:
        if (wanted.amount_min, wanted.amount_max) == (1, MAX_AMOUNT):
            return False
        [count] = self.session.fetch_one(
            ways.count_by_amount,
            merchant_id=merchant_id,
            amount_min=wanted.amount_min,
            amount_max=wanted.amount_max,
            few=MAX_SORTED_ROWS,
        )
        return count < MAX_SORTED_ROWS

    def _pair(self, ways: _Ways, wanted: PaymentFilter, merchant_id: UUID) -> Sequence[str]:
        if len(wanted.metadata) == 1:
            return wanted.metadata[0]
        return self.session.fetch_one(
            ways.rarest_pair,
            merchant_id=merchant_id,
            keys=[key for key, _ in wanted.metadata],
            values=[value for _, value in wanted.metadata],
            few=MAX_SORTED_ROWS,
        )


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


def _asked_of_work(
    merchant_id: UUID, wanted: PaymentFilter, after: Position | None, limit: int
) -> dict[str, Any]:
    return _asked(merchant_id, wanted, after, limit) | {
        "currency": wanted.currency,
        "statuses": [status.value for status in wanted.statuses or Status],
        "amount_min": wanted.amount_min,
        "amount_max": wanted.amount_max,
    }


def get_phases(wanted: PaymentFilter) -> list[str]:
    """As the column `phase` has it: what is open is one phase, for a claim changes no index."""
    return sorted({"OPEN" if status.open else status.value for status in wanted.statuses or Status})
