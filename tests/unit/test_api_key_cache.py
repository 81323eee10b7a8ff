from atomic_adapters.security.api_key_cache import LruApiKeyCache
from atomic_core.domain.merchants import Caller
from support import IDS


def caller() -> Caller:
    return Caller(IDS.new_id(), IDS.new_id())


def test_cached_key_is_found_and_others_are_not() -> None:
    keys, alice = LruApiKeyCache(), caller()
    keys.put(b"a", alice)
    assert keys.get(b"a") == alice
    assert keys.get(b"b") is None


def test_least_recently_used_key_is_evicted() -> None:
    keys, alice, bob, carol = LruApiKeyCache(limit=2), caller(), caller(), caller()
    keys.put(b"a", alice)
    keys.put(b"b", bob)
    assert keys.get(b"a") == alice
    keys.put(b"c", carol)
    assert (keys.get(b"a"), keys.get(b"b"), keys.get(b"c")) == (alice, None, carol)


def test_key_cached_twice_takes_one_place() -> None:
    keys, alice, bob = LruApiKeyCache(limit=2), caller(), caller()
    keys.put(b"b", bob)
    keys.put(b"a", alice)
    keys.put(b"a", alice)
    assert (keys.get(b"a"), keys.get(b"b")) == (alice, bob)
