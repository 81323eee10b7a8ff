"""The repository of disputes: rows that the network is due to be called for."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.disputes import Dispute
from atomic_core.domain.lists import DisputeFilter, Position
from atomic_core.domain.payments import Payment


class DisputeRepository(Protocol):
    def lock_payment(self, payment_id: UUID) -> Payment | None:
        """A payment of any merchant, locked until the unit of work ends. Before any dispute and
        any account is locked."""
        ...

    def get_payment(self, payment_id: UUID) -> Payment | None:
        """A payment of any merchant, as it was committed last."""
        ...

    def add(self, dispute: Dispute, check_after: timedelta) -> Dispute:
        """Insert a dispute that NEEDS_RESPONSE, before `ledger.save` saves its posting; look it up
        after `check_after`. This unit of work must have locked its payment. Raises StorageRefused
        if the payment is not a success or has not as much left that is not disputed."""
        ...

    def get(self, merchant_id: UUID | None, dispute_id: UUID) -> Dispute | None:
        """None if it is not the merchant's; without a merchant, that of any."""
        ...

    def lock(self, merchant_id: UUID, dispute_id: UUID) -> Dispute | None:
        """As `get`, locked until the unit of work ends."""
        ...

    def lock_by_reference(self, network: str, reference: str) -> Dispute | None:
        """The dispute with the network's id, locked until the unit of work ends."""
        ...

    def claim(self, network: str, limit: int, lease: timedelta) -> Sequence[Dispute]:
        """Claim disputes that are due, the oldest first: they are due again after `lease`, with the
        next `attempt`. Skips those that another unit of work has locked."""
        ...

    def make_due(self, network: str, references: Iterable[str]) -> frozenset[str]:
        """Make the open disputes among these due now. Returns the references that are recorded,
        open or not. Waits for locks on them."""
        ...

    def update(self, dispute: Dispute, due_after: timedelta, faults: int = 0) -> Dispute:
        """Save what can change of a dispute that this unit of work has locked. One that is WON must
        be saved before `ledger.save` saves its reversal. A closed dispute is not due any more."""
        ...

    def sum_disputed(self, payment_id: UUID) -> int:
        """The sum of the payment's disputes that are not won, in minor units."""
        ...

    def list_exceeded(self, payment_ids: Iterable[UUID]) -> frozenset[UUID]:
        """Those payments whose refunds, failed ones apart, and disputes, won ones apart, exceed
        together what was captured. This unit of work must have locked them."""
        ...

    def list(
        self, merchant_id: UUID | None, filters: DisputeFilter, after: Position | None, limit: int
    ) -> Sequence[Dispute]:
        """Newest first; see `ports/lists.py`. None: of all merchants."""
        ...

    def count_open(self) -> Mapping[str, int]:
        """The number of disputes that are not closed, by status."""
        ...
