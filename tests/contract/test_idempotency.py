"""Idempotency keys, on both stores."""

import threading
from dataclasses import replace

import pytest

from atomic_core.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from support import IDS, NOW, Store, at_once, request_for

ANSWER = StoredResponse(202, '{"é": 1}'.encode(), "/payments/1")
MERCHANT = IDS.new_id()


def use(store: Store, request: IdempotentRequest, answer: StoredResponse = ANSWER) -> None:
    with store.begin() as work:
        assert work.idempotency.claim(request) is None
        work.idempotency.complete(request, answer)
        work.commit()


def test_a_repeat_gets_the_first_answer_byte_for_byte(store: Store) -> None:
    use(store, request_for(MERCHANT))
    with store.begin() as work:
        assert work.idempotency.claim(request_for(MERCHANT)) == ANSWER


@pytest.mark.parametrize(
    "other",
    [
        replace(request_for(MERCHANT), fingerprint=bytes([1]) * 32),
        replace(request_for(MERCHANT), path="/accounts"),
        replace(request_for(MERCHANT), method="PUT"),
    ],
    ids=["content", "path", "method"],
)
def test_a_key_belongs_to_the_request_it_was_first_used_with(
    store: Store, other: IdempotentRequest
) -> None:
    use(store, request_for(MERCHANT))
    with pytest.raises(IdempotencyKeyReused), store.begin() as work:
        work.idempotency.claim(other)


def test_the_same_key_of_another_merchant_is_another_key(store: Store) -> None:
    use(store, request_for(MERCHANT))
    use(store, request_for(IDS.new_id(), fingerprint=bytes([1]) * 32))


def test_a_rolled_back_use_leaves_the_key_unused(store: Store) -> None:
    with store.begin() as work:
        work.idempotency.claim(request_for(MERCHANT))
        work.idempotency.complete(request_for(MERCHANT), ANSWER)
    use(store, request_for(MERCHANT, fingerprint=bytes([1]) * 32))


def test_an_expired_key_is_new_again_before_any_purge(store: Store) -> None:
    use(store, request_for(MERCHANT, keep_for=NOW))
    use(store, request_for(MERCHANT, path="/accounts"), StoredResponse(201, b"new"))
    with store.begin() as work:
        again = work.idempotency.claim(request_for(MERCHANT, path="/accounts"))
    assert again == StoredResponse(201, b"new")


def test_a_key_in_use_can_be_looked_up(store: Store) -> None:
    request = request_for(MERCHANT, "a/b?%", fingerprint=bytes([7]) * 32)
    use(store, request)
    with store.begin() as work:
        kept = work.idempotency.look_up(MERCHANT, "a/b?%")
    assert kept
    assert kept.key == "a/b?%"
    assert kept.record.replay_for(request) == ANSWER
    assert kept.expires_at - kept.record.created_at == request.keep_for


def test_a_key_that_is_unused_or_expired_or_anothers_cannot(store: Store) -> None:
    use(store, request_for(MERCHANT, "old", keep_for=NOW))
    use(store, request_for(IDS.new_id(), "theirs"))
    with store.begin() as work:
        found = [work.idempotency.look_up(MERCHANT, key) for key in ("old", "theirs", "never")]
    assert found == [None, None, None]


def test_purging_deletes_expired_keys_only_and_at_most_so_many(store: Store) -> None:
    for number in range(3):
        use(store, request_for(MERCHANT, f"old {number}", keep_for=NOW))
    use(store, request_for(MERCHANT, "young"))
    purged: list[int] = []
    for _ in range(3):
        with store.begin() as work:
            purged.append(work.idempotency.purge(2))
            work.commit()
    assert purged == [2, 1, 0]
    with store.begin() as work:
        assert work.idempotency.claim(request_for(MERCHANT, "young")) == ANSWER


def test_a_concurrent_repeat_waits_for_the_first_and_replays(store: Store) -> None:
    claimed, waiting = threading.Event(), threading.Event()

    def first() -> StoredResponse | None:
        with store.begin() as work:
            assert work.idempotency.claim(request_for(MERCHANT)) is None
            claimed.set()
            assert waiting.wait(10)
            work.idempotency.complete(request_for(MERCHANT), ANSWER)
            work.commit()
        return None

    def second() -> StoredResponse | None:
        assert claimed.wait(10)
        with store.begin() as work:
            waiting.set()
            return work.idempotency.claim(request_for(MERCHANT))

    assert at_once([first, second]) == [None, ANSWER]


def test_a_concurrent_repeat_takes_over_when_the_first_rolls_back(store: Store) -> None:
    claimed, waiting = threading.Event(), threading.Event()

    def first() -> None:
        with store.begin() as work:
            assert work.idempotency.claim(request_for(MERCHANT)) is None
            claimed.set()
            assert waiting.wait(10)

    def second() -> None:
        assert claimed.wait(10)
        waiting.set()
        use(store, request_for(MERCHANT))

    at_once([first, second])
    with store.begin() as work:
        assert work.idempotency.claim(request_for(MERCHANT)) == ANSWER


def test_a_repeat_that_waits_too_long_is_told_that_the_key_is_in_use(store: Store) -> None:
    claimed, told = threading.Event(), threading.Event()

    def first() -> None:
        with store.begin() as work:
            work.idempotency.claim(request_for(MERCHANT))
            claimed.set()
            # Longer than the lock time-out of the tests' stores, which is 3 s.
            assert told.wait(10)

    def second() -> None:
        assert claimed.wait(10)
        try:
            with pytest.raises(IdempotencyKeyInUse), store.begin() as work:
                work.idempotency.claim(request_for(MERCHANT))
        finally:
            told.set()

    at_once([first, second])
