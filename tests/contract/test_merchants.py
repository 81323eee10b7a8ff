"""Merchants and keys, on both stores."""

import pytest

from atomic_core.domain.errors import NotFound
from support import IDS, Store, add_merchant

HASH = bytes(range(32))


def test_added_merchant_is_found(store: Store) -> None:
    merchant_id = add_merchant(store.begin, "Shop")
    with store.begin() as work:
        merchant = work.merchants.get(merchant_id)
        assert merchant
        assert (merchant.id, merchant.name) == (merchant_id, "Shop")
        assert work.merchants.get(IDS.new_id()) is None


def test_locking_unknown_merchant_raises_not_found(store: Store) -> None:
    merchant_id = add_merchant(store.begin)
    with store.begin() as work:
        work.merchants.lock(merchant_id)
        with pytest.raises(NotFound):
            work.merchants.lock(IDS.new_id())


def test_active_key_is_found_by_hash(store: Store) -> None:
    merchant_id = add_merchant(store.begin)
    with store.begin() as work:
        key = work.merchants.add_key(IDS.new_id(), merchant_id, "till", "sk_test_ab", HASH)
        work.commit()
    with store.begin() as work:
        assert work.merchants.find_active_key(HASH) == key
        assert work.merchants.find_active_key(HASH[::-1]) is None


def test_key_hash_is_unique_across_merchants(store: Store) -> None:
    merchant_id, other_id = add_merchant(store.begin), add_merchant(store.begin)
    with store.begin() as work:
        assert work.merchants.add_key(IDS.new_id(), merchant_id, "one", "", HASH)
        assert work.merchants.add_key(IDS.new_id(), other_id, "two", "", HASH) is None
        work.commit()
    with store.begin() as work:
        key = work.merchants.find_active_key(HASH)
        assert key
        assert key.merchant_id == merchant_id


def test_revoked_key_is_inactive_and_stays_revoked(store: Store) -> None:
    merchant_id = add_merchant(store.begin)
    with store.begin() as work:
        key = work.merchants.add_key(IDS.new_id(), merchant_id, "till", "", HASH)
        work.commit()
    assert key
    with store.begin() as work:
        revoked = work.merchants.revoke_key(key.id)
        work.commit()
    with store.begin() as work:
        assert work.merchants.find_active_key(HASH) is None
        assert work.merchants.revoke_key(key.id) is None
        assert work.merchants.get_key(key.id) == revoked
        assert work.merchants.revoke_key(IDS.new_id()) is None
        assert work.merchants.add_key(IDS.new_id(), merchant_id, "again", "", HASH) is None


def test_keys_of_merchant_are_listed_oldest_first(store: Store) -> None:
    merchant_id, other_id = add_merchant(store.begin), add_merchant(store.begin)
    for number, owner_id in enumerate([merchant_id, other_id, merchant_id]):
        with store.begin() as work:
            hash = bytes([number]) * 32
            work.merchants.add_key(IDS.new_id(), owner_id, f"key {number}", "", hash)
            work.commit()
    with store.begin() as work:
        assert [key.name for key in work.merchants.list_keys(merchant_id)] == ["key 0", "key 2"]
