"""Units of work commit all writes or none, on both stores."""

from datetime import UTC
from uuid import UUID

import pytest

from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.ports.unit_of_work import UnitOfWork
from support import (
    HOUR,
    IDS,
    Store,
    add_merchant,
    add_payment,
    build_payment,
    build_request,
    find_payment,
    open_account,
)


def write_everything(work: UnitOfWork) -> tuple[UUID, UUID, UUID]:
    merchant_id, account_id, payment_id = IDS.new_id(), IDS.new_id(), IDS.new_id()
    work.merchants.add(merchant_id, "Shop")
    work.merchants.add_key(IDS.new_id(), merchant_id, "key", "sk_", merchant_id.bytes * 2)
    work.accounts.open(account_id, merchant_id, "Shop USD", "USD")
    add_payment(work, build_payment(merchant_id), payment_id)
    work.payments.claim(1, HOUR, overdue_by=HOUR * 0)
    request = build_request(merchant_id)
    work.idempotency.claim_key(request)
    work.idempotency.store_response(request, StoredResponse(202, b"{}"))
    return merchant_id, account_id, payment_id


def find_written(store: Store, ids: tuple[UUID, UUID, UUID]) -> list[bool]:
    merchant_id, account_id, payment_id = ids
    with store.begin() as work:
        return [
            work.merchants.get(merchant_id) is not None,
            work.merchants.find_active_key(merchant_id.bytes * 2) is not None,
            work.accounts.get(merchant_id, account_id) is not None,
            world_account_id("USD") in work.accounts.lock([world_account_id("USD")]),
            find_payment(work, merchant_id, payment_id) is not None,
            work.idempotency.claim_key(build_request(merchant_id)) is not None,
        ]


def test_commit_keeps_every_write(store: Store) -> None:
    with store.begin() as work:
        ids = write_everything(work)
        work.commit()
    assert find_written(store, ids) == [True] * 6


def test_exit_without_commit_rolls_back_every_write(store: Store) -> None:
    with store.begin() as work:
        ids = write_everything(work)
    assert find_written(store, ids) == [False] * 6


def test_exception_rolls_back_every_write_and_propagates(store: Store) -> None:
    ids = None
    with pytest.raises(KeyError), store.begin() as work:
        ids = write_everything(work)
        raise KeyError
    assert ids
    assert find_written(store, ids) == [False] * 6


def test_rollback_restores_previous_rows(store: Store) -> None:
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    payment_id = IDS.new_id()
    with store.begin() as work:
        add_payment(work, build_payment(merchant_id), payment_id)
        work.commit()
    with store.begin() as work:
        before = find_payment(work, merchant_id, payment_id)
    with store.begin() as work:
        claims = work.payments.claim(10, HOUR, HOUR * 0)
        assert [claim.payment_id for claim in claims] == [payment_id]
    with store.begin() as work:
        assert find_payment(work, merchant_id, payment_id) == before
        assert len(work.payments.claim(10, HOUR, HOUR * 0)) == 1


def test_refused_write_rolls_back_the_unit_of_work(store: Store) -> None:
    merchant_id = add_merchant(store.begin)
    new_id = IDS.new_id()
    with pytest.raises(StorageRefused), store.begin() as work:
        work.merchants.add(new_id, "Other")
        work.merchants.add(merchant_id, "The same id again")
        work.commit()
    with store.begin() as work:
        assert work.merchants.get(new_id) is None


def test_uncommitted_writes_are_invisible_to_others(store: Store) -> None:
    merchant_id = IDS.new_id()
    with store.begin() as work:
        work.merchants.add(merchant_id, "Shop")
        assert work.merchants.get(merchant_id)
    with store.begin() as work:
        assert work.merchants.get(merchant_id) is None


def test_now_is_utc_and_never_goes_back(store: Store) -> None:
    with store.begin() as work:
        first, second = work.now(), work.now()
    assert first.tzinfo is not None
    assert first.utcoffset() == UTC.utcoffset(None)
    assert first <= second
