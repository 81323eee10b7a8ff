"""What operators watch of webhooks, on both stores."""

from datetime import timedelta

import pytest

from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.domain.webhooks import (
    BREAKER_FAILURES,
    DisabledReason,
    EndpointChange,
    EndpointStatus,
    WebhookResult,
)
from atomic_core.use_cases.webhook_endpoints import EndpointReference, EndpointUpdate
from support import Store
from webhook_scenarios import REFUSED, Shop

NONE_DISABLED = dict.fromkeys(DisabledReason, 0)
GONE = WebhookResult(410, "answered 410", 1, "", None)


def test_nothing_is_behind_at_first(shop: Shop) -> None:
    assert shop.webhooks.measure() == WebhookBacklog(0, 0.0, 0, 0, 0, NONE_DISABLED)
    shop.add_endpoint()
    shop.add_events(2)
    shop.deliver()
    assert shop.webhooks.measure() == WebhookBacklog(0, 0.0, 0, 0, 0, NONE_DISABLED)


def test_slowest_endpoint_is_measured_before_anything_makes_it_due(
    shop: Shop, store: Store
) -> None:
    shop.add_endpoint()
    shop.add_events(2)
    shop.deliver()
    other = Shop(store)
    other.add_endpoint()
    other.add_events(3)
    shop.add_events(1)
    store.tampering.age_events(other.merchant_id, 1, timedelta(days=1))
    backlog = shop.webhooks.measure()
    assert backlog.lag_events == 3
    assert 86_400 <= backlog.lag_seconds < 2 * 86_400
    with store.begin() as work:
        work.webhook_deliveries.plan(10)
        work.commit()
    planned = shop.webhooks.measure()
    assert planned.lag_events == 3
    assert planned.lag_seconds >= backlog.lag_seconds


def test_paused_endpoint_and_its_deliveries_are_counted(shop: Shop) -> None:
    shop.add_endpoint()
    shop.add_events(BREAKER_FAILURES)
    shop.answer = lambda _: REFUSED
    shop.deliver()
    backlog = shop.webhooks.measure()
    assert (backlog.paused, backlog.pending, backlog.failed) == (1, BREAKER_FAILURES, 0)
    with shop.store.begin() as work:
        assert work.webhook_deliveries.measure(3).pending == 3, "counting is bounded"


@pytest.mark.parametrize("reason", [DisabledReason.GONE, DisabledReason.REQUESTED])
def test_disabled_endpoints_are_counted_by_reason_and_lag_no_more(
    shop: Shop, reason: DisabledReason
) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    if reason is DisabledReason.GONE:
        shop.answer = lambda _: GONE
        shop.deliver()
    else:
        change = EndpointChange(status=EndpointStatus.DISABLED)
        shop.webhooks.update_endpoint(EndpointUpdate(shop.merchant_id, endpoint.id, change))
    shop.add_events(3)
    dead = 1 if reason is DisabledReason.GONE else 0
    expected = WebhookBacklog(0, 0.0, 0, dead, 0, {**NONE_DISABLED, reason: 1})
    assert shop.webhooks.measure() == expected
    shop.webhooks.delete_endpoint(EndpointReference(shop.merchant_id, endpoint.id))
    assert shop.webhooks.measure().disabled == NONE_DISABLED
