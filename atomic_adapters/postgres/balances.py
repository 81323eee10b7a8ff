"""Balances as of a moment in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.arrays import timestamp_array, uuid_array
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.account_names import SubtreeBalance, get_subtree
from atomic_core.domain.balances import (
    BalanceBefore,
    BalanceQuery,
    SnapshotProgress,
    TimeAxis,
    TrialBalanceRow,
)
from atomic_core.domain.explanations import ExplainedEntry, KindSum

_SQL: Final = load_statements("balances")


@dataclass(frozen=True, slots=True)
class PostgresBalanceRepository:
    session: DatabaseSession

    def list_before(
        self, queries: Sequence[BalanceQuery], axis: TimeAxis
    ) -> Sequence[BalanceBefore]:
        rows = self.session.fetch_all(
            _SQL["list_balances_before"],
            account_ids=uuid_array([query.account_id for query in queries]),
            moments=timestamp_array([query.before for query in queries]),
            is_effective=axis is TimeAxis.EFFECTIVE,
        )
        return [
            BalanceBefore(account_id, before, sequence, int(balance))
            for account_id, before, sequence, balance in rows
        ]

    def sum_by_type(
        self, merchant_id: UUID | None, axis: TimeAxis, before: datetime
    ) -> Sequence[TrialBalanceRow]:
        is_effective = axis is TimeAxis.EFFECTIVE
        if merchant_id is None:
            rows = self.session.fetch_all(
                _SQL["sum_all_by_type"], before=before, is_effective=is_effective
            )
        else:
            rows = self.session.fetch_all(
                _SQL["sum_by_type"],
                merchant_id=merchant_id,
                before=before,
                is_effective=is_effective,
            )
        return [
            TrialBalanceRow(type, currency, accounts, int(debit), int(credit), is_system)
            for type, currency, accounts, debit, credit, is_system in rows
        ]

    def sum_subtree(self, merchant_id: UUID, prefix: str | None) -> Sequence[SubtreeBalance]:
        if prefix is None:
            rows = self.session.fetch_all(_SQL["sum_accounts"], merchant_id=merchant_id)
        else:
            rows = self.session.fetch_all(
                _SQL["sum_subtree"], merchant_id=merchant_id, **get_subtree(prefix)._asdict()
            )
        return [
            SubtreeBalance(currency, accounts, int(balance), int(pending_in), int(pending_out))
            for currency, accounts, balance, pending_in, pending_out in rows
        ]

    def sum_by_kind(
        self, account_id: UUID, after_sequence: int, last_sequence: int
    ) -> Sequence[KindSum]:
        rows = self.session.fetch_all(
            _SQL["sum_by_kind"],
            account_id=account_id,
            after_sequence=after_sequence,
            last_sequence=last_sequence,
        )
        return [
            KindSum(kind, entries, int(debit), int(credit)) for kind, entries, debit, credit in rows
        ]

    def list_explained(
        self, account_id: UUID, after_sequence: int, last_sequence: int, limit: int
    ) -> Sequence[ExplainedEntry]:
        rows = self.session.fetch_all(
            _SQL["list_explained_entries"],
            account_id=account_id,
            after_sequence=after_sequence,
            last_sequence=last_sequence,
            limit=limit,
        )
        return [ExplainedEntry(*row) for row in rows]

    def lock_progress(self) -> SnapshotProgress | None:
        self.session.execute(_SQL["open_progress"])
        row = self.session.fetch_optional(_SQL["lock_progress"])
        return SnapshotProgress(*row) if row else None

    def save_progress(self, through: date | None, after_id: UUID | None) -> None:
        self.session.execute(_SQL["save_progress"], through=through, after_id=after_id)

    def take_snapshots(
        self, after_id: UUID | None, limit: int, before: date
    ) -> tuple[int, UUID | None]:
        count, last_id = self.session.fetch_one(
            _SQL["take_snapshots"], after_id=after_id, limit=limit, before=before
        )
        return count, last_id
