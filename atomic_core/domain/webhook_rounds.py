"""A round: what one claim of an endpoint sends, and how far it came."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from atomic_core.domain.events import StreamEvent
from atomic_core.domain.webhooks import (
    BREAKER_FAILURES,
    DeliveryOutcome,
    DeliveryStatus,
    DueDelivery,
    EndpointClaim,
    Health,
    RoundRecord,
    WebhookResult,
    decide_outcome,
    find_disabled_reason,
    update_health,
)

MAX_CONCURRENT: Final = 10
"""Deliveries in flight to one endpoint."""


@dataclass(frozen=True, slots=True)
class RoundItem:
    """A delivery to send, and its event."""

    due: DueDelivery
    event: StreamEvent
    is_retry: bool
    """Of a sequence number that the position has passed already."""


@dataclass(slots=True)
class Round:
    """The items of a claim, in the order in which they begin, and what came of them."""

    claim: EndpointClaim
    items: Sequence[RoundItem]
    end_position: int
    """The position after all items have been sent."""
    outcomes: list[DeliveryOutcome] = field(default_factory=list)
    health: Health = field(init=False)
    _results: list[WebhookResult] = field(default_factory=list)
    _begun: int = 0
    _is_stopped: bool = False

    def __post_init__(self) -> None:
        self.health = self.claim.health

    @property
    def has_breaker(self) -> bool:
        """Without a URL of its own, an endpoint has a receiver per payment: one that fails says
        nothing about the others."""
        return self.claim.endpoint.url is not None

    @property
    def max_concurrent(self) -> int:
        """How many deliveries may be in flight; a paused endpoint gets one first."""
        is_probed = self.has_breaker and self.health.consecutive_failures >= BREAKER_FAILURES
        return 1 if is_probed or self.claim.endpoint.is_ordered else MAX_CONCURRENT

    @property
    def remaining(self) -> int:
        """Items that have not begun, and may."""
        return 0 if self._is_stopped else len(self.items) - self._begun

    def take_next(self) -> RoundItem | None:
        """The next item to send; None after the last one, or after a failure that stops it."""
        if not self.remaining:
            return None
        self._begun += 1
        return self.items[self._begun - 1]

    def stop(self) -> None:
        """Begin no further item."""
        self._is_stopped = True

    def finish(self, item: RoundItem, result: WebhookResult, at: datetime, jitter: float) -> None:
        """What came of an item, in the order of completion. `jitter` is from 0 to 1."""
        outcome = decide_outcome(item.due, item.event.event.type, at, result, jitter)
        self.outcomes.append(outcome)
        self._results.append(result)
        if self.has_breaker:
            self.health = update_health(self.health, result, at)
            if self.health.consecutive_failures >= BREAKER_FAILURES:
                self._is_stopped = True
        is_blocking = outcome.status is DeliveryStatus.PENDING and not item.is_retry
        if self.claim.endpoint.is_ordered and is_blocking:
            self._is_stopped = True

    def build_record(self, at: datetime) -> RoundRecord:
        reason = find_disabled_reason(self.health, self._results, at) if self.has_breaker else None
        return RoundRecord(
            self.claim, self.outcomes, self._get_position(), self.health, disabled_reason=reason
        )

    def _get_position(self) -> int:
        begun = [item for item in self.items[: self._begun] if not item.is_retry]
        position = self.claim.endpoint.position
        if self.claim.endpoint.is_ordered:
            blocking = [
                outcome.due.sequence
                for outcome in self.outcomes
                if outcome.status is DeliveryStatus.PENDING and outcome.due.sequence > position
            ]
            if blocking:
                return blocking[0] - 1
        if self._begun == len(self.items):
            return self.end_position
        return begun[-1].due.sequence if begun else position
