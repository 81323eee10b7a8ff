"""Webhooks: where the events of a merchant are sent, and what came of each attempt."""

import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.events import STREAM_TYPES, EventType

MAX_ENDPOINTS: Final = 20
"""Of a merchant. Each reads the merchant's stream for itself."""

MAX_EVENT_TYPES: Final = 20
"""Entries of an endpoint's filter."""

MAX_DESCRIPTION: Final = 200
"""Characters."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  no secret
SECRET_BYTES: Final = 32
"""Standard Webhooks requires 24 to 64."""

SECRET_OVERLAP: Final = timedelta(hours=24)
"""How long a secret that was replaced still signs, so that receivers can change theirs."""

MAX_ROUND_EVENTS: Final = 100
"""Events that one claim of an endpoint sends. Bounds the round, and what is sent again if its
worker dies."""

EVENT_WINDOW: Final = 1_000
"""Events of the stream that one claim reads, of which it sends those that match the endpoint."""

RETRY_DELAYS: Final = (
    *(timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""After each failure of a delivery; then it is a dead letter. Together three days and three hours,
which bridges a weekend."""

MAX_JITTER: Final = 0.1
"""Of a delay, added at random: what failed together is not retried together."""

MAX_RETRY_AFTER: Final = timedelta(hours=24)
"""The longest Retry-After that is honoured: a receiver cannot postpone for ever."""

BREAKER_FAILURES: Final = 5
"""In a row, after which an endpoint is paused: one that hangs would hold threads all the time."""

MIN_PAUSE: Final = timedelta(seconds=10)
MAX_PAUSE: Final = timedelta(minutes=5)
"""The pause doubles with each failure. After it one delivery is sent before the others."""

FAILING_PERIOD: Final = timedelta(days=5)
"""Of failures without one success, after which an endpoint is disabled."""

GONE: Final = 410
"""The status by which a receiver requests never to be called again."""


class WebhookRequest(NamedTuple):
    """One attempt to send one event."""

    id: str
    """The event's id: the same in every attempt and replay."""
    url: str
    body: bytes
    secrets: tuple[str, ...]
    """`whsec_…`, newest first. The body is signed with each of them."""
    timestamp: int
    """Of this attempt, in seconds since 1970."""


class WebhookResult(NamedTuple):
    """What came of one attempt. It succeeded if `status_code` is 2xx."""

    status_code: int | None
    """None unless the receiver has answered completely and in time."""
    error: str | None
    """In words what went wrong; None after 2xx."""
    duration_ms: int
    response: str
    """The first KiB of the answer's body."""
    retry_after: int | None
    """Seconds, as the receiver requests."""
    exception: Exception | None = None
    """That the sender has raised: a fault of its own. Logged, and not stored."""

    @property
    def is_success(self) -> bool:
        return self.error is None


class EndpointStatus(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    REQUESTED = "requested"
    """By the merchant."""
    GONE = "gone"
    """The receiver answered 410."""
    FAILING = "failing"
    """No success for FAILING_PERIOD."""


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    """It failed, and is retried."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """A dead letter: it is sent again on request only."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where a merchant's events are sent."""

    id: UUID
    merchant_id: UUID
    url: str | None
    """None: the endpoint of the payments that have a `webhookUrl` of their own, which get their
    events and those of their refunds. A merchant has one of them at most."""
    event_types: tuple[str, ...]
    """Types such as `payment.succeeded` or `refund.*`; empty for every type."""
    description: str
    is_ordered: bool
    """Whether events are sent strictly in sequence, each after the success of the one before."""
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    position: int
    """The sequence number up to which each event was sent at least once, or does not match."""
    created_at: datetime
    updated_at: datetime

    @property
    def listed_event_types(self) -> Sequence[str]:
        return list(self.event_types)


class NewEndpoint(NamedTuple):
    id: UUID
    merchant_id: UUID
    url: str | None
    encrypted_secret: bytes
    event_types: tuple[str, ...] = ()
    description: str = ""
    is_ordered: bool = False


class EndpointChange(NamedTuple):
    """What to change of an endpoint; None leaves it."""

    url: str | None = None
    event_types: tuple[str, ...] | None = None
    description: str | None = None
    is_ordered: bool | None = None
    status: EndpointStatus | None = None
    disabled_reason: DisabledReason | None = None
    """Of the status `disabled`."""


class EndpointSecrets(NamedTuple):
    """Encrypted, newest first: the present one, and the former one while it still signs."""

    present: bytes
    former: bytes | None


class Health(NamedTuple):
    """What the latest attempts say about an endpoint's receiver."""

    consecutive_failures: int = 0
    failing_since: datetime | None = None
    paused_until: datetime | None = None


class EndpointClaim(NamedTuple):
    """A worker's exclusive right to send the due events of an endpoint, until its lease ends."""

    endpoint: WebhookEndpoint
    secrets: EndpointSecrets
    number: int
    """The fencing token: of a later claim it is higher."""
    target: int
    """The sequence number up to which events are due."""
    health: Health
    claimed_at: datetime
    """By the database's clock."""
    replays: int = 0
    """How often a replay has set the position."""


class DueDelivery(NamedTuple):
    """An event that is to be sent to an endpoint, and what came of it before."""

    event_id: UUID
    sequence: int
    url: str
    retries: int = 0
    """Failures since it was sent first, or was requested again."""


class DeliveryOutcome(NamedTuple):
    """One attempt and what follows from it."""

    due: DueDelivery
    type: EventType
    at: datetime
    result: WebhookResult
    status: DeliveryStatus
    next_attempt_at: datetime | None
    """Of a pending delivery."""


class RoundRecord(NamedTuple):
    """What one claim of an endpoint has done."""

    claim: EndpointClaim
    outcomes: Sequence[DeliveryOutcome]
    position: int
    """The endpoint's position after it."""
    health: Health
    disabled_reason: DisabledReason | None = None
    """Disables the endpoint."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint."""

    id: UUID
    endpoint_id: UUID
    merchant_id: UUID
    event_id: UUID
    sequence: int
    type: EventType
    url: str
    """To which the latest attempt was sent."""
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    updated_at: datetime


class DeliveryAttempt(NamedTuple):
    number: int
    """From 1."""
    at: datetime
    status_code: int | None
    duration_ms: int
    error: str | None
    response: str


class DeliveryFilter(NamedTuple):
    """A delivery must meet all conditions."""

    statuses: frozenset[DeliveryStatus] = frozenset()
    """Any of these; empty for every status."""
    types: frozenset[EventType] = frozenset()
    """Any of these; empty for every type."""
    created_from: datetime | None = None
    created_to: datetime | None = None
    """Before this time."""


def generate_secret() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def expand_event_types(event_types: Sequence[str]) -> frozenset[EventType]:
    """The types of the stream that the entries name. Raises ValueError for an entry that names
    none."""
    if not event_types:
        return STREAM_TYPES
    expanded: set[EventType] = set()
    for entry in event_types:
        prefix = entry[:-1] if entry == "*" or entry.endswith(".*") else None
        matching = {
            type
            for type in STREAM_TYPES
            if type == entry or (prefix is not None and type.startswith(prefix))
        }
        if not matching:
            raise ValueError(entry)
        expanded |= matching
    return frozenset(expanded)


def decide_outcome(
    due: DueDelivery, type: EventType, at: datetime, result: WebhookResult, jitter: float
) -> DeliveryOutcome:
    """What follows from an attempt. `jitter` is a random number from 0 to 1."""
    if result.is_success:
        return DeliveryOutcome(due, type, at, result, DeliveryStatus.SUCCEEDED, None)
    if result.status_code == GONE or due.retries >= len(RETRY_DELAYS):
        return DeliveryOutcome(due, type, at, result, DeliveryStatus.FAILED, None)
    delay = RETRY_DELAYS[due.retries] * (1 + jitter * MAX_JITTER)
    if result.retry_after is not None:
        requested = min(timedelta(seconds=result.retry_after), MAX_RETRY_AFTER)
        delay = max(delay, requested)
    return DeliveryOutcome(due, type, at, result, DeliveryStatus.PENDING, at + delay)


def update_health(health: Health, result: WebhookResult, at: datetime) -> Health:
    """The health after one more attempt."""
    if result.is_success:
        return Health()
    failures = health.consecutive_failures + 1
    paused_until = None
    if failures >= BREAKER_FAILURES:
        doublings = min(failures - BREAKER_FAILURES, 10)
        paused_until = at + min(MIN_PAUSE * 2**doublings, MAX_PAUSE)
    return Health(failures, health.failing_since or at, paused_until)


def find_disabled_reason(
    health: Health, results: Sequence[WebhookResult], at: datetime
) -> DisabledReason | None:
    """Why an endpoint is disabled after these results; None if it is not."""
    if any(result.status_code == GONE for result in results):
        return DisabledReason.GONE
    if health.failing_since is not None and at - health.failing_since >= FAILING_PERIOD:
        return DisabledReason.FAILING
    return None


def describe_endpoint(endpoint: WebhookEndpoint) -> Mapping[str, object]:
    """The data of an event about an endpoint, named as in the API."""
    return {
        "id": str(endpoint.id),
        "url": endpoint.url,
        "description": endpoint.description,
        "status": str(endpoint.status),
        "disabledReason": endpoint.disabled_reason and str(endpoint.disabled_reason),
    }
