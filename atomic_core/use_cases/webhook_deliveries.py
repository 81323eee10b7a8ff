"""What was sent to the endpoints of a merchant, and sending it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.audit_log import AuditEventType
from atomic_core.domain.errors import NotFound, ValidationFailed, WebhookEndpointDisabled
from atomic_core.domain.events import EventFilter
from atomic_core.domain.lists import Page, Position
from atomic_core.domain.origins import OPERATOR, Origin
from atomic_core.domain.webhook_backlog import MAX_COUNTED, WebhookBacklog
from atomic_core.domain.webhooks import (
    Delivery,
    DeliveryAttempt,
    DeliveryFilter,
    EndpointStatus,
    WebhookEndpoint,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command
from atomic_core.use_cases.maintenance import PURGE_BATCH_SIZE, purge_in_batches
from atomic_core.use_cases.webhook_endpoints import audit_endpoint, require_endpoint

MAX_SHOWN_ATTEMPTS: Final = 50
"""Of a delivery. A delivery has eleven, unless it is sent again on request."""

FIRST_EVENT: Final = 1

DEFAULT_RETENTION: Final = timedelta(days=30)
"""Of deliveries that have ended: long enough to look into what a receiver missed."""


class DeliveryDetails(NamedTuple):
    delivery: Delivery
    attempts: Sequence[DeliveryAttempt]
    """The latest MAX_SHOWN_ATTEMPTS, oldest first."""


class DeliveryReference(NamedTuple):
    merchant_id: UUID
    delivery_id: UUID
    origin: Origin = OPERATOR


class ReplayRequest(NamedTuple):
    """Send the events again from a sequence number, or from a time. Exactly one of them."""

    merchant_id: UUID
    endpoint_id: UUID
    from_sequence: int | None = None
    since: datetime | None = None
    origin: Origin = OPERATOR


@dataclass(frozen=True, slots=True)
class ListDeliveries:
    """A page of an endpoint's deliveries, newest first. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(
        self,
        merchant_id: UUID,
        endpoint_id: UUID,
        filters: DeliveryFilter,
        limit: int,
        after: Position | None = None,
    ) -> Page[Delivery]:
        with self.begin() as work:
            require_endpoint(work.webhook_endpoints.get(merchant_id, endpoint_id))
            found = work.webhook_deliveries.list(endpoint_id, filters, limit + 1, after)
        return Page(found[:limit], has_more=len(found) > limit)


@dataclass(frozen=True, slots=True)
class GetDelivery:
    """A delivery with its attempts. Raises NotFound, also for another merchant's."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, delivery_id: UUID) -> DeliveryDetails:
        with self.begin() as work:
            delivery = work.webhook_deliveries.get(merchant_id, delivery_id)
            if delivery is None:
                raise NotFound("No delivery has this id.")
            attempts = work.webhook_deliveries.list_attempts(delivery_id, MAX_SHOWN_ATTEMPTS)
        return DeliveryDetails(delivery, attempts)


@dataclass(frozen=True, slots=True)
class RetryDelivery(Command[DeliveryReference, Delivery]):
    """Send a delivery again, now. Raises NotFound; WebhookEndpointDisabled."""

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, reference: DeliveryReference) -> Delivery:
        merchant_id, delivery_id, origin = reference
        if work.webhook_deliveries.get(merchant_id, delivery_id) is None:
            raise NotFound("No delivery has this id.")
        delivery = work.webhook_deliveries.retry(merchant_id, delivery_id)
        if delivery is None:
            raise WebhookEndpointDisabled
        endpoint = require_endpoint(work.webhook_endpoints.get(merchant_id, delivery.endpoint_id))
        event_type = AuditEventType.WEBHOOK_DELIVERY_RETRIED
        audit_endpoint(work, self.ids, event_type, endpoint, origin, deliveryId=str(delivery_id))
        return delivery

    def after_commit(self) -> None:
        self.job_queue.notify(Job.DELIVER)


@dataclass(frozen=True, slots=True)
class ReplayWebhooks(Command[ReplayRequest, WebhookEndpoint]):
    """Send an endpoint all its events again that are not before the given one. They keep their
    webhook-id, so that a receiver recognizes what it has processed.

    Raises NotFound; ValidationFailed for a sequence number beyond the next event;
    WebhookEndpointDisabled.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, request: ReplayRequest) -> WebhookEndpoint:
        merchant_id, endpoint_id = request.merchant_id, request.endpoint_id
        endpoint = require_endpoint(work.webhook_endpoints.lock(merchant_id, endpoint_id))
        if endpoint.status is EndpointStatus.DISABLED:
            raise WebhookEndpointDisabled
        last = work.events.get_last_sequences([merchant_id]).get(merchant_id, 0)
        first = request.from_sequence or _find_first(work, merchant_id, request.since, last)
        if first > last + 1:
            raise ValidationFailed(details={"fromSequence": [f"Must be up to {last + 1}."]})
        work.webhook_endpoints.replay(endpoint_id, first - 1)
        event_type = AuditEventType.WEBHOOKS_REPLAYED
        audit_endpoint(
            work, self.ids, event_type, endpoint, request.origin, fromSequence=str(first)
        )
        return require_endpoint(work.webhook_endpoints.get(merchant_id, endpoint_id))

    def after_commit(self) -> None:
        self.job_queue.notify(Job.DELIVER)


def _find_first(work: UnitOfWork, merchant_id: UUID, since: datetime | None, last: int) -> int:
    """The sequence number of the first event that occurred at this time or later: times follow
    sequence numbers. By bisection: some thirty reads of one event."""
    if since is None:
        return FIRST_EVENT
    low, high = 1, last + 1
    while low < high:
        middle = (low + high) // 2
        filters = EventFilter(after=middle - 1)
        page = work.events.list_stream(merchant_id, filters, 1, is_oldest_first=True)
        if page and page[0].occurred_at < since:
            low = page[0].sequence + 1
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class MeasureWebhooks:
    """What operators watch of webhooks, of all merchants. Raises StorageUnavailable."""

    begin: UnitOfWorkFactory

    def __call__(self) -> WebhookBacklog:
        with self.begin() as work:
            return work.webhook_deliveries.measure(MAX_COUNTED)


@dataclass(frozen=True, slots=True)
class PurgeDeliveries:
    """Delete deliveries that ended longer ago than the retention, and those of deleted endpoints.
    Returns their number."""

    begin: UnitOfWorkFactory
    retention: timedelta

    def __call__(self) -> int:
        def purge(work: UnitOfWork) -> int:
            before = work.now() - self.retention
            return work.webhook_deliveries.purge(before, PURGE_BATCH_SIZE)

        return purge_in_batches(self.begin, purge)
