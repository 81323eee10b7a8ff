"""The repository of refunds."""

from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.payments import Payment
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Settlement
from atomic_core.ports.work_items import WorkItemRepository


class RefundRepository(WorkItemRepository, Protocol):
    """`lock_claims` locks the refunds' payments first, in id order too."""

    def add(self, id: UUID, payment: Payment, amount: int, new_refund: NewRefund) -> Refund:
        """Insert a refund as PENDING and due. This unit of work must have locked the payment.
        `amount` is in minor units. Raises StorageRefused if the refunds would exceed the captured
        amount."""
        ...

    def get(self, merchant_id: UUID, refund_id: UUID) -> Refund | None:
        """The refund. None if it is not the merchant's."""
        ...

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[Refund]:
        """Up to `limit` refunds of a payment, newest first."""
        ...

    def list_reserved(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        """Those of the refunds, locked by this unit of work, that have a live hold."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Save the settlements of refunds that `lock_claims` has locked."""
        ...
