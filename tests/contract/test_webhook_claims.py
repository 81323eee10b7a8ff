"""Claims of webhook endpoints by live and dead workers, on both stores."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.webhooks import (
    EndpointChange,
    EndpointClaim,
    EndpointStatus,
    Health,
    RoundRecord,
    WebhookEndpoint,
    WebhookRequest,
    WebhookResult,
)
from atomic_core.use_cases.webhook_endpoints import EndpointReference, EndpointUpdate
from lossy_store import LossyUnitOfWorkFactory
from processes import wait_until
from support import HOUR, NOW, Store, build_application
from webhook_scenarios import OK, Shop
from worker_processes import WorkerProcess


@pytest.fixture
def endpoint(shop: Shop) -> WebhookEndpoint:
    """With one event to send."""
    endpoint = shop.add_endpoint()
    shop.add_events(1)
    return endpoint


def claim(
    store: Store, worker_id: int | None, overdue_by: timedelta = HOUR, lease: timedelta = HOUR
) -> Sequence[EndpointClaim]:
    """By default as a sweeper that claims only what is an hour overdue, or a dead worker's."""
    with store.begin() as work:
        work.webhook_deliveries.plan(10)
        claims = work.webhook_deliveries.claim(10, lease, overdue_by, worker_id)
        work.commit()
    return claims


def claim_due(store: Store, worker: WorkerProcess | None) -> EndpointClaim:
    [claimed] = claim(store, worker.worker_id() if worker else None, overdue_by=NOW)
    return claimed


def record(store: Store, claimed: EndpointClaim, health: Health = Health()) -> bool:  # noqa: B008
    """Of a round that has sent nothing."""
    with store.begin() as work:
        is_recorded = work.webhook_deliveries.record(
            RoundRecord(claimed, [], claimed.endpoint.position, health)
        )
        work.commit()
    return is_recorded


def test_record_of_a_claim_that_ended_changes_nothing(
    shop: Shop, store: Store, endpoint: WebhookEndpoint
) -> None:
    [first] = claim(store, None, NOW, lease=NOW)
    second = claim_due(store, None)
    assert (first.number, second.number) == (1, 2)
    assert claim(store, None, NOW) == []
    with store.begin() as work:
        assert not work.webhook_deliveries.record(RoundRecord(first, [], 1, Health()))
        work.commit()
    assert shop.get(endpoint).position == 0
    with store.begin() as work:
        assert work.webhook_deliveries.record(RoundRecord(second, [], 1, Health()))
        work.commit()
    assert shop.get(endpoint).position == 1


def test_endpoint_of_dead_worker_is_due_at_once(store: Store, endpoint: WebhookEndpoint) -> None:
    dead, survivor = store.start_worker(), store.start_worker()
    stale = claim_due(store, dead)
    assert claim(store, survivor.worker_id()) == []
    dead.close()
    [fresh] = claim(store, survivor.worker_id())
    assert (fresh.endpoint.id, fresh.number) == (endpoint.id, stale.number + 1)
    assert claim(store, store.start_worker().worker_id()) == [], "the survivor is alive"
    assert not record(store, stale)
    assert record(store, fresh)


def test_live_worker_keeps_its_endpoints(store: Store, endpoint: WebhookEndpoint) -> None:
    slow, other = store.start_worker(), store.start_worker()
    claimed = claim_due(store, slow)
    for worker_id in (other.worker_id(), slow.worker_id(), None):
        assert claim(store, worker_id) == []
        assert claim(store, worker_id, overdue_by=NOW) == []
    assert record(store, claimed)


def test_claim_without_a_live_worker_lasts_until_its_lease_ends(
    store: Store, endpoint: WebhookEndpoint
) -> None:
    """A worker with a lost database session must not lose its claims until it reconnects."""
    disconnected, survivor = store.start_worker(), store.start_worker()
    worker_id = disconnected.worker_id()
    disconnected.close()
    for lost_id in (None, worker_id):
        [claimed] = claim(store, lost_id, overdue_by=NOW)
        assert claim(store, survivor.worker_id()) == []
        assert record(store, claimed)


def test_recorded_endpoint_of_dead_worker_keeps_its_pause(
    store: Store, endpoint: WebhookEndpoint
) -> None:
    dead = store.start_worker()
    claimed = claim_due(store, dead)
    assert record(store, claimed, Health(5, claimed.claimed_at, claimed.claimed_at + HOUR))
    dead.close()
    assert claim(store, None, overdue_by=NOW) == []


@pytest.mark.parametrize("is_deleted", [False, True])
def test_stopped_endpoint_of_dead_worker_is_not_claimed(
    shop: Shop, store: Store, endpoint: WebhookEndpoint, *, is_deleted: bool
) -> None:
    dead = store.start_worker()
    claim_due(store, dead)
    if is_deleted:
        shop.webhooks.delete_endpoint(EndpointReference(shop.merchant_id, endpoint.id))
    else:
        change = EndpointChange(status=EndpointStatus.DISABLED)
        shop.webhooks.update_endpoint(EndpointUpdate(shop.merchant_id, endpoint.id, change))
    dead.close()
    assert claim(store, None) == []


def test_endpoints_of_dead_workers_come_first(store: Store, shop: Shop) -> None:
    orphaned = shop.add_endpoint()
    shop.add_events(1)
    dead = store.start_worker()
    claim_due(store, dead)
    for number in range(3):
        shop.add_endpoint(f"https://shop.example/{number}")
    shop.add_events(1)
    dead.close()
    with store.begin() as work:
        work.webhook_deliveries.plan(10)
        [first] = work.webhook_deliveries.claim(1, HOUR, NOW, None)
        others = work.webhook_deliveries.claim(10, HOUR, NOW, None)
    assert first.endpoint.id == orphaned.id
    assert len(others) == 3


def test_events_of_worker_that_died_while_sending_are_sent_again_at_once(
    store: Store, shop: Shop, endpoint: WebhookEndpoint
) -> None:
    sending, survivor = store.start_worker(), store.start_worker()
    survivors = build_application(
        store.begin, worker_liveness=survivor, webhook_sender=shop.sender
    ).webhooks

    def answer(_: WebhookRequest) -> WebhookResult:
        if len(shop.sender.requests) == 1:
            assert survivors.deliver() == 0, "the worker that sends is alive"
            sending.close()
            assert survivors.deliver(overdue_by=HOUR) == 1
        return OK

    shop.answer = answer
    build_application(
        store.begin, worker_liveness=sending, webhook_sender=shop.sender
    ).webhooks.deliver()
    first, again = shop.sent_ids
    assert first == again
    [details] = shop.list_deliveries(endpoint)
    assert details.delivery.attempts == 1, "the dead worker's round is not recorded"


def test_claims_after_lost_commit_reply_are_due_at_once(
    store: Store, shop: Shop, endpoint: WebhookEndpoint
) -> None:
    """The claims are committed, but the worker does not have them."""
    worker, other = store.start_worker(), store.start_worker()
    begin = LossyUnitOfWorkFactory(store, is_committed=True, failures=1, successes_before=1)
    webhooks = build_application(begin, worker_liveness=worker).webhooks
    with pytest.raises(StorageUnavailable):
        webhooks.deliver()
    wait_until(lambda: len(claim(store, other.worker_id())) == 1, 60, "the claim is due")
