"""Accounts and the books, on both stores."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest

from atomic_core.domain.accounts import chain_start, world_account_id
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.ledger import Hold, Kind, Leg, Posted, Posting, post
from atomic_core.domain.money import EXPONENTS
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.ledger import NewAccount
from support import (
    IDS,
    Store,
    add_merchant,
    add_payment,
    application_over,
    at_once,
    open_account,
    order,
)

AT = datetime(2026, 11, 22, 15, 30, 13, 153_001, tzinfo=UTC)
WORLD = world_account_id("USD")


def new_payment(store: Store, merchant_id: UUID) -> UUID:
    with store.begin() as work:
        payment = add_payment(work, order(merchant_id))
        work.commit()
    return payment.id


def posted(work: UnitOfWork, account_id: UUID, payment_id: UUID, amount: int = 5_000) -> Posted:
    accounts = work.accounts.lock([WORLD, account_id])
    legs = (Leg(WORLD, -amount), Leg(account_id, amount))
    return post(accounts, [Posting(IDS.new_id(), payment_id, Kind.PAYMENT, legs)], AT)


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def account_id(store: Store, merchant_id: UUID) -> UUID:
    return open_account(store.begin, merchant_id)


def test_an_account_opens_at_zero_together_with_its_world(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    with store.begin() as work:
        accounts = work.accounts.lock([account_id, WORLD])
        assert work.accounts.get(merchant_id, account_id) == accounts[account_id]
    mine, world = accounts[account_id], accounts[WORLD]
    start = chain_start(account_id, merchant_id, "USD", allow_negative=False)
    assert (mine.balance, mine.sequence, mine.head) == (0, 0, start)
    assert (mine.currency, mine.allow_negative) == ("USD", False)
    assert (world.merchant_id, world.allow_negative, world.name) == (None, True, "World USD")


def test_first_accounts_of_many_currencies_open_their_worlds_at_once(store: Store) -> None:
    """However two of them meet: a World has two unique keys, and either may be met first."""
    application = application_over(store.begin)
    merchants = [add_merchant(store.begin) for _ in range(8)]
    for currency in sorted(EXPONENTS)[:60]:
        orders = [NewAccount(merchant, "Shop", currency) for merchant in merchants]
        opened = at_once([partial(application.accounts.open, new) for new in orders])
        assert len({account.id for account in opened}) == 8


def test_opening_a_world_twice_changes_nothing(store: Store, account_id: UUID) -> None:
    with store.begin() as work:
        before = work.accounts.lock([WORLD])
        work.accounts.open_system_accounts("USD")
        work.commit()
    with store.begin() as work:
        assert work.accounts.lock([WORLD]) == before


def test_an_account_of_another_merchant_is_not_there(store: Store, account_id: UUID) -> None:
    other = add_merchant(store.begin)
    with store.begin() as work:
        assert work.accounts.get(other, account_id) is None
        assert work.accounts.get(other, WORLD) is None


def test_payments_credit_the_first_account_of_their_currency(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    euro = open_account(store.begin, merchant_id, "EUR")
    open_account(store.begin, merchant_id, "USD")
    with store.begin() as work:
        assert work.accounts.credited(merchant_id, "USD") == account_id
        assert work.accounts.credited(merchant_id, "EUR") == euro
        assert work.accounts.credited(merchant_id, "INR") is None
        assert work.accounts.credited(IDS.new_id(), "USD") is None


def test_an_account_for_nobody_is_refused(store: Store) -> None:
    with pytest.raises(StorageRefused), store.begin() as work:
        work.accounts.open(IDS.new_id(), IDS.new_id(), "Nobody", "USD")
        work.commit()


def test_locking_leaves_out_what_does_not_exist(store: Store, account_id: UUID) -> None:
    with store.begin() as work:
        assert set(work.accounts.lock([IDS.new_id(), account_id])) == {account_id}
        assert work.accounts.lock([]) == {}


def test_accounts_that_nobody_holds_are_locked_without_waiting(
    store: Store, account_id: UUID
) -> None:
    with store.begin() as work:
        free = work.accounts.lock_free([IDS.new_id(), account_id])
        assert free == work.accounts.lock([account_id])
        assert work.accounts.lock_free([]) == {}


def test_a_recorded_batch_moves_the_balances(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    first, second = (new_payment(store, merchant_id) for _ in range(2))
    for payment_id in (first, second):
        with store.begin() as work:
            work.ledger.record(posted(work, account_id, payment_id))
            work.commit()
    with store.begin() as work:
        accounts = work.accounts.lock([account_id, WORLD])
    assert (accounts[account_id].balance, accounts[account_id].sequence) == (10_000, 2)
    assert (accounts[WORLD].balance, accounts[WORLD].sequence) == (-10_000, 2)
    with store.begin() as work:
        report = work.ledger.check()
    assert (report.accounts, report.transactions, report.entries) == (3, 2, 4)


def test_an_empty_batch_records_nothing(store: Store) -> None:
    with store.begin() as work:
        work.ledger.record(post({}, [], AT))
        work.commit()
    with store.begin() as work:
        assert work.ledger.check().transactions == 0


def test_a_payment_is_never_posted_twice(store: Store, merchant_id: UUID, account_id: UUID) -> None:
    payment_id = new_payment(store, merchant_id)
    with store.begin() as work:
        work.ledger.record(posted(work, account_id, payment_id))
        work.commit()
    with pytest.raises(StorageRefused, match="once_per_payment"), store.begin() as work:
        work.ledger.record(posted(work, account_id, payment_id))
        work.commit()
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].balance == 5_000


@pytest.mark.parametrize("falsify", ["unbalanced", "stale", "overdrawn", "without its entries"])
def test_a_batch_that_breaks_the_books_is_refused(
    store: Store, merchant_id: UUID, account_id: UUID, falsify: str
) -> None:
    payment_id = new_payment(store, merchant_id)
    with pytest.raises(StorageRefused), store.begin() as work:
        batch = posted(work, account_id, payment_id)
        work.ledger.record(_falsified(batch, falsify))
        work.commit()
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].balance == 0
    with store.begin() as work:
        assert work.ledger.check().entries == 0


def _falsified(batch: Posted, how: str) -> Posted:
    match how:
        case "unbalanced":
            first, second = batch.entries
            wrong = second._replace(amount=4_999, balance_after=4_999)
            accounts = [
                replace(a, balance=4_999 if a.merchant_id else -5_000) for a in batch.accounts
            ]
            return replace(batch, entries=[first, wrong], accounts=accounts)
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


def promised(placed: Sequence[Hold] = (), released: Sequence[Hold] = ()) -> Posted:
    return Posted((), (), (), {}, released, placed)


def test_a_hold_is_let_go_of_once_and_only_if_it_is_that_hold(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    payment_id, other_id = (new_payment(store, merchant_id) for _ in range(2))
    hold = Hold(payment_id, None, WORLD, account_id, 700)
    with store.begin() as work:
        work.ledger.record(promised(placed=[hold]))
        work.commit()
    for wrong in (hold._replace(payment_id=other_id), hold._replace(amount=699)):
        with pytest.raises(StorageRefused), store.begin() as work:
            work.ledger.record(promised(released=[wrong]))
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].pending == (700, 0)
        work.ledger.record(promised(released=[hold]))
        work.commit()
    with pytest.raises(StorageRefused), store.begin() as work:
        work.ledger.record(promised(released=[hold]))
    with pytest.raises(StorageRefused), store.begin() as work:
        work.ledger.record(promised(placed=[hold]))
    with store.begin() as work:
        assert work.accounts.lock([account_id])[account_id].pending == (0, 0)
