"""Replays of webhooks, on both stores."""

from uuid import UUID

import pytest

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from atomic_core.use_cases.webhook_deliveries import ReplayRequest
from webhook_scenarios import OK, REFUSED, Shop


def test_replay_sends_again_with_the_same_ids(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(4)
    shop.deliver()
    shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=3))
    assert shop.deliver() == 2
    assert sorted(shop.sent_ids[4:]) == sorted(shop.list_event_ids()[2:])
    since = shop.application.events.get(
        shop.merchant_id, UUID(shop.list_event_ids()[1])
    ).occurred_at
    shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, since=since))
    assert shop.deliver() == 3
    attempts = [each.delivery.attempts for each in shop.list_deliveries(endpoint)]
    assert attempts == [1, 2, 3, 3]
    with pytest.raises(ValidationFailed):
        shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=6))


def test_replay_of_what_is_retried_sends_it_once(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(3)
    refused = shop.list_event_ids()[1]
    shop.answer = lambda request: REFUSED if request.id == refused else OK
    shop.deliver()
    shop.make_retries_due(endpoint)
    shop.webhooks.replay(ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=1))
    shop.answer = lambda _: OK
    assert shop.deliver() == 3
    assert shop.sent_ids.count(refused) == 2
    assert [each.delivery.attempts for each in shop.list_deliveries(endpoint)] == [2, 2, 2]
    assert shop.get(endpoint).position == 3


def test_replay_during_a_round_is_not_undone_by_its_record(shop: Shop) -> None:
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    replay = ReplayRequest(shop.merchant_id, endpoint.id, from_sequence=1)

    def answer(_: WebhookRequest) -> WebhookResult:
        if len(shop.sender.requests) == 1:
            shop.webhooks.replay(replay)
        return OK

    shop.answer = answer
    assert shop.deliver() == 2
    assert shop.get(endpoint).position == 1
