"""Lists of accounts in PostgreSQL."""

import json
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.account_names import get_subtree
from atomic_core.domain.accounts import Account
from atomic_core.domain.lists import AccountFilter, Position

_SQL: Final = load_statements("account_lists")

MAX_SORTED_ROWS: Final = 2_000
"""How many rows are read and sorted in a few milliseconds. If more rows match a condition, such
as a subtree of accounts or a range of amounts, it is common, and a walk by age fills a page after
few rows."""


def list_accounts(
    session: DatabaseSession,
    merchant_id: UUID,
    filters: AccountFilter,
    after: Position | None,
    limit: int,
) -> Sequence[Account]:
    """By the most selective filter that has an index."""
    parameters = _build_parameters(merchant_id, filters, after, limit)
    if filters.external_id is not None:
        parameters["external_id"] = filters.external_id
        statement = _SQL["list_accounts_by_external_id"]
    elif filters.metadata:
        key, value = _find_rarest_pair(session, filters, merchant_id)
        parameters |= {"key": key, "value": value}
        statement = _SQL["list_accounts_by_metadata"]
    elif filters.prefix is not None and _is_small_subtree(session, parameters):
        statement = _SQL["list_accounts_of_subtree"]
    elif filters.currency is not None:
        statement = _SQL["list_accounts_of_currency"]
    elif filters.type is not None:
        statement = _SQL["list_accounts_of_type"]
    else:
        statement = _SQL["list_accounts"]
    return session.fetch_all_as(Account, statement, **parameters)


def _is_small_subtree(session: DatabaseSession, parameters: dict[str, Any]) -> bool:
    [count] = session.fetch_one(
        _SQL["count_accounts_of_subtree"],
        **{name: parameters[name] for name in ("merchant_id", "name", "first", "end")},
        max_rows=MAX_SORTED_ROWS,
    )
    return count < MAX_SORTED_ROWS


def _find_rarest_pair(
    session: DatabaseSession, filters: AccountFilter, merchant_id: UUID
) -> Sequence[str]:
    if len(filters.metadata) == 1:
        return filters.metadata[0]
    return session.fetch_one(
        _SQL["find_rarest_account_pair"],
        merchant_id=merchant_id,
        keys=[key for key, _ in filters.metadata],
        values=[value for _, value in filters.metadata],
        max_rows=MAX_SORTED_ROWS,
    )


def _build_parameters(
    merchant_id: UUID, filters: AccountFilter, after: Position | None, limit: int
) -> dict[str, Any]:
    top = filters.get_start_position(after)
    subtree = None if filters.prefix is None else get_subtree(filters.prefix)
    return {
        "merchant_id": merchant_id,
        "created_from": filters.created_from,
        "top_at": top.created_at,
        "top_id": top.id,
        "limit": limit,
        "currency": filters.currency,
        "type": filters.type,
        "balance_min": filters.balance_min,
        "balance_max": filters.balance_max,
        "metadata": json.dumps(dict(filters.metadata)) if filters.metadata else None,
        "name": subtree and subtree.name,
        "first": subtree and subtree.first,
        "end": subtree and subtree.end,
    }
