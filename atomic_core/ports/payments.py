"""The repository of payments."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.payments import (
    HoldResolution,
    InsertedPayment,
    Payment,
    PaymentInsert,
    PaymentLookup,
)
from atomic_core.domain.settlement import Claim, Settlement
from atomic_core.ports.work_items import WorkItemRepository


class PaymentRepository(WorkItemRepository, Protocol):
    """Beside payments that are due, a worker claims those that wait for their customers, to inquire
    about them: they stay REQUIRES_ACTION."""

    def claim_awaited(
        self, limit: int, lease: timedelta, network: str = DEFAULT_NETWORK
    ) -> Sequence[Claim]:
        """Claim up to `limit` REQUIRES_ACTION payments of a card network whose next inquiry is due,
        the longest due first. A claim increments the payment's `attempt` and ends with its lease.
        Skips payments that another unit of work has locked."""
        ...

    def insert(
        self, inserts: Sequence[PaymentInsert], lock_timeout: timedelta | None = None
    ) -> Sequence[InsertedPayment | None]:
        """Insert payments as PENDING and due, in one statement. A success will credit the
        merchant's default account in the currency.

        The result is None, and nothing is inserted, for a payment whose conditions (see
        PaymentInsert) do not hold, and for all but the first of those that share an
        Idempotency-Key. Locks the keys in order, to avoid deadlocks, and waits for a concurrent
        first use of a key for `lock_timeout`, by default the store's; then raises
        IdempotencyKeyInUse.
        """
        ...

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        """The payment of each look-up, in order, in one statement."""
        ...

    def settle(self, settlements: Sequence[Settlement], hold_period: timedelta) -> None:
        """Save the settlements of payments that `lock_claims` has locked. A payment that becomes
        AUTHORIZED is held for `hold_period` from now. What succeeds must be posted by the commit,
        and what is held must be released before this."""
        ...

    def lock(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        """The payment, locked until the unit of work ends. None if it is not the merchant's."""
        ...

    def resolve_hold(self, resolution: HoldResolution) -> Payment:
        """Make an AUTHORIZED payment, or for ABANDON a REQUIRES_ACTION one, that this unit of work
        has locked PROCESSING and due, and increment its `attempt`, so that earlier claims are no
        longer current. Raises StorageRefused if it has another status."""
        ...

    def expire_holds(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Resolve up to `limit` holds that have ended, in order of their ends, and return the ids
        of their merchants and payments. Skips payments that another unit of work has locked."""
        ...

    def abandon_awaited(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """The same, with ABANDON, of up to `limit` REQUIRES_ACTION payments whose customers' time
        is over."""
        ...
