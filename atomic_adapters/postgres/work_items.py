"""Work items: payments and refunds are locked and settled the same way.

Each table has its own statements, with the same parameters.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from atomic_adapters.postgres.arrays import (
    boolean_array,
    integer_array,
    interval_array,
    smallint_array,
    text_array,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession, RowCheck
from atomic_core.domain.card_networks import REPEATS_BEFORE_INQUIRY
from atomic_core.domain.settlement import Claim


def lock_claimed_items(
    session: DatabaseSession, statement: bytes, ids: Iterable[UUID], claims: Sequence[Claim]
) -> Sequence[Claim]:
    """`ids` are those of the claims, in the same order. Returns the claims that are current."""
    rows = session.fetch_all(
        statement,
        ids=uuid_array(ids),
        attempts=integer_array(claim.attempt for claim in claims),
    )
    if len(rows) == len(claims):
        return claims
    return [claims[position - 1] for (position,) in sorted(rows)]


def renew_item_leases(
    session: DatabaseSession,
    statement: bytes,
    ids: Iterable[UUID],
    claims: Sequence[Claim],
    lease: timedelta,
) -> None:
    """`ids` are those of the claims, in the same order."""
    session.execute(
        statement,
        ids=uuid_array(ids),
        attempts=integer_array(claim.attempt for claim in claims),
        lease=lease,
    )


def request_item_inquiries(
    session: DatabaseSession, statement: bytes, ids: Iterable[UUID], network: str
) -> frozenset[UUID]:
    """Returns the ids of those that are claimed or locked."""
    unique_ids = sorted(set(ids))
    if not unique_ids:
        return frozenset()
    rows = session.fetch_all(
        statement, ids=unique_ids, network=network, repeats=REPEATS_BEFORE_INQUIRY
    )
    return frozenset(id for (id,) in rows)


def settle_items(
    session: DatabaseSession,
    statement: bytes,
    ids: Sequence[UUID],
    columns: Any,
    **parameters: object,
) -> None:
    """`columns` are the transposed settlements, `ids` those of their items. Raises StorageRefused
    if an item does not exist."""
    session.send_checked(
        RowCheck("payments or refunds settled", len(ids)),
        statement,
        ids=uuid_array(ids),
        statuses=text_array(columns.status),
        failure_reasons=text_array(columns.failure_reason),
        faults=smallint_array(columns.faults),
        retries_after=interval_array(columns.retry_after),
        network_states=text_array(columns.network_state),
        network_references=text_array(columns.network_reference),
        key_generations=smallint_array(columns.key_generation),
        sent_flags=boolean_array(columns.was_sent),
        **parameters,
    )
