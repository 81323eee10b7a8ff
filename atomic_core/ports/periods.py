"""The repository of closed periods."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol
from uuid import UUID

from atomic_core.domain.lists import Position
from atomic_core.domain.periods import ClosingBalance, Period


class PeriodRepository(Protocol):
    def lock_accounts(self, merchant_id: UUID) -> Sequence[tuple[UUID, str]]:
        """The ids and currencies of all accounts of a merchant, locked in id order until the unit
        of work ends: what is being posted to them ends first, and what comes later sees the period.
        The merchant must be locked, so that no account is opened meanwhile."""
        ...

    def get_last(self, merchant_id: UUID) -> Period | None: ...

    def get_closed_through(self, merchant_id: UUID) -> date | None:
        """The last closed day. To be read after the accounts of a posting were locked."""
        ...

    def add(self, period: Period, balances: Sequence[ClosingBalance]) -> None:
        """Raises StorageRefused for a period that does not follow the last one."""
        ...

    def get(self, merchant_id: UUID, period_id: UUID) -> Period | None: ...

    def list(self, merchant_id: UUID, after: Position | None, limit: int) -> Sequence[Period]:
        """The latest first."""
        ...

    def list_balances(
        self, period_id: UUID, after: int | None, limit: int
    ) -> Sequence[ClosingBalance]:
        """In the order of account ids, after this sequence number."""
        ...
