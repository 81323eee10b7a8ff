"""Settlement: claims due payments and refunds in batches, calls the card network and posts the
outcomes to the ledger."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.card_networks import DEFAULT_NETWORK, NetworkResponse
from atomic_core.domain.errors import AtomicError, StorageRefused, StorageUnavailable
from atomic_core.domain.network_events import DISPUTE_ANNOUNCED, NetworkEvent
from atomic_core.domain.payments import DEFAULT_ACTION_PERIOD, Status
from atomic_core.domain.settlement import (
    NO_DELAY,
    Claim,
    Settlement,
    decide_settlement,
    postpone_claim,
)
from atomic_core.ports.breaker_states import BreakerStates
from atomic_core.ports.card_network import CardNetwork
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.ports.worker_liveness import WorkerLiveness
from atomic_core.use_cases.lease_renewal import LeaseRenewal
from atomic_core.use_cases.network_breaker import NetworkBreaker
from atomic_core.use_cases.network_calls import CalledClaim, NetworkCall, NetworkCalls, NetworkError
from atomic_core.use_cases.refund_reservation import reserve_refunds
from atomic_core.use_cases.settlement_posting import (
    ChargeRefused,
    save_settlements,
)

MAX_BATCHES: Final = 100
"""Batches per call, so that a job ends well within its time-out however much work arrives."""

MAX_SECONDS: Final = 60.0
"""No further batch begins after this time: a job has 180 s, and a batch may take twice the
network's time-out."""

MAX_TRIES: Final = 3
"""Tries of one transaction when the store fails transiently (a cut connection, a deadlock).
Repeating is safe: claims that a lost commit settled are no longer valid."""

AWAITED_SHARE: Final = 16
"""Of the places of a batch, one in so many more for inquiries about payments that wait for their
customers."""


class BatchSeconds(NamedTuple):
    """How long the steps of a batch took, in seconds."""

    claim: float
    reserve: float
    """Of the amounts of refunds; 0 without any."""
    network: float
    post: float


NO_SECONDS: Final = BatchSeconds(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SettledBatch:
    """The outcome of one claimed batch."""

    claimed: int
    settlements: Sequence[Settlement]
    rejected: Sequence[tuple[UUID, str]] = ()
    """Ids of payments and refunds that the database refused to post, with its message. Each is a
    bug. They are due again after the lease."""
    network_errors: Sequence[NetworkError] = ()
    """What the card network's adapter raised. Each is a bug of the adapter or of the network; the
    claims stay open."""
    network_calls: Sequence[NetworkCall] = ()
    retries: int = 0
    """Transactions that were repeated, because the store had failed transiently."""
    taken_over: int = 0
    """Claims of workers that had died, or were frozen for longer than their lease."""
    seconds: BatchSeconds = NO_SECONDS

    @property
    def lost(self) -> int:
        """Claims that another worker took over, because the lease had ended or this worker was
        considered dead."""
        return self.claimed - len(self.settlements) - len(self.rejected)


@dataclass(frozen=True, slots=True)
class SettlePayments:
    """Settle batch after batch until nothing is due or MAX_BATCHES are done.

    Claim and commit; reserve the amounts of refunds; call the card network outside any
    transaction; then lock, post and commit in one transaction. Any number of workers may settle
    at once. The claims of a worker that dies are due again at once; a slow worker keeps its
    claims until their lease ends.
    """

    begin: UnitOfWorkFactory
    worker_liveness: WorkerLiveness
    card_network: CardNetwork
    ids: IdGenerator
    batch_size: int
    lease: timedelta
    """How long a frozen worker keeps its claims. Renewed while the network is called."""
    hold_period: timedelta
    """How long an authorized payment waits for its capture."""
    network_timeout: timedelta
    """The time-out of one call, and the time after which a batch begins no further call."""
    network_patience: timedelta
    """How long a request that cannot be sent is retried before its payment fails."""
    action_period: timedelta = DEFAULT_ACTION_PERIOD
    """How long a payment waits for its customer."""
    network: str = DEFAULT_NETWORK
    """The name of the card network. Payments and refunds of others are left alone."""
    breaker: NetworkBreaker | None = None
    """None if the network is in this process and always answers."""
    breaker_states: BreakerStates | None = None
    """Where the state of the breaker is reported."""

    def __call__(
        self,
        overdue_by: timedelta = NO_DELAY,
        on_batch: Callable[[SettledBatch], None] | None = None,
    ) -> int:
        """Return how many payments and refunds were claimed. `on_batch` is called after each
        batch."""
        total = 0
        start = time.monotonic()
        for _ in range(MAX_BATCHES):
            limit = self.breaker.limit(self.batch_size) if self.breaker else self.batch_size
            if not limit:
                break
            claim_start = time.monotonic()
            claims, is_last = self._claim(limit, overdue_by)
            if claims:
                batch = self._settle(claims, time.monotonic() - claim_start)
                if on_batch:
                    on_batch(batch)
            self._report_breaker()
            total += len(claims)
            if is_last or time.monotonic() - start >= MAX_SECONDS:
                break
        return total

    def _report_breaker(self) -> None:
        """An open breaker after each trial, also one that has found nothing due: a report ends by
        itself, because its process may."""
        if self.breaker and self.breaker_states and self.breaker.take_report():
            self.breaker_states.report(self.network, is_open=self.breaker.is_open)

    def _claim(self, limit: int, overdue_by: timedelta) -> tuple[Sequence[Claim], bool]:
        """Claim a batch of up to `limit`; also return whether nothing more is due. At most half of
        a batch are refunds, so that neither payments nor refunds delay the other. Inquiries about
        payments that wait for their customers come on top, and are fewer than a tenth: they take no
        place of what is due. An open breaker lets none through."""
        terms = (self.lease, overdue_by, self.worker_liveness.worker_id(), self.network)
        max_refunds = max(1, limit // 2)
        with self.begin() as work:
            refunds = work.refunds.claim(max_refunds, *terms)
            room = limit - len(refunds)
            payments = work.payments.claim(room, *terms) if room else ()
            max_awaited = max(1, limit // AWAITED_SHARE) if limit == self.batch_size else 0
            awaited = (
                work.payments.claim_awaited(max_awaited, self.lease, self.network)
                if max_awaited
                else ()
            )
            try:
                work.commit()
            except StorageUnavailable:
                # The claims may be committed. Under a new worker id they are due at once.
                self.worker_liveness.deregister()
                raise
        is_last = len(refunds) < max_refunds and len(payments) < room
        return [*payments, *refunds, *awaited], is_last

    def _settle(self, claims: Sequence[Claim], claim_seconds: float) -> SettledBatch:
        network_calls = NetworkCalls(self.card_network, self.network_timeout)
        start = time.monotonic()
        with LeaseRenewal(self.begin, self.lease).keep(claims):
            result = _BatchResult()
            # Most claims are of payments: they skip the longer look.
            unsent = [claim for claim in claims if claim.refund_id and claim.is_unsent_refund]
            if unsent:
                result = _bisect_on_refusal(
                    [(claim, None) for claim in unsent], self._reserve_refunds
                )
                others = [claim for claim in claims if not claim.is_unsent_refund]
                claims_to_call = [*others, *result.reserved]
            else:
                claims_to_call = claims
            reserved_at = time.monotonic()
            called_claims = network_calls.call(claims_to_call)
        called_at = time.monotonic()
        if self.breaker:
            self.breaker.record(response for _, response in called_claims if response)
        result = result.merge(_bisect_on_refusal(called_claims, self._post))
        return SettledBatch(
            len(claims),
            result.settlements,
            result.rejected,
            network_calls.errors,
            network_calls.calls,
            result.retries,
            sum(claim.is_taken_over for claim in claims),
            BatchSeconds(
                claim_seconds,
                reserved_at - start if unsent else 0,
                called_at - reserved_at,
                time.monotonic() - called_at,
            ),
        )

    def _reserve_refunds(self, called_claims: Sequence[CalledClaim]) -> "_BatchResult":
        with self.begin() as work:
            claims = [claim for claim, _ in called_claims]
            settlements, reserved = reserve_refunds(work, claims, self.ids)
            work.commit()
        return _BatchResult(settlements, reserved=reserved)

    def _post(self, called_claims: Sequence[CalledClaim]) -> "_BatchResult":
        try:
            return self._try_post(called_claims, is_early=True)
        except ChargeRefused:
            # Rare, and the ledger may decide otherwise now.
            return self._try_post(called_claims, is_early=False)

    def _try_post(self, called_claims: Sequence[CalledClaim], *, is_early: bool) -> "_BatchResult":
        refunds = [claim for claim, _ in called_claims if claim.refund_id]
        with self.begin() as work:
            current = work.payments.lock_claims(
                [claim for claim, _ in called_claims if not claim.refund_id]
            )
            if refunds:
                current = [*current, *work.refunds.lock_claims(refunds)]
            if len(current) < len(called_claims):
                current_ids = {claim.id for claim in current}
                called_claims = [called for called in called_claims if called[0].id in current_ids]
            decisions = [
                (claim, self._decide(claim, response)) for claim, response in called_claims
            ]
            settlements = save_settlements(
                work, decisions, self.ids, self.hold_period, is_early=is_early
            )
            self._announce_disputes(work, called_claims, settlements)
            work.commit()
        return _BatchResult(settlements)

    def _announce_disputes(
        self,
        work: UnitOfWork,
        called_claims: Sequence[CalledClaim],
        settlements: Sequence[Settlement],
    ) -> None:
        """Store what the network has announced with a success as if it had sent an event."""
        for (claim, response), settlement in zip(called_claims, settlements, strict=True):
            if response and response.dispute_reference and settlement.status is Status.SUCCESS:
                reference, payment_id = response.dispute_reference, claim.payment_id
                work.network_events.add(
                    NetworkEvent(
                        self.network,
                        reference,
                        DISPUTE_ANNOUNCED,
                        payment_id,
                        dispute_reference=reference,
                    )
                )

    def _decide(self, claim: Claim, response: NetworkResponse | None) -> Settlement:
        if response is None:
            return postpone_claim(claim, is_called=False)
        return decide_settlement(claim, response, self.network_patience, self.action_period)


@dataclass(frozen=True, slots=True)
class _BatchResult:
    """The outcome of one transaction, or of several."""

    settlements: Sequence[Settlement] = ()
    rejected: Sequence[tuple[UUID, str]] = ()
    reserved: Sequence[Claim] = ()
    retries: int = 0

    def merge(self, other: "_BatchResult") -> "_BatchResult":
        return _BatchResult(
            [*self.settlements, *other.settlements],
            [*self.rejected, *other.rejected],
            [*self.reserved, *other.reserved],
            self.retries + other.retries,
        )


def _bisect_on_refusal(
    called_claims: Sequence[CalledClaim],
    write: Callable[[Sequence[CalledClaim]], _BatchResult],
) -> _BatchResult:
    """Write all claims in one transaction. If the database refuses it, write each half by itself,
    down to the single claim that it refuses: one bad payment does not block the others."""
    if not called_claims:
        return _BatchResult()
    try:
        return _retry_transient(lambda: write(called_claims))
    except StorageRefused as refusal:
        if len(called_claims) == 1:
            return _BatchResult(rejected=[(called_claims[0][0].id, refusal.message)])
    middle = len(called_claims) // 2
    first_half = _bisect_on_refusal(called_claims[:middle], write)
    return first_half.merge(_bisect_on_refusal(called_claims[middle:], write))


def _retry_transient(action: Callable[[], _BatchResult]) -> _BatchResult:
    for retries in range(MAX_TRIES - 1):
        try:
            result = action()
            return replace(result, retries=retries) if retries else result
        except AtomicError as error:
            if not error.retryable:
                raise
    return replace(action(), retries=MAX_TRIES - 1)
