"""Work items in memory: payments and refunds are claimed, locked, settled and made due the same
way."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from atomic_adapters.memory.tables import Table, Tables, WorkItemRow
from atomic_core.domain.admin_queries import UnresolvedStep
from atomic_core.domain.card_networks import NetworkState
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.payments import Payment, Status, Step
from atomic_core.domain.refunds import Refund
from atomic_core.domain.settlement import Claim, Settlement, hasten_inquiry

Item = TypeVar("Item", Payment, Refund)


def claim_items(
    tables: Tables,
    table: Table[UUID, WorkItemRow[Item]],
    rows: Iterable[WorkItemRow[Item]],
    limit: int,
    lease: timedelta,
    overdue_by: timedelta,
    worker_id: int | None,
) -> Sequence[WorkItemRow[Item]]:
    """Claim the oldest due items of these rows of the table; return their rows as claimed."""
    now = tables.clock.now()
    due = sorted(
        (row for row in rows if _is_due(tables, row, now - overdue_by)),
        key=lambda row: (row.due_at, row.item.id),
    )
    return [_claim(tables, table, row, now, lease, worker_id) for row in due[:limit]]


def _is_due(tables: Tables, row: WorkItemRow[Item], due_by: datetime) -> bool:
    if not row.item.status.is_open:
        return False
    is_claimant_dead = row.claimed_by is not None and row.claimed_by not in tables.live_workers
    return is_claimant_dead or max(row.due_at, row.leased_until or row.due_at) <= due_by


def _claim(
    tables: Tables,
    table: Table[UUID, WorkItemRow[Item]],
    row: WorkItemRow[Item],
    now: datetime,
    lease: timedelta,
    worker_id: int | None,
) -> WorkItemRow[Item]:
    attempt = row.attempt + 1
    item = replace(
        row.item,
        status=Status.PROCESSING,
        updated_at=now,
        claimed_at=row.item.claimed_at or now,
        attempt=attempt,
    )
    claimed = replace(
        row,
        item=item,
        attempt=attempt,
        due_at=min(row.due_at, now),
        leased_until=now + lease,
        claimed_by=worker_id if worker_id in tables.live_workers else None,
        interrupted_lease=row.leased_until,
        sent_at=_find_last_request(row, now),
    )
    table.put(item.id, claimed)
    return claimed


def _find_last_request(row: WorkItemRow[Item], now: datetime) -> datetime | None:
    """When the step may have been sent last: a claim that ended without a settlement may have sent
    it. The lease of a dead worker may end later than now."""
    if row.leased_until is None:
        return row.sent_at
    ended_at = min(row.leased_until, now)
    return max(row.sent_at, ended_at) if row.sent_at else ended_at


def claim_unresolved_item(
    tables: Tables, table: Table[UUID, WorkItemRow[Item]], id: UUID, lease: timedelta
) -> WorkItemRow[Item] | None:
    """Claim an open item that the network has left unresolved; None if there is none."""
    row = table.rows.get(id)
    if row is None or not row.item.status.is_open or row.item.network_state is None:
        return None
    return _claim(tables, table, row, tables.clock.now(), lease, None)


def measure_since_sent(tables: Tables, row: WorkItemRow[Item]) -> timedelta | None:
    """How long ago the open step of a claimed row was last sent, or may have been."""
    return tables.clock.now() - row.sent_at if row.sent_at else None


def describe_open_step(
    tables: Tables, row: WorkItemRow[Item]
) -> tuple[NetworkState | None, timedelta | None]:
    """What is known of the step of a claimed row, and how long it has been open. A claim that ended
    without a settlement may have called the network."""
    state = row.item.network_state
    since = row.item.unresolved_since or _find_first_request(row)
    if row.interrupted_lease and state not in (NetworkState.PENDING, NetworkState.REFUSED):
        state = NetworkState.UNKNOWN
    return state, tables.clock.now() - since if since else None


def _find_first_request(row: WorkItemRow[Item]) -> datetime | None:
    """When a step without an outcome may have been sent first: each claim that ended without a
    settlement may have sent it. None if none did. Later steps of a payment begin long after its
    first claim, and a network takes each of them once, whatever its key."""
    if row.interrupted_lease is None or not _is_first_step(row):
        return row.interrupted_lease
    return row.item.claimed_at


def _is_first_step(row: WorkItemRow[Item]) -> bool:
    return isinstance(row.item, Refund) or row.item.step in (Step.CHARGE, Step.AUTHORIZE)


def renew_item_leases(
    tables: Tables, table: Table[UUID, WorkItemRow[Item]], claims: Sequence[Claim], lease: timedelta
) -> None:
    leased_until = tables.clock.now() + lease
    for claim in find_current_claims(table, claims):
        table.put(claim.id, replace(table.rows[claim.id], leased_until=leased_until))


def find_current_claims(
    table: Table[UUID, WorkItemRow[Item]], claims: Sequence[Claim]
) -> Sequence[Claim]:
    """Those that no later claim or settlement has replaced."""
    return [
        claim
        for claim in claims
        if (row := table.rows.get(claim.id))
        and row.attempt == claim.attempt
        and row.item.status in (Status.PROCESSING, Status.REQUIRES_ACTION)
    ]


def settle_item(
    tables: Tables,
    table: Table[UUID, WorkItemRow[Item]],
    settlement: Settlement,
    now: datetime,
    **changes: object,
) -> Item:
    """Write a settlement, and `changes` of the item. Raises StorageRefused if the item is settled
    already, or would end with a live hold, which nothing would ever release."""
    row = table.rows[settlement.id]
    if not row.item.status.is_open and row.item.status is not Status.REQUIRES_ACTION:
        raise StorageRefused("a settled payment or refund is final")
    hold = tables.holds.rows.get((settlement.payment_id, settlement.refund_id))
    if settlement.status.is_settled and hold and hold.is_live:
        raise StorageRefused("ended_holds_nothing")
    item = replace(
        row.item,
        status=settlement.status,
        failure_reason=settlement.failure_reason,
        updated_at=now,
        network_state=NetworkState(settlement.network_state) if settlement.network_state else None,
        unresolved_since=_find_unresolved_since(row, settlement, now),
        network_reference=row.item.network_reference or settlement.network_reference,
        **changes,
    )
    retry_after = settlement.retry_after
    due_at = row.due_at if retry_after is None else now + retry_after
    reversal_reason = settlement.reversal_reason or row.reversal_reason
    sent_at = now if settlement.was_sent else row.sent_at
    settled = WorkItemRow(
        item,
        row.attempt,
        settlement.faults,
        due_at,
        reversal_reason=reversal_reason,
        key_generation=settlement.key_generation or row.key_generation,
        sent_at=sent_at if settlement.network_state else None,
        is_doubt_reported=row.is_doubt_reported
        and settlement.network_state in (NetworkState.UNKNOWN, NetworkState.PENDING),
    )
    table.put(item.id, settled)
    return item


def _find_unresolved_since(
    row: WorkItemRow[Item], settlement: Settlement, now: datetime
) -> datetime | None:
    if settlement.network_state is None:
        return None
    states = (row.item.network_state, settlement.network_state)
    if states == (NetworkState.NOT_SENT, NetworkState.UNKNOWN) and row.sent_at is None:
        # In doubt since the request without an answer, not since one before it that was not sent.
        return now
    if row.item.unresolved_since:
        return row.item.unresolved_since
    # After a claim without a settlement, since the first claim: the age of the idempotency key.
    if row.sent_at and _is_first_step(row):
        return row.item.claimed_at
    return row.sent_at or now


def report_item_doubts(
    tables: Tables, table: Table[UUID, WorkItemRow[Item]], alarm: timedelta, limit: int
) -> Sequence[UnresolvedStep]:
    latest = tables.clock.now() - alarm
    doubts = [
        row
        for row in table.rows.values()
        if row.item.in_doubt_since is not None
        and row.item.in_doubt_since <= latest
        and not row.is_doubt_reported
    ]
    doubts.sort(key=lambda row: (row.item.in_doubt_since, row.item.id))
    for row in doubts[:limit]:
        table.put(row.item.id, replace(row, is_doubt_reported=True))
    return [build_unresolved_step(row) for row in doubts[:limit]]


def build_unresolved_step(row: WorkItemRow[Item]) -> UnresolvedStep:
    """Of an item whose step the network has left open."""
    item = row.item
    if item.network_state is None or item.unresolved_since is None:
        raise ValueError(f"{item.id} has no open step")
    is_refund = isinstance(item, Refund)
    return UnresolvedStep(
        item.payment_id if is_refund else item.id,
        item.id if is_refund else None,
        item.merchant_id,
        item.money.amount,
        item.money.currency,
        Step.REFUND if is_refund else item.step,
        item.network_state,
        item.unresolved_since,
        row.faults,
        row.due_at,
    )


def request_item_inquiries(
    tables: Tables,
    table: Table[UUID, WorkItemRow[Item]],
    rows: Iterable[WorkItemRow[Item]],
) -> frozenset[UUID]:
    """`rows` are those of the items of the network."""
    now = tables.clock.now()
    busy: set[UUID] = set()
    for row in rows:
        state = row.item.network_state
        if row.item.status is Status.REQUIRES_ACTION:
            if row.leased_until is not None and row.leased_until > now:
                busy.add(row.item.id)
            else:
                table.put(row.item.id, replace(row, due_at=min(row.due_at, now)))
            continue
        if not row.item.status.is_open:
            continue
        if row.leased_until is not None:
            busy.add(row.item.id)
        elif state is NetworkState.PENDING or state is NetworkState.UNKNOWN:
            faults = hasten_inquiry(row.faults, state)
            table.put(row.item.id, replace(row, due_at=min(row.due_at, now), faults=faults))
    return frozenset(busy)


def make_item_due(tables: Tables, table: Table[UUID, WorkItemRow[Item]], id: UUID) -> bool:
    row = table.rows.get(id)
    if row is None:
        return False
    if not row.item.status.is_open and row.item.status is not Status.REQUIRES_ACTION:
        return False
    now = tables.clock.now()
    # The lease is not removed: the next claim must see that the one before it ended without a
    # settlement.
    leased_until = row.leased_until and min(row.leased_until, now)
    due_at = min(row.due_at, now)
    table.put(id, replace(row, due_at=due_at, leased_until=leased_until, claimed_by=None))
    return True
