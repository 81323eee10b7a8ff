"""Work items: payments and refunds are locked and settled the same way.

Each table has its own statements, with the same parameters.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
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
from atomic_core.domain.settlement import Claim, Settlement


def lock_claimed_items(
    session: DatabaseSession, statement: bytes, ids: Iterable[UUID], claims: Sequence[Claim]
) -> frozenset[UUID]:
    """`ids` are those of the claims, in the same order. Returns the ids whose claim is current."""
    rows = session.fetch_all(
        statement,
        ids=uuid_array(ids),
        attempts=integer_array(claim.attempt for claim in claims),
    )
    return frozenset(id for (id,) in rows)


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


def settle_items(
    session: DatabaseSession,
    statement: bytes,
    ids: Iterable[UUID],
    settlements: Sequence[Settlement],
    **parameters: object,
) -> None:
    """`ids` are those of the settlements, in the same order. Raises StorageRefused if an item does
    not exist."""
    if not settlements:
        return
    session.send_checked(
        RowCheck("payments or refunds settled", len(settlements)),
        statement,
        ids=uuid_array(ids),
        statuses=text_array(settlement.status for settlement in settlements),
        failure_reasons=text_array(settlement.failure_reason for settlement in settlements),
        faults=smallint_array(settlement.faults for settlement in settlements),
        retries_after=interval_array(settlement.retry_after for settlement in settlements),
        network_states=text_array(settlement.network_state for settlement in settlements),
        network_references=text_array(settlement.network_reference for settlement in settlements),
        key_generations=smallint_array(settlement.key_generation for settlement in settlements),
        sent_flags=boolean_array(settlement.was_sent for settlement in settlements),
        **parameters,
    )
