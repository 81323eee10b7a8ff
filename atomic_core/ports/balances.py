"""Balances as of a moment, and the snapshots that make them fast to read."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from atomic_core.domain.account_names import SubtreeBalance
from atomic_core.domain.balances import (
    BalanceBefore,
    BalanceQuery,
    SnapshotProgress,
    TimeAxis,
    TrialBalanceRow,
)
from atomic_core.domain.explanations import ExplainedEntry, KindSum


class BalanceRepository(Protocol):
    def list_before(
        self, queries: Sequence[BalanceQuery], axis: TimeAxis
    ) -> Sequence[BalanceBefore]:
        """In the order of the queries, on one snapshot of the database. The accounts must exist."""
        ...

    def sum_by_type(
        self, merchant_id: UUID | None, axis: TimeAxis, before: datetime
    ) -> Sequence[TrialBalanceRow]:
        """The balances of all accounts of a merchant that were opened before the moment or have
        entries before it, by currency, owner and type. None: of all accounts."""
        ...

    def sum_subtree(self, merchant_id: UUID, prefix: str | None) -> Sequence[SubtreeBalance]:
        """The present sums of a merchant's accounts in a subtree of names, by currency. None: of
        all accounts."""
        ...

    def sum_by_kind(
        self, account_id: UUID, after_sequence: int, last_sequence: int
    ) -> Sequence[KindSum]:
        """The entries of an account with these numbers, by the kind of their transactions."""
        ...

    def list_explained(
        self, account_id: UUID, after_sequence: int, last_sequence: int, limit: int
    ) -> Sequence[ExplainedEntry]:
        """The same one by one, newest first."""
        ...

    def lock_progress(self) -> SnapshotProgress | None:
        """Locked until the unit of work ends. None if another one has locked it: one process takes
        snapshots at a time."""
        ...

    def save_progress(self, through: date | None, after_id: UUID | None) -> None: ...

    def take_snapshots(
        self, after_id: UUID | None, limit: int, before: date
    ) -> tuple[int, UUID | None]:
        """For each of the next `limit` accounts in the order of their ids, store the snapshot of
        the first day before `before` that has none. Locks no account, and waits for none. Returns
        the number of stored snapshots, and the id of the last account: None if there are no
        more."""
        ...
