from atomic_adapters.security.api_key_cache import RecentApiKeys
from atomic_core.domain.merchants import Caller
from support import IDS


def caller() -> Caller:
    return Caller(IDS.new_id(), IDS.new_id())


def test_who_was_met_is_recognized_and_nobody_else() -> None:
    keys, alice = RecentApiKeys(), caller()
    keys.remember(b"a", alice)
    assert keys.get(b"a") == alice
    assert keys.get(b"b") is None


def test_the_one_not_seen_for_longest_is_forgotten() -> None:
    keys, alice, bob, carol = RecentApiKeys(limit=2), caller(), caller(), caller()
    keys.remember(b"a", alice)
    keys.remember(b"b", bob)
    assert keys.get(b"a") == alice
    keys.remember(b"c", carol)
    assert (keys.get(b"a"), keys.get(b"b"), keys.get(b"c")) == (alice, None, carol)


def test_to_be_remembered_twice_takes_one_place() -> None:
    keys, alice, bob = RecentApiKeys(limit=2), caller(), caller()
    keys.remember(b"b", bob)
    keys.remember(b"a", alice)
    keys.remember(b"a", alice)
    assert (keys.get(b"a"), keys.get(b"b")) == (alice, bob)
