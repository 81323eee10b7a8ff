"""The repository of refunds."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.payments import Payment
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, Settlement


class RefundRepository(Protocol):
    """Work rows, as payments are: `claim`, `hold`, `settle` and `make_due` are theirs, word for
    word."""

    def add(self, id: UUID, payment: Payment, amount: int, order: NewRefund) -> Refund:
        """Record a refund of a payment, held by this unit of work, as PENDING and due at once.
        Raises StorageRefused if more would be given back than was captured."""
        ...

    def get(self, merchant_id: UUID, refund_id: UUID) -> Refund | None:
        """The refund, if it is the merchant's."""
        ...

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[Refund]:
        """Up to `limit` refunds of a payment, newest first."""
        ...

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[Claim]: ...

    def lock_claims(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        """Locks the refunds' payments too, before them and in id order."""
        ...

    def list_reserved(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        """Those of these refunds, held by this unit of work, whose amount is on hold already."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> None: ...

    def make_due(self, refund_id: UUID) -> bool: ...
