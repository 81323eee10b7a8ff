"""The repositories of webhook endpoints and deliveries."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.events import StreamEvent
from atomic_core.domain.lists import Position
from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.domain.webhooks import (
    Delivery,
    DeliveryAttempt,
    DeliveryFilter,
    DueDelivery,
    EndpointChange,
    EndpointClaim,
    NewEndpoint,
    RoundRecord,
    WebhookEndpoint,
)


class WebhookEndpointRepository(Protocol):
    """The endpoints of merchants. Another merchant's endpoint does not exist for these methods."""

    def add(self, new_endpoint: NewEndpoint) -> WebhookEndpoint | None:
        """An enabled endpoint, whose position is the end of the merchant's stream. None if its URL
        is None and the merchant has an endpoint without a URL already.

        Locks the merchant's stream, so that it gets every event which is committed later.
        """
        ...

    def list(self, merchant_id: UUID) -> Sequence[WebhookEndpoint]:
        """Oldest first; MAX_ENDPOINTS and the one without a URL at most."""
        ...

    def get(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint | None: ...

    def get_default(self, merchant_id: UUID) -> WebhookEndpoint | None:
        """The one without a URL."""
        ...

    def lock(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint | None:
        """Lock an endpoint against changes and against the record of a round until this unit of
        work ends. After the lock of the merchant, before that of the stream."""
        ...

    def change(self, endpoint_id: UUID, change: EndpointChange) -> WebhookEndpoint:
        """Change an endpoint that this unit of work has locked. An endpoint that becomes enabled
        begins anew: it is neither paused nor failing."""
        ...

    def get_secrets(self, endpoint_id: UUID) -> Sequence[bytes]:
        """The encrypted secrets that sign, newest first: one or two."""
        ...

    def rotate_secret(self, endpoint_id: UUID, encrypted_secret: bytes, overlap: timedelta) -> None:
        """Replace the secret of a locked endpoint; the former one signs for `overlap` longer."""
        ...

    def replay(self, endpoint_id: UUID, position: int) -> None:
        """Send all events after this sequence number, of a locked endpoint. It is no longer
        paused."""
        ...

    def delete(self, endpoint_id: UUID) -> None:
        """Delete a locked endpoint. Its deliveries are purged later, and are invisible."""
        ...


class WebhookDeliveryRepository(Protocol):
    """The deliveries, and the claims of endpoints that have something to send."""

    def plan(self, limit: int) -> int:
        """Make the endpoints due whose merchants' streams have grown; returns how many streams were
        looked at, up to `limit`.

        Locks these streams, in merchant order, and then endpoints: a concurrent event is either
        planned now or makes its stream due again.
        """
        ...

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[EndpointClaim]:
        """Claim up to `limit` endpoints: first those of dead workers (see `WorkerLiveness`),
        whatever `overdue_by`; then those that have been due for `overdue_by`, the longest due
        first. Endpoints that are locked or claimed are passed over.

        Without a `worker_id`, or under that of a dead worker, only the lease limits the claim.
        """
        ...

    def list_retries(self, claim: EndpointClaim, limit: int) -> Sequence[DueDelivery]:
        """The pending deliveries of a claimed endpoint whose time has come, the longest due
        first. Of an ordered endpoint: the first pending one."""
        ...

    def list_new(
        self, claim: EndpointClaim, events: Sequence[StreamEvent]
    ) -> Sequence[DueDelivery]:
        """These events as deliveries of a claimed endpoint, with what came of them before. Of the
        endpoint without a URL: those whose payment has one."""
        ...

    def record(self, record: RoundRecord) -> bool:
        """Store what a claim has done, and end it. False, and nothing is stored, if the endpoint
        was deleted or claimed anew. Locks the endpoint, and before it the merchant's stream if
        the record disables the endpoint, which adds an event.

        The position is that of the record unless it was set by a replay since the claim.
        """
        ...

    def list(
        self, endpoint_id: UUID, filters: DeliveryFilter, limit: int, after: Position | None
    ) -> Sequence[Delivery]:
        """Newest first."""
        ...

    def get(self, merchant_id: UUID, delivery_id: UUID) -> Delivery | None: ...

    def list_attempts(self, delivery_id: UUID, limit: int) -> Sequence[DeliveryAttempt]:
        """The latest attempts, oldest first."""
        ...

    def retry(self, merchant_id: UUID, delivery_id: UUID) -> Delivery | None:
        """Send a delivery again now, whatever its status, and its endpoint soon. An ordered
        endpoint waits for one that is pending, whose further retries stay; one that has ended is
        sent once, so that nothing waits for it again. None if there is none or its endpoint is
        deleted or disabled."""
        ...

    def measure(self, max_counted: int) -> WebhookBacklog:
        """The backlog of all merchants, from one snapshot. Locks nothing."""
        ...

    def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` deliveries, with their attempts, that are not pending and were
        updated before this time, or whose endpoint is deleted; returns how many."""
        ...
