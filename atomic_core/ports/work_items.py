"""The queue of payments and refunds: work items that are claimed, leased and settled."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.admin_queries import UnresolvedStep
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.settlement import Claim


class WorkItemRepository(Protocol):
    """The row of a work item is its queue entry. `PaymentRepository` and `RefundRepository` extend
    this with `settle`."""

    def claim(
        self,
        limit: int,
        lease: timedelta,
        overdue_by: timedelta,
        worker_id: int | None = None,
        network: str = DEFAULT_NETWORK,
    ) -> Sequence[Claim]:
        """Claim up to `limit` items of a card network that have been due for `overdue_by`, oldest
        first.

        Due are PENDING items, and PROCESSING ones whose lease or back-off has ended. Items of a
        dead worker (see `WorkerLiveness`) are due at once, whatever `overdue_by`. A claim makes
        the item PROCESSING, increments its `attempt` and makes it due again when `lease` ends.
        Without a `worker_id`, or under that of a dead worker, only the lease limits the claim.
        Skips items that another unit of work has locked.
        """
        ...

    def lock_claims(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Lock the items in id order until the unit of work ends. Returns the claims that are still
        current, in their order: not claimed again, and not settled."""
        ...

    def renew_leases(self, claims: Sequence[Claim], lease: timedelta) -> None:
        """Extend the leases of those claims that are still current to `lease` from now. Skips items
        that another unit of work has locked."""
        ...

    def claim_unresolved(self, id: UUID, lease: timedelta, /) -> Claim | None:
        """Claim an item whose step the network has left unresolved, whether or not it is due, so
        that a worker's claim is no longer current. Waits for locks on the item. None if there is no
        such item."""
        ...

    def request_inquiries(self, ids: Iterable[UUID], network: str) -> frozenset[UUID]:
        """Make items of a card network due now whose step the network has left open, so that their
        next claim looks at what became of it. Returns the ids of those that are claimed or locked
        at present. All others are left alone: they are unknown, settled, or not called yet."""
        ...

    def report_doubts(self, alarm: timedelta, limit: int) -> Sequence[UnresolvedStep]:
        """Up to `limit` items in doubt for `alarm` or longer that were not reported yet, the
        longest in doubt first. They count as reported until their doubt ends. Skips items that
        another unit of work has locked."""
        ...

    def make_due(self, id: UUID, /) -> bool:
        """Make an open item due now, as if its back-off and lease had ended. Its `attempt` stays,
        so that a worker that has claimed it can still settle it. Waits for locks on the item.
        Returns False if the item does not exist or is not open."""
        ...
