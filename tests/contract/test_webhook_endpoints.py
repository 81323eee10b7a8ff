"""Webhook endpoints: their changes, secrets, limits and owners, on both stores."""

import pytest

from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import EventType
from atomic_core.domain.webhooks import (
    MAX_ENDPOINTS,
    DeliveryStatus,
    DisabledReason,
    EndpointChange,
    EndpointStatus,
    WebhookResult,
)
from atomic_core.use_cases.webhook_deliveries import DeliveryReference, ReplayRequest
from atomic_core.use_cases.webhook_endpoints import (
    EndpointReference,
    EndpointRequest,
    EndpointUpdate,
)
from support import IDS, Store, add_merchant
from webhook_scenarios import OK, URL, Shop


def test_gone_endpoint_is_disabled_with_an_event(shop: Shop) -> None:
    endpoint, other = shop.add_endpoint(), shop.add_endpoint("https://other.example/")
    gone = WebhookResult(410, "status 410", 1, "", None)
    shop.answer = lambda request: gone if request.url == URL else OK
    shop.add_events(1)
    shop.deliver()
    disabled = shop.get(endpoint)
    assert (disabled.status, disabled.disabled_reason) == (
        EndpointStatus.DISABLED,
        DisabledReason.GONE,
    )
    assert [each.delivery.status for each in shop.list_deliveries(endpoint)] == [
        DeliveryStatus.FAILED
    ]
    shop.deliver()
    types = [each.delivery.type for each in shop.list_deliveries(other)]
    assert types == [EventType.ACCOUNT_CREATED, EventType.WEBHOOK_ENDPOINT_DISABLED]
    audited, _ = shop.application.merchants.list_audit_events(shop.merchant_id, None, 100)
    assert "webhook_endpoint_disabled" in {str(event.type) for event in audited}


def test_disabled_endpoint_goes_on_where_it_stopped(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    shop.deliver()
    change = EndpointChange(status=EndpointStatus.DISABLED)
    disabled = shop.webhooks.update_endpoint(EndpointUpdate(shop.merchant_id, endpoint.id, change))
    assert disabled.disabled_reason is DisabledReason.REQUESTED
    shop.add_events(2)
    assert shop.deliver() == 0
    enabled = shop.webhooks.update_endpoint(
        EndpointUpdate(shop.merchant_id, endpoint.id, EndpointChange(status=EndpointStatus.ENABLED))
    )
    assert enabled.disabled_reason is None
    assert shop.deliver() == 2


def test_deleted_endpoint_gets_nothing_and_is_invisible(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    shop.deliver()
    [details] = shop.list_deliveries(endpoint)
    shop.webhooks.delete_endpoint(EndpointReference(shop.merchant_id, endpoint.id))
    shop.add_events(1)
    assert shop.deliver() == 0
    assert shop.webhooks.list_endpoints(shop.merchant_id) == []
    with pytest.raises(NotFound):
        shop.get(endpoint)
    with pytest.raises(NotFound):
        shop.webhooks.get_delivery(shop.merchant_id, details.delivery.id)


def test_rotated_secret_signs_beside_the_former_one(shop: Shop) -> None:
    issued = shop.webhooks.create_endpoint(EndpointRequest(shop.merchant_id, URL))
    reference = EndpointReference(shop.merchant_id, issued.endpoint.id)
    rotated = shop.webhooks.rotate_secret(reference)
    assert rotated.secret != issued.secret
    shop.add_events(1)
    shop.deliver()
    assert shop.sender.requests[-1].secrets == (rotated.secret, issued.secret)
    result = shop.webhooks.ping(shop.merchant_id, issued.endpoint.id)
    assert result == OK
    assert shop.sender.requests[-1].secrets == (rotated.secret, issued.secret)
    assert b'"type":"ping"' in shop.sender.requests[-1].body


def test_merchant_has_a_bounded_number_of_endpoints(shop: Shop) -> None:
    for number in range(MAX_ENDPOINTS):
        shop.add_endpoint(f"https://shop.example/{number}")
    with pytest.raises(Conflict, match="delete one"):
        shop.add_endpoint()
    assert len(shop.webhooks.list_endpoints(shop.merchant_id)) == MAX_ENDPOINTS


@pytest.mark.parametrize(
    "wrong",
    [
        *({"url": "https://user:pw@shop.example/"}, {"url": "ftp://shop.example"}),
        *({"url": "http://127.0.0.1/"}, {"event_types": ("payment.unknown",)}),
        *({"event_types": ("payment.*", "payment.*")}, {"description": "x" * 201}),
        {"event_types": ("payment.processing",)},
    ],
)
def test_invalid_endpoint_is_refused(shop: Shop, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationFailed):
        shop.add_endpoint(**{"url": URL, **wrong})


def test_other_merchants_see_nothing(shop: Shop, store: Store) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    shop.deliver()
    [details] = shop.list_deliveries(endpoint)
    stranger = add_merchant(store.begin, "Other")
    for action in (
        lambda: shop.webhooks.get_endpoint(stranger, endpoint.id),
        lambda: shop.webhooks.rotate_secret(EndpointReference(stranger, endpoint.id)),
        lambda: shop.webhooks.delete_endpoint(EndpointReference(stranger, endpoint.id)),
        lambda: shop.webhooks.ping(stranger, endpoint.id),
        lambda: shop.webhooks.get_delivery(stranger, details.delivery.id),
        lambda: shop.webhooks.retry_delivery(DeliveryReference(stranger, details.delivery.id)),
        lambda: shop.webhooks.replay(ReplayRequest(stranger, endpoint.id, 1)),
        lambda: shop.webhooks.get_endpoint(shop.merchant_id, IDS.new_id()),
    ):
        with pytest.raises(NotFound):
            action()
