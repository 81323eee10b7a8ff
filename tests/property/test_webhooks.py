"""Deliveries against a model, on both stores: whatever fails, an endpoint gets each event of the
stream that matches, in order where it must, and never one that does not match."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from atomic_adapters.memory.services import MemoryWebhookSender
from atomic_core.domain.events import EventFilter, StreamEvent
from atomic_core.domain.webhooks import (
    DeliveryFilter,
    DeliveryStatus,
    EndpointChange,
    EndpointStatus,
    WebhookRequest,
    WebhookResult,
    expand_event_types,
)
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.webhook_deliveries import DeliveryReference, ReplayRequest
from atomic_core.use_cases.webhook_endpoints import EndpointRequest, EndpointUpdate
from support import DEPTH, Store, add_merchant, build_application, build_payment

OK = WebhookResult(200, None, 1, "", None)
REFUSED = WebhookResult(500, "status 500", 1, "", None)


class Deliveries(RuleBasedStateMachine):
    """A merchant with an ordered endpoint, one of some types, and one for everything."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.sender = MemoryWebhookSender(self._answer)
        self.application = build_application(self.store.begin, webhook_sender=self.sender)
        self.merchant_id = add_merchant(self.store.begin)
        self.failures = 0
        """How many of the next webhooks fail."""
        self.accepted: dict[str, list[str]] = {}
        """By URL, the ids that were answered 200, in order."""
        self.number = 0

    def _answer(self, request: WebhookRequest) -> WebhookResult:
        if self.failures:
            self.failures -= 1
            return REFUSED
        self.accepted.setdefault(request.url, []).append(request.id)
        return OK

    @initialize()
    def add_endpoints(self) -> None:
        self.endpoints = {
            url: self.application.webhooks.create_endpoint(
                EndpointRequest(self.merchant_id, url, types, is_ordered=is_ordered)
            ).endpoint
            for url, types, is_ordered in (
                ("https://all.example/", (), False),
                ("https://some.example/", ("payment.*",), False),
                ("https://ordered.example/", (), True),
            )
        }

    @rule(number=st.integers(1, 5))
    def open_accounts(self, number: int) -> None:
        for _ in range(number):
            self.number += 1
            new_account = NewAccount(self.merchant_id, f"Account {self.number}", "USD")
            self.application.accounts.open(new_account)

    @rule()
    def pay(self) -> None:
        self.application.payments.record(build_payment(self.merchant_id))
        self.application.settlement.settle()

    @rule(failures=st.integers(0, 3))
    def deliver(self, failures: int) -> None:
        self.failures = failures
        self.application.webhooks.deliver()
        self.failures = 0

    @rule()
    def retry_pending(self) -> None:
        """As if the time of each retry had come."""
        filters = DeliveryFilter(frozenset({DeliveryStatus.PENDING}))
        for endpoint in self.endpoints.values():
            page = self.application.webhooks.list_deliveries(
                self.merchant_id, endpoint.id, filters, 100
            )
            for delivery in page.items:
                reference = DeliveryReference(self.merchant_id, delivery.id)
                self.application.webhooks.retry_delivery(reference)

    @rule()
    def lose_a_round(self) -> None:
        """A worker claims, sends nothing and dies; its lease ends at once."""
        no_time = timedelta(0)
        with self.store.begin() as work:
            work.webhook_deliveries.plan(10)
            work.webhook_deliveries.claim(10, no_time, no_time)
            work.commit()

    @rule()
    def disable_and_enable(self) -> None:
        for endpoint in self.endpoints.values():
            for status in (EndpointStatus.DISABLED, EndpointStatus.ENABLED):
                change = EndpointChange(status=status)
                update = EndpointUpdate(self.merchant_id, endpoint.id, change)
                self.application.webhooks.update_endpoint(update)

    @precondition(lambda self: self.list_stream())
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        endpoint = self.endpoints["https://all.example/"]
        position = self.application.webhooks.get_endpoint(self.merchant_id, endpoint.id).position
        # One beyond the position would leave events out.
        first = data.draw(st.integers(1, position + 1))
        self.application.webhooks.replay(ReplayRequest(self.merchant_id, endpoint.id, first))

    @invariant()
    def only_matching_events_are_sent(self) -> None:
        stream = self.list_stream()
        for url, ids in self.accepted.items():
            types = expand_event_types(self.endpoints[url].event_types)
            assert set(ids) <= {str(event.id) for event in stream if event.event.type in types}

    @invariant()
    def ordered_events_are_in_order(self) -> None:
        ids = list(dict.fromkeys(self.accepted.get("https://ordered.example/", ())))
        assert ids == [str(event.id) for event in self.list_stream()[: len(ids)]]

    def teardown(self) -> None:
        if not hasattr(self, "endpoints"):
            return
        # Everything arrives once nothing fails any more.
        for _ in range(3):
            self.retry_pending()
            self.application.webhooks.deliver()
        stream = self.list_stream()
        for url, endpoint in self.endpoints.items():
            types = expand_event_types(endpoint.event_types)
            expected = {str(event.id) for event in stream if event.event.type in types}
            missing = expected - set(self.accepted.get(url, ()))
            assert not missing - self.list_dead_letters(endpoint.id)

    def list_dead_letters(self, endpoint_id: UUID) -> set[str]:
        filters = DeliveryFilter(frozenset({DeliveryStatus.FAILED}))
        page = self.application.webhooks.list_deliveries(
            self.merchant_id, endpoint_id, filters, 100
        )
        return {str(delivery.event_id) for delivery in page.items}

    def list_stream(self) -> list[StreamEvent]:
        with self.store.begin() as work:
            return list(
                work.events.list_stream(
                    self.merchant_id, EventFilter(), 10_000, is_oldest_first=True
                )
            )


@pytest.mark.parametrize(("name", "examples"), [("memory_store", 20), ("postgres_store", 5)])
def test_every_event_is_delivered_whatever_fails(
    request: pytest.FixtureRequest, name: str, examples: int
) -> None:
    store = request.getfixturevalue(name)
    machine = type("Machine", (Deliveries,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples * DEPTH, stateful_step_count=15, deadline=None),
    )
