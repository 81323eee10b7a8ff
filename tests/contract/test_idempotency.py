"""Idempotency keys, on both stores."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_adapters.system import SystemClock
from atomic_core.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from support import IDS, NOW, Store, build_request, run_concurrently

RESPONSE = StoredResponse(202, '{"é": 1}'.encode(), "/payments/1")
MERCHANT = IDS.new_id()


def store_response(
    store: Store, request: IdempotentRequest, response: StoredResponse = RESPONSE
) -> None:
    with store.begin() as work:
        assert work.idempotency.claim_key(request) is None
        work.idempotency.store_response(request, response)
        work.commit()


def test_replayed_key_returns_first_response_unchanged(store: Store) -> None:
    store_response(store, build_request(MERCHANT))
    with store.begin() as work:
        assert work.idempotency.claim_key(build_request(MERCHANT)) == RESPONSE


@pytest.mark.parametrize(
    "other",
    [
        replace(build_request(MERCHANT), fingerprint=bytes([1]) * 32),
        replace(build_request(MERCHANT), path="/accounts"),
        replace(build_request(MERCHANT), method="PUT"),
    ],
    ids=["content", "path", "method"],
)
def test_key_reused_for_another_request_is_refused(store: Store, other: IdempotentRequest) -> None:
    store_response(store, build_request(MERCHANT))
    with pytest.raises(IdempotencyKeyReused), store.begin() as work:
        work.idempotency.claim_key(other)


def test_merchants_may_use_the_same_key(store: Store) -> None:
    store_response(store, build_request(MERCHANT))
    store_response(store, build_request(IDS.new_id(), fingerprint=bytes([1]) * 32))


def test_rolled_back_claim_leaves_key_unused(store: Store) -> None:
    with store.begin() as work:
        work.idempotency.claim_key(build_request(MERCHANT))
        work.idempotency.store_response(build_request(MERCHANT), RESPONSE)
    store_response(store, build_request(MERCHANT, fingerprint=bytes([1]) * 32))


def test_expired_key_is_reusable_before_purge(store: Store) -> None:
    store_response(store, build_request(MERCHANT, retention=NOW))
    store_response(store, build_request(MERCHANT, path="/accounts"), StoredResponse(201, b"new"))
    with store.begin() as work:
        response = work.idempotency.claim_key(build_request(MERCHANT, path="/accounts"))
    assert response == StoredResponse(201, b"new")


def test_find_key_returns_stored_record(store: Store) -> None:
    request = build_request(MERCHANT, "a/b?%", fingerprint=bytes([7]) * 32)
    store_response(store, request)
    with store.begin() as work:
        stored = work.idempotency.find_key(MERCHANT, "a/b?%")
    assert stored
    assert stored.key == "a/b?%"
    assert stored.record.replay_for(request) == RESPONSE
    assert stored.expires_at - stored.record.created_at == request.retention


def test_find_key_ignores_unused_expired_and_foreign_keys(store: Store) -> None:
    store_response(store, build_request(MERCHANT, "old", retention=NOW))
    store_response(store, build_request(IDS.new_id(), "other merchant"))
    with store.begin() as work:
        found = [
            work.idempotency.find_key(MERCHANT, key) for key in ("old", "other merchant", "never")
        ]
    assert found == [None, None, None]


def test_purge_deletes_only_expired_keys_up_to_limit(store: Store) -> None:
    for number in range(3):
        store_response(store, build_request(MERCHANT, f"old {number}", retention=NOW))
    store_response(store, build_request(MERCHANT, "young"))
    counts: list[int] = []
    for _ in range(3):
        with store.begin() as work:
            counts.append(work.idempotency.purge_keys(2))
            work.commit()
    assert counts == [2, 1, 0]
    with store.begin() as work:
        assert work.idempotency.claim_key(build_request(MERCHANT, "young")) == RESPONSE


def test_concurrent_repeat_waits_for_first_request_and_replays(store: Store) -> None:
    claimed, waiting = threading.Event(), threading.Event()

    def first() -> StoredResponse | None:
        with store.begin() as work:
            assert work.idempotency.claim_key(build_request(MERCHANT)) is None
            claimed.set()
            assert waiting.wait(60)
            work.idempotency.store_response(build_request(MERCHANT), RESPONSE)
            work.commit()
        return None

    def second() -> StoredResponse | None:
        assert claimed.wait(60)
        with store.begin() as work:
            waiting.set()
            return work.idempotency.claim_key(build_request(MERCHANT))

    assert run_concurrently([first, second]) == [None, RESPONSE]


def test_concurrent_repeat_claims_key_when_first_request_rolls_back(store: Store) -> None:
    claimed, waiting = threading.Event(), threading.Event()

    def first() -> None:
        with store.begin() as work:
            assert work.idempotency.claim_key(build_request(MERCHANT)) is None
            claimed.set()
            assert waiting.wait(60)

    def second() -> None:
        assert claimed.wait(60)
        waiting.set()
        store_response(store, build_request(MERCHANT))

    run_concurrently([first, second])
    with store.begin() as work:
        assert work.idempotency.claim_key(build_request(MERCHANT)) == RESPONSE


@pytest.fixture(params=["memory", "postgres"])
def begin_with_short_lock_timeout(
    request: pytest.FixtureRequest, settings_for: Callable[..., Settings]
) -> Iterator[UnitOfWorkFactory]:
    if request.param == "memory":
        yield MemoryStore(SystemClock(), lock_timeout=timedelta(milliseconds=100)).begin
    else:
        url = request.getfixturevalue("database_url")
        with closing(Connections(settings_for(url, LOCK_TIMEOUT_SECONDS="0.1"))) as connections:
            yield PostgresStore(connections).begin


def test_concurrent_repeat_raises_key_in_use_after_lock_timeout(
    begin_with_short_lock_timeout: UnitOfWorkFactory,
) -> None:
    begin = begin_with_short_lock_timeout
    claimed, refused = threading.Event(), threading.Event()

    def first() -> None:
        with begin() as work:
            work.idempotency.claim_key(build_request(MERCHANT))
            claimed.set()
            assert refused.wait(60)

    def second() -> None:
        assert claimed.wait(60)
        try:
            with pytest.raises(IdempotencyKeyInUse), begin() as work:
                work.idempotency.claim_key(build_request(MERCHANT))
        finally:
            refused.set()

    run_concurrently([first, second])
