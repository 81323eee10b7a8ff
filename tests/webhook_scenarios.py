"""A merchant whose webhooks are recorded, for tests on both stores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID

from atomic_adapters.memory.services import MemoryJobQueue, MemoryWebhookSender
from atomic_core.application import Application, Webhooks
from atomic_core.domain.events import EventFilter, StreamEvent
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment
from atomic_core.domain.webhooks import (
    DeliveryFilter,
    DeliveryStatus,
    WebhookEndpoint,
    WebhookRequest,
    WebhookResult,
)
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.webhook_deliveries import DeliveryDetails, DeliveryReference
from atomic_core.use_cases.webhook_endpoints import EndpointRequest
from support import Store, add_merchant, build_application

URL = "https://shop.example/hook"

OK = WebhookResult(200, None, 3, "thanks", None)
REFUSED = WebhookResult(500, "status 500", 3, "no", None)


@dataclass
class Shop:
    """A merchant whose webhooks are recorded, and answered as each test says."""

    store: Store
    answer: Callable[[WebhookRequest], WebhookResult] = lambda _: OK
    sender: MemoryWebhookSender = field(default_factory=MemoryWebhookSender)
    queue: MemoryJobQueue = field(default_factory=MemoryJobQueue)

    def __post_init__(self) -> None:
        self.sender.answer = self._answer
        self.merchant_id = add_merchant(self.store.begin)
        self.application: Application = build_application(
            self.store.begin, job_queue=self.queue, webhook_sender=self.sender
        )
        self.names = (f"Account {number}" for number in count())

    def _answer(self, request: WebhookRequest) -> WebhookResult:
        return self.answer(request)

    @property
    def webhooks(self) -> Webhooks:
        return self.application.webhooks

    def add_endpoint(self, url: str = URL, **details: object) -> WebhookEndpoint:
        request = EndpointRequest(self.merchant_id, url)._replace(**details)
        return self.webhooks.create_endpoint(request).endpoint

    def add_events(self, number: int = 1) -> None:
        """Accounts: the quickest events."""
        for _ in range(number):
            self.application.accounts.open(NewAccount(self.merchant_id, next(self.names), "USD"))

    def pay(self, webhook_url: str | None = None) -> UUID:
        if webhook_url:
            self.webhooks.ensure_default_endpoint(self.merchant_id)
        order = NewPayment(self.merchant_id, Money(100, "USD"), "tok_visa", webhook_url=webhook_url)
        payment = self.application.payments.record(order)
        self.application.settlement.settle()
        return payment.id

    def deliver(self) -> int:
        return self.webhooks.deliver()

    def get(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        return self.webhooks.get_endpoint(self.merchant_id, endpoint.id)

    def list_deliveries(
        self, endpoint: WebhookEndpoint, **filters: frozenset[object]
    ) -> list[DeliveryDetails]:
        """Oldest first, with attempts."""
        chosen = DeliveryFilter()._replace(**filters)
        page = self.webhooks.list_deliveries(self.merchant_id, endpoint.id, chosen, 100)
        details = [self.webhooks.get_delivery(self.merchant_id, item.id) for item in page.items]
        return sorted(details, key=lambda each: each.delivery.sequence)

    def make_retries_due(self, endpoint: WebhookEndpoint) -> None:
        """As if the time of each pending delivery had come."""
        for details in self.list_deliveries(endpoint):
            if details.delivery.status is DeliveryStatus.PENDING:
                self.webhooks.retry_delivery(
                    DeliveryReference(self.merchant_id, details.delivery.id)
                )

    @property
    def sent_ids(self) -> list[str]:
        return [request.id for request in self.sender.requests]

    def list_event_ids(self) -> list[str]:
        with self.store.begin() as work:
            return [str(event.id) for event in _list_stream(work, self.merchant_id)]


def _list_stream(work: UnitOfWork, merchant_id: UUID) -> Sequence[StreamEvent]:
    return work.events.list_stream(merchant_id, EventFilter(), 1_000, is_oldest_first=True)
