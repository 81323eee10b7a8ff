"""Lists in PostgreSQL. Every combination of filters is answered by an index."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from atomic_adapters.postgres.account_lists import MAX_SORTED_ROWS, list_accounts
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.payments import build_payment
from atomic_adapters.postgres.refunds import build_refund
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.accounts import Account
from atomic_core.domain.lists import (
    AccountEntry,
    AccountFilter,
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

MAX_SEQUENCE: Final = 2**63 - 1
"""The largest bigint: above every sequence number."""


class _WorkItemStatements(NamedTuple):
    """The statements that list payments, or refunds."""

    list_by_age: bytes
    count_by_amount: bytes
    list_by_amount: bytes
    find_rarest_pair: bytes
    list_by_metadata: bytes


_PAYMENTS: Final = _WorkItemStatements(
    _PAYMENT_SQL["list_payments"],
    _PAYMENT_SQL["count_payments_by_amount"],
    _PAYMENT_SQL["list_payments_by_amount"],
    _PAYMENT_SQL["find_rarest_payment_pair"],
    _PAYMENT_SQL["list_payments_by_metadata"],
)
_REFUNDS: Final = _WorkItemStatements(
    _REFUND_SQL["list_refunds"],
    _REFUND_SQL["count_refunds_by_amount"],
    _REFUND_SQL["list_refunds_by_amount"],
    _REFUND_SQL["find_rarest_refund_pair"],
    _REFUND_SQL["list_refunds_by_metadata"],
)


@dataclass(frozen=True, slots=True)
class PostgresListQueries:
    session: DatabaseSession

    def list_payments(
        self, merchant_id: UUID, filters: PaymentFilter, after: Position | None, limit: int
    ) -> Sequence[Payment]:
        parameters = _build_work_item_parameters(merchant_id, filters, after, limit)
        return [build_payment(row) for row in self._fetch_page(_PAYMENTS, filters, parameters)]

    def list_refunds(
        self, merchant_id: UUID, filters: RefundFilter, after: Position | None, limit: int
    ) -> Sequence[Refund]:
        parameters = _build_work_item_parameters(merchant_id, filters, after, limit)
        if filters.payment_id is None:
            rows = self._fetch_page(_REFUNDS, filters, parameters)
        else:
            rows = self.session.fetch_all(
                _REFUND_SQL["list_refunds_by_payment"],
                **parameters,
                payment_id=filters.payment_id,
                metadata=json.dumps(dict(filters.metadata)),
            )
        return [build_refund(row) for row in rows]

    def list_accounts(
        self, merchant_id: UUID, filters: AccountFilter, after: Position | None, limit: int
    ) -> Sequence[Account]:
        return list_accounts(self.session, merchant_id, filters, after, limit)

    def list_entries(
        self, account_id: UUID, filters: CreatedFilter, after: int | None, limit: int
    ) -> Sequence[AccountEntry]:
        rows = self.session.fetch_all(
            _SQL["list_entries"],
            account_id=account_id,
            created_from=filters.created_from,
            created_to=filters.created_to,
            before=MAX_SEQUENCE if after is None else after,
            limit=limit,
        )
        return [AccountEntry(*row) for row in rows]

    def _fetch_page(
        self,
        statements: _WorkItemStatements,
        filters: PaymentFilter,
        parameters: Mapping[str, Any],
    ) -> Sequence[Sequence[Any]]:
        """By metadata, the most selective filter, if there is any; by amount if few rows are in the
        range; otherwise by age."""
        merchant_id = parameters["merchant_id"]
        if filters.metadata:
            key, value = self._find_rarest_pair(statements, filters, merchant_id)
            metadata = json.dumps(dict(filters.metadata))
            return self.session.fetch_all(
                statements.list_by_metadata,
                **parameters,
                key=key,
                value=value,
                metadata=metadata,
            )
        if self._has_few_in_range(statements, filters, merchant_id):
            return self.session.fetch_all(statements.list_by_amount, **parameters)
        return self.session.fetch_all(
            statements.list_by_age, **parameters, phases=get_phases(filters)
        )

    def _has_few_in_range(
        self, statements: _WorkItemStatements, filters: PaymentFilter, merchant_id: UUID
    ) -> bool:
        """Whether the filter has a range of amounts that fewer than MAX_SORTED_ROWS rows are in."""
        if (filters.amount_min, filters.amount_max) == (1, MAX_AMOUNT):
            return False
        [count] = self.session.fetch_one(
            statements.count_by_amount,
            merchant_id=merchant_id,
            amount_min=filters.amount_min,
            amount_max=filters.amount_max,
            max_rows=MAX_SORTED_ROWS,
        )
        return count < MAX_SORTED_ROWS

    def _find_rarest_pair(
        self, statements: _WorkItemStatements, filters: PaymentFilter, merchant_id: UUID
    ) -> Sequence[str]:
        if len(filters.metadata) == 1:
            return filters.metadata[0]
        return self.session.fetch_one(
            statements.find_rarest_pair,
            merchant_id=merchant_id,
            keys=[key for key, _ in filters.metadata],
            values=[value for _, value in filters.metadata],
            max_rows=MAX_SORTED_ROWS,
        )


def _build_parameters(
    merchant_id: UUID, filters: CreatedFilter, after: Position | None, limit: int
) -> dict[str, Any]:
    top = filters.get_start_position(after)
    return {
        "merchant_id": merchant_id,
        "created_from": filters.created_from,
        "top_at": top.created_at,
        "top_id": top.id,
        "limit": limit,
    }


def _build_work_item_parameters(
    merchant_id: UUID, filters: PaymentFilter, after: Position | None, limit: int
) -> dict[str, Any]:
    return _build_parameters(merchant_id, filters, after, limit) | {
        "currency": filters.currency,
        "statuses": [status.value for status in filters.statuses or Status],
        "amount_min": filters.amount_min,
        "amount_max": filters.amount_max,
    }


def get_phases(filters: PaymentFilter) -> list[str]:
    """The values of the generated column `phase` for the filter's statuses. PENDING and PROCESSING
    are one phase, so that a claim changes no index."""
    statuses = filters.statuses or Status
    return sorted({"OPEN" if status.is_open else status.value for status in statuses})
