"""Idempotency keys, on both stores."""

import threading
from dataclasses import replace

import pytest

from atomic_core.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from support import IDS, NOW, Store, build_request, run_concurrently

ANSWER = StoredResponse(202, '{"é": 1}'.encode(), "/payments/1")
MERCHANT = IDS.new_id()


def use(store: Store, request: IdempotentRequest, answer: StoredResponse = ANSWER) -> None:
    with store.begin() as work:
        assert work.idempotency.claim_key(request) is None
        work.idempotency.store_response(request, answer)
        work.commit()


def test_replayed_key_returns_first_response_unchanged(store: Store) -> None:
    use(store, build_request(MERCHANT))
    with store.begin() as work:
        assert work.idempotency.claim_key(build_request(MERCHANT)) == ANSWER


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
    use(store, build_request(MERCHANT))
    with pytest.raises(IdempotencyKeyReused), store.begin() as work:
        work.idempotency.claim_key(other)


def test_merchants_may_use_the_same_key(store: Store) -> None:
    use(store, build_request(MERCHANT))
    use(store, build_request(IDS.new_id(), fingerprint=bytes([1]) * 32))


def test_rolled_back_claim_leaves_key_unused(store: Store) -> None:
    with store.begin() as work:
        work.idempotency.claim_key(build_request(MERCHANT))
        work.idempotency.store_response(build_request(MERCHANT), ANSWER)
    use(store, build_request(MERCHANT, fingerprint=bytes([1]) * 32))


def test_expired_key_is_reusable_before_purge(store: Store) -> None:
    use(store, build_request(MERCHANT, retention=NOW))
    use(store, build_request(MERCHANT, path="/accounts"), StoredResponse(201, b"new"))
    with store.begin() as work:
        again = work.idempotency.claim_key(build_request(MERCHANT, path="/accounts"))
    assert again == StoredResponse(201, b"new")


def test_find_key_returns_stored_record(store: Store) -> None:
    request = build_request(MERCHANT, "a/b?%", fingerprint=bytes([7]) * 32)
    use(store, request)
    with store.begin() as work:
        kept = work.idempotency.find_key(MERCHANT, "a/b?%")
    assert kept
    assert kept.key == "a/b?%"
    assert kept.record.replay_for(request) == ANSWER
    assert kept.expires_at - kept.record.created_at == request.retention


def test_find_key_ignores_unused_expired_and_foreign_keys(store: Store) -> None:
    use(store, build_request(MERCHANT, "old", retention=NOW))
    use(store, build_request(IDS.new_id(), "theirs"))
    with store.begin() as work:
        found = [work.idempotency.find_key(MERCHANT, key) for key in ("old", "theirs", "never")]
    assert found == [None, None, None]


def test_purge_deletes_only_expired_keys_up_to_limit(store: Store) -> None:
    for number in range(3):
        use(store, build_request(MERCHANT, f"old {number}", retention=NOW))
    use(store, build_request(MERCHANT, "young"))
    purged: list[int] = []
    for _ in range(3):
        with store.begin() as work:
            purged.append(work.idempotency.purge_keys(2))
            work.commit()
    assert purged == [2, 1, 0]
    with store.begin() as work:
        assert work.idempotency.claim_key(build_request(MERCHANT, "young")) == ANSWER


def test_concurrent_repeat_waits_for_first_request_and_replays(store: Store) -> None:
    claimed, waiting = threading.Event(), threading.Event()

    def first() -> StoredResponse | None:
        with store.begin() as work:
            assert work.idempotency.claim_key(build_request(MERCHANT)) is None
            claimed.set()
            assert waiting.wait(10)
            work.idempotency.store_response(build_request(MERCHANT), ANSWER)
            work.commit()
        return None

    def second() -> StoredResponse | None:
        assert claimed.wait(10)
        with store.begin() as work:
            waiting.set()
            return work.idempotency.claim_key(build_request(MERCHANT))

    assert run_concurrently([first, second]) == [None, ANSWER]


def test_concurrent_repeat_claims_key_when_first_request_rolls_back(store: Store) -> None:
    claimed, waiting = threading.Event(), threading.Event()

    def first() -> None:
        with store.begin() as work:
            assert work.idempotency.claim_key(build_request(MERCHANT)) is None
            claimed.set()
            assert waiting.wait(10)

    def second() -> None:
        assert claimed.wait(10)
        waiting.set()
        use(store, build_request(MERCHANT))

    run_concurrently([first, second])
    with store.begin() as work:
        assert work.idempotency.claim_key(build_request(MERCHANT)) == ANSWER


def test_concurrent_repeat_raises_key_in_use_after_lock_timeout(store: Store) -> None:
    claimed, told = threading.Event(), threading.Event()

    def first() -> None:
        with store.begin() as work:
            work.idempotency.claim_key(build_request(MERCHANT))
            claimed.set()
            # Longer than the lock time-out of the tests' stores, which is 3 s.
            assert told.wait(10)

    def second() -> None:
        assert claimed.wait(10)
        try:
            with pytest.raises(IdempotencyKeyInUse), store.begin() as work:
                work.idempotency.claim_key(build_request(MERCHANT))
        finally:
            told.set()

    run_concurrently([first, second])
