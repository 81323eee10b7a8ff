"""Keeps the leases of claims alive while the card network is called for them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from atomic_core.domain.errors import AtomicError
from atomic_core.domain.settlement import Claim
from atomic_core.ports.unit_of_work import UnitOfWorkFactory

RENEWALS_PER_LEASE: Final = 3
"""So that one renewal may fail or be late."""


@dataclass(frozen=True, slots=True)
class LeaseRenewal:
    """Renews leases from a thread of its own. A worker that is frozen or killed renews nothing, so
    a lease can be shorter than the network's time-out: it bounds how long a dead or frozen worker
    delays its claims, not how long a call may take."""

    begin: UnitOfWorkFactory
    lease: timedelta

    @contextmanager
    def keep(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Renew the claims' leases until the context ends. A lease of zero, as tests use, has ended
        already."""
        if not self.lease:
            yield
            return
        has_ended = threading.Event()
        thread = threading.Thread(
            target=self._renew_until, args=(claims, has_ended), name="lease-renewal", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()

    def _renew_until(self, claims: Sequence[Claim], has_ended: threading.Event) -> None:
        interval = self.lease.total_seconds() / RENEWALS_PER_LEASE
        while not has_ended.wait(interval):
            try:
                self.renew(claims)
            except AtomicError:
                # Tried again at the next interval. If the lease ends first, another worker takes
                # over the claims and repeats the calls under the same keys, which has no effect.
                continue

    def renew(self, claims: Sequence[Claim]) -> None:
        """Extend the leases of the claims that are still current to `lease` from now."""
        refunds = [claim for claim in claims if claim.refund_id]
        with self.begin() as work:
            work.payments.renew_leases(
                [claim for claim in claims if not claim.refund_id], self.lease
            )
            if refunds:
                work.refunds.renew_leases(refunds, self.lease)
            work.commit()
