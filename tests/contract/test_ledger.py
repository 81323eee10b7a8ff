"""Accounts and the ledger, on both stores."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest

from atomic_core.domain.accounts import hash_account_identity, world_account_id
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.ledger import Hold, TransactionKind
from atomic_core.domain.money import CURRENCY_EXPONENTS
from atomic_core.domain.payments import Status
from atomic_core.domain.posting import Leg, Posting, PostingResult, post
from atomic_core.domain.settlement import Settlement
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.ledger import NewAccount
from support import (
    HOUR,
    IDS,
    Store,
    add_merchant,
    add_payment,
    build_application,
    build_payment,
    open_account,
    run_concurrently,
)

AT = datetime(2026, 11, 22, 15, 30, 13, 153_001, tzinfo=UTC)
WORLD = world_account_id("USD")


def create_payment(store: Store, merchant_id: UUID) -> UUID:
    with store.begin() as work:
        payment = add_payment(work, build_payment(merchant_id))
        work.commit()
    return payment.id


def post_payment(
    work: UnitOfWork, account_id: UUID, payment_id: UUID, amount: int = 5_000
) -> PostingResult:
    accounts = work.accounts.lock([WORLD, account_id])
    legs = (Leg(WORLD, -amount), Leg(account_id, amount))
    return post(accounts, [Posting(IDS.new_id(), payment_id, TransactionKind.PAYMENT, legs)], AT)


def save_success(work: UnitOfWork, account_id: UUID, payment_id: UUID) -> None:
    """A posting and the success that it stands for: neither is accepted alone."""
    work.ledger.save(post_payment(work, account_id, payment_id))
    work.payments.settle([Settlement(payment_id, Status.SUCCESS, None, 0, None)], HOUR)


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def account_id(store: Store, merchant_id: UUID) -> UUID:
    return open_account(store.begin, merchant_id)


def test_account_opens_at_zero_with_its_world_account(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    with store.begin() as work:
        accounts = work.accounts.lock([account_id, WORLD])
        assert work.accounts.get(merchant_id, account_id) == accounts[account_id]
    account, world = accounts[account_id], accounts[WORLD]
    identity_hash = hash_account_identity(account_id, merchant_id, "USD", allow_negative=False)
    assert (account.balance, account.sequence, account.head) == (0, 0, identity_hash)
    assert (account.currency, account.allow_negative) == ("USD", False)
    assert (world.merchant_id, world.allow_negative, world.name) == (None, True, "World USD")


def test_concurrent_first_accounts_of_a_currency_open_one_world_account(store: Store) -> None:
    """The World account has two unique keys, and a concurrent insert can conflict on either."""
    application = build_application(store.begin)
    merchants = [add_merchant(store.begin) for _ in range(8)]
    for currency in sorted(CURRENCY_EXPONENTS)[:60]:
        new_accounts = [NewAccount(merchant, "Shop", currency) for merchant in merchants]
        opened = run_concurrently([partial(application.accounts.open, new) for new in new_accounts])
        assert len({account.id for account in opened}) == 8


def test_opening_system_accounts_twice_changes_nothing(store: Store, account_id: UUID) -> None:
    with store.begin() as work:
        before = work.accounts.lock([WORLD])
        work.accounts.open_system_accounts("USD")
        work.commit()
    with store.begin() as work:
        assert work.accounts.lock([WORLD]) == before


def test_account_of_another_merchant_is_not_found(store: Store, account_id: UUID) -> None:
    other_id = add_merchant(store.begin)
    with store.begin() as work:
        assert work.accounts.get(other_id, account_id) is None
        assert work.accounts.get(other_id, WORLD) is None


def test_default_account_is_first_account_in_currency(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    euro = open_account(store.begin, merchant_id, "EUR")
    open_account(store.begin, merchant_id, "USD")
    with store.begin() as work:
        first = work.accounts.get_default_account(merchant_id, "USD")
        assert first
        assert first.id == account_id
        first = work.accounts.get_default_account(merchant_id, "EUR")
        assert first
        assert first.id == euro
        assert work.accounts.get_default_account(merchant_id, "INR") is None
        assert work.accounts.get_default_account(IDS.new_id(), "USD") is None


def test_account_of_unknown_merchant_is_refused(store: Store) -> None:
    with pytest.raises(StorageRefused), store.begin() as work:
        work.accounts.open(IDS.new_id(), IDS.new_id(), "Shop", "USD")
        work.commit()


def test_lock_ignores_unknown_accounts(store: Store, account_id: UUID) -> None:
    with store.begin() as work:
        assert set(work.accounts.lock([IDS.new_id(), account_id])) == {account_id}
        assert work.accounts.lock([]) == {}


def test_lock_available_returns_unlocked_accounts(store: Store, account_id: UUID) -> None:
    with store.begin() as work:
        accounts = work.accounts.lock_available([IDS.new_id(), account_id])
        assert accounts == work.accounts.lock([account_id])
        assert work.accounts.lock_available([]) == {}


def test_saved_batch_changes_balances(store: Store, merchant_id: UUID, account_id: UUID) -> None:
    first, second = (create_payment(store, merchant_id) for _ in range(2))
    for payment_id in (first, second):
        with store.begin() as work:
            save_success(work, account_id, payment_id)
            work.commit()
    with store.begin() as work:
        accounts = work.accounts.lock([account_id, WORLD])
    assert (accounts[account_id].balance, accounts[account_id].sequence) == (10_000, 2)
    assert (accounts[WORLD].balance, accounts[WORLD].sequence) == (-10_000, 2)
    with store.begin() as work:
        report = work.ledger.verify()
    assert (report.accounts, report.transactions, report.entries) == (3, 2, 4)


def test_empty_batch_saves_nothing(store: Store) -> None:
    with store.begin() as work:
        work.ledger.save(post({}, [], AT))
        work.commit()
    with store.begin() as work:
        assert work.ledger.verify().transactions == 0


def test_second_posting_of_payment_is_refused(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    payment_id = create_payment(store, merchant_id)
    with store.begin() as work:
        save_success(work, account_id, payment_id)
        work.commit()
    with pytest.raises(StorageRefused, match="once_per_payment"), store.begin() as work:
        work.ledger.save(post_payment(work, account_id, payment_id))
        work.commit()
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].balance == 5_000


@pytest.mark.parametrize("violation", ["unbalanced", "stale", "overdrawn", "without its entries"])
def test_batch_that_violates_ledger_rules_is_refused(
    store: Store, merchant_id: UUID, account_id: UUID, violation: str
) -> None:
    payment_id = create_payment(store, merchant_id)
    with pytest.raises(StorageRefused) as refusal, store.begin() as work:
        batch = post_payment(work, account_id, payment_id)
        work.ledger.save(_violate(batch, violation))
        work.commit()
    # Not only because the payment did not succeed, which would be refused last.
    assert "ledger_transactions_of_payment" not in str(refusal.value)
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].balance == 0
    with store.begin() as work:
        assert work.ledger.verify().entries == 0


def _violate(batch: PostingResult, violation: str) -> PostingResult:
    match violation:
        case "unbalanced":
            first, second = batch.entries
            changed = second._replace(amount=4_999, balance_after=4_999)
            accounts = [
                replace(a, balance=4_999 if a.merchant_id else -5_000) for a in batch.accounts
            ]
            return replace(batch, entries=[first, changed], accounts=accounts)
        case "stale":
            entries = [entry._replace(sequence=7) for entry in batch.entries]
            accounts = [replace(account, sequence=7) for account in batch.accounts]
            return replace(batch, entries=entries, accounts=accounts)
        case "overdrawn":
            entries = [
                entry._replace(amount=-entry.amount, balance_after=-entry.balance_after)
                for entry in batch.entries
            ]
            accounts = [replace(account, balance=-account.balance) for account in batch.accounts]
            return replace(batch, entries=entries, accounts=accounts)
        case _:
            return replace(batch, entries=[], accounts=batch.accounts)


def build_hold_changes(placed: Sequence[Hold] = (), released: Sequence[Hold] = ()) -> PostingResult:
    return PostingResult((), (), (), {}, released, placed)


def test_hold_is_released_once_and_only_with_its_payment_and_amount(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    payment_id, other_id = (create_payment(store, merchant_id) for _ in range(2))
    hold = Hold(payment_id, None, WORLD, account_id, 700)
    with store.begin() as work:
        work.ledger.save(build_hold_changes(placed=[hold]))
        work.commit()
    for wrong in (hold._replace(payment_id=other_id), hold._replace(amount=699)):
        with pytest.raises(StorageRefused), store.begin() as work:
            work.ledger.save(build_hold_changes(released=[wrong]))
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].pending == (700, 0)
        work.ledger.save(build_hold_changes(released=[hold]))
        work.commit()
    with pytest.raises(StorageRefused), store.begin() as work:
        work.ledger.save(build_hold_changes(released=[hold]))
    with pytest.raises(StorageRefused), store.begin() as work:
        work.ledger.save(build_hold_changes(placed=[hold]))
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].pending == (0, 0)
