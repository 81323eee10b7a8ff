"""The repository of payments."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.payments import (
    HoldResolution,
    InsertedPayment,
    Payment,
    PaymentInsert,
    PaymentLookup,
)
from atomic_core.domain.settlement import Claim, Settlement


class PaymentRepository(Protocol):
    def insert(
        self, inserts: Sequence[PaymentInsert], lock_timeout: timedelta | None = None
    ) -> Sequence[InsertedPayment | None]:
        """Record these payments as PENDING, due at once, each credited to the merchant's first
        account in its currency: one statement, whatever their number.

        None, and nothing recorded, for those whose conditions (see PaymentInsert) do not hold, and
        for all but the first of those that share an Idempotency-Key. Keys are taken in order,
        so that two calls cannot wait on each other. Waits for a concurrent first use of a key
        to end, `lock_timeout` or else the store's lock time-out; then raises IdempotencyKeyInUse.
        """
        ...

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        """What each look-up finds: one statement, whatever their number."""
        ...

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[Claim]:
        """Take up to `limit` payments that have been due for `overdue_by`, oldest first.

        Due are PENDING payments, and PROCESSING ones whose lease or back-off has ended; and at
        once, whatever `overdue_by`, those whose worker_id (see Presence) is gone. They become
        PROCESSING, due again when `lease` ends, with `attempt` one higher. Without a worker_id,
        or under one that is gone already, only the lease says until when. Payments that another
        unit of work holds are passed over, not waited for.
        """
        ...

    def lock_claims(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        """The ids of those claims that are still ours, locked in id order until the unit of
        work ends. A claim that somebody else took over or finished is not among them."""
        ...

    def settle(self, settlements: Sequence[Settlement], hold_period: timedelta) -> None:
        """Write what became of payments held by this unit of work. A payment that becomes
        AUTHORIZED is held for `hold_period` from now."""
        ...

    def lock(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        """The payment, if it is the merchant's, held until the unit of work ends."""
        ...

    def resolve_hold(self, resolution: HoldResolution) -> Payment:
        """Make an AUTHORIZED payment, held by this unit of work, work again: PROCESSING, due at
        once, with `attempt` one higher, so that no earlier claim counts. Raises StorageRefused if
        it is not AUTHORIZED."""
        ...

    def expire_holds(self, limit: int) -> Sequence[UUID]:
        """The same for up to `limit` payments whose hold has ended, those first that ended first.
        Payments that another unit of work holds are passed over."""
        ...

    def make_due(self, payment_id: UUID) -> bool:
        """Make an open payment due at once, as if its back-off or lease had just ended. Its
        `attempt` stays. Waits for whoever holds it. False if it is unknown or not open."""
        ...
