"""API keys: issued once, stored as hashes, valid until revoked; and merchants."""

import hashlib
import re
from collections.abc import Sequence
from uuid import UUID

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_adapters.system import Sha256Hasher, SystemClock, SystemIdGenerator
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import NotFound, Unauthorized, ValidationFailed
from support import IDS, build_application


@pytest.fixture
def application() -> Application:
    return in_memory()


@pytest.fixture
def merchant_id(application: Application) -> UUID:
    return application.merchants.add("Shop").id


def test_key_has_documented_format_and_exposes_its_prefix_only(
    application: Application, merchant_id: UUID
) -> None:
    issued = application.api_keys.issue(merchant_id, "till")
    assert re.fullmatch(r"sk_test_[0-9a-f]{48}", issued.raw)
    assert issued.key.prefix == issued.raw[:12]
    assert issued.raw not in repr(issued.key)


def test_key_is_stored_as_sha_256(application: Application, merchant_id: UUID) -> None:
    issued = application.api_keys.issue(merchant_id, "till")
    assert issued.key.hash == hashlib.sha256(issued.raw.encode()).digest()
    assert application.api_keys.list(merchant_id) == [issued.key]


def test_store_contains_no_raw_key() -> None:
    store = MemoryStore(SystemClock())
    application = build_application(store.begin)
    issued = application.api_keys.issue(application.merchants.add("Shop").id, "till")
    assert issued.raw[12:] not in repr(vars(store.tables))


def test_key_authenticates_until_revoked(application: Application, merchant_id: UUID) -> None:
    issued = application.api_keys.issue(merchant_id, "till")
    assert application.api_keys.authenticate(issued.raw).merchant_id == merchant_id
    application.api_keys.revoke(issued.key.id)
    with pytest.raises(Unauthorized):
        application.api_keys.authenticate(issued.raw)


@pytest.mark.parametrize("raw", ["", "sk_test_", "x" * 10_000, "é\ud800"])
def test_unknown_key_is_unauthorized(application: Application, raw: str) -> None:
    with pytest.raises(Unauthorized):
        application.api_keys.authenticate(raw)


def test_key_is_adopted_by_its_hash_once(application: Application, merchant_id: UUID) -> None:
    hash = hashlib.sha256(b"sk_of_my_own").digest()
    adopted = application.api_keys.adopt(merchant_id, "environment", hash)
    assert adopted
    assert adopted.prefix == ""
    assert application.api_keys.adopt(merchant_id, "environment", hash) is None
    assert application.api_keys.authenticate("sk_of_my_own").merchant_id == merchant_id


def test_revoked_key_is_not_adopted_again(application: Application, merchant_id: UUID) -> None:
    hash = Sha256Hasher().hash("sk_of_my_own")
    adopted = application.api_keys.adopt(merchant_id, "environment", hash)
    assert adopted
    application.api_keys.revoke(adopted.id)
    application.api_keys.adopt(merchant_id, "environment", hash)
    with pytest.raises(Unauthorized):
        application.api_keys.authenticate("sk_of_my_own")


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "\x1b[31mred", "x" * 101])
def test_invalid_key_name_is_refused(
    application: Application, merchant_id: UUID, name: str
) -> None:
    with pytest.raises(ValidationFailed):
        application.api_keys.issue(merchant_id, name)
    assert application.api_keys.list(merchant_id) == []


def test_keys_of_unknown_merchants_raise_not_found(application: Application) -> None:
    with pytest.raises(NotFound):
        application.api_keys.issue(IDS.new_id(), "till")
    with pytest.raises(NotFound):
        application.api_keys.list(IDS.new_id())
    with pytest.raises(NotFound):
        application.api_keys.revoke(IDS.new_id())


def test_adding_merchant_with_existing_id_returns_it(application: Application) -> None:
    id = IDS.new_id()
    assert application.merchants.add("Shop", id) == application.merchants.add("Other name", id)


@pytest.mark.parametrize(
    "ids",
    [[SystemIdGenerator().new_id() for _ in range(1_000)], SystemIdGenerator().new_ids(1_000)],
    ids=["one by one", "at once"],
)
def test_ids_are_version_7_and_sort_by_time(ids: Sequence[UUID]) -> None:
    assert {(id.version, id.variant) for id in ids} == {(7, "specified in RFC 4122")}
    assert len(set(ids)) == 1_000
    assert ids[0] < ids[500] < ids[-1]
