"""The ledger state machine by example; its properties are in tests/property."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from atomic_core.domain.accounts import (
    MAX_BALANCE,
    MAX_WORLD_BALANCE,
    Account,
    hash_account_identity,
    world_account_id,
)
from atomic_core.domain.ledger import Hold, TransactionKind
from atomic_core.domain.posting import Leg, Posting, Refusal, post

AT = datetime(2026, 11, 22, 15, 30, 13, 153_001, tzinfo=UTC)
WORLD = Account.new_world_account("USD", AT)
SHOP = Account.new_merchant_account(UUID(int=1), UUID(int=2), "Shop", "USD", AT)
EURO = Account.new_merchant_account(UUID(int=3), UUID(int=2), "Shop", "EUR", AT)
ACCOUNTS = {account.id: account for account in (WORLD, SHOP, EURO)}


def posting(*legs: tuple[Account, int], number: int = 1) -> Posting:
    parts = tuple(Leg(account.id, amount) for account, amount in legs)
    return Posting(UUID(int=100 + number), UUID(int=200 + number), TransactionKind.PAYMENT, parts)


def test_posting_adds_one_entry_per_leg_and_updates_accounts() -> None:
    result = post(ACCOUNTS, [posting((WORLD, -500), (SHOP, 500))], AT)
    assert [(e.account_id, e.sequence, e.amount, e.balance_after) for e in result.entries] == [
        (WORLD.id, 1, -500, -500),
        (SHOP.id, 1, 500, 500),
    ]
    assert {a.id: (a.balance, a.sequence) for a in result.accounts} == {
        WORLD.id: (-500, 1),
        SHOP.id: (500, 1),
    }
    (transaction,) = result.transactions
    assert (transaction.payment_id, transaction.posted_at) == (UUID(int=201), AT)


def test_hash_covers_previous_head_and_canonical_entry() -> None:
    """Spelled out byte by byte: a change of the encoding would break every existing chain."""
    (_, entry) = post(ACCOUNTS, [posting((WORLD, -500), (SHOP, 500))], AT).entries
    micros = 1_795_361_413_153_001
    start = hashlib.sha256(SHOP.id.bytes + UUID(int=2).bytes + b"\x00" + b"USD").digest()
    canonical = (
        start
        + SHOP.id.bytes
        + (1).to_bytes(8, "big")
        + UUID(int=101).bytes
        + UUID(int=201).bytes
        + (500).to_bytes(8, "big", signed=True)
        + (500).to_bytes(8, "big", signed=True)
        + micros.to_bytes(8, "big")
        + b"payment"
    )
    assert entry.hash == hashlib.sha256(canonical).digest()


def test_entries_of_an_account_are_chained() -> None:
    batch = [posting((WORLD, -5), (SHOP, 5), number=n) for n in (1, 2)]
    together = post(ACCOUNTS, batch, AT)
    first = post(ACCOUNTS, batch[:1], AT)
    after = {**ACCOUNTS, **{account.id: account for account in first.accounts}}
    second = post(after, batch[1:], AT)
    assert [*first.entries, *second.entries] == together.entries
    assert list(second.accounts) == together.accounts


@pytest.mark.parametrize(
    ("legs", "refusal"),
    [
        ([(SHOP, -1), (WORLD, 1)], Refusal.INSUFFICIENT_BALANCE),
        ([(WORLD, -1), (EURO, 1)], Refusal.CURRENCY_MISMATCH),
        ([(WORLD, -1), (replace(SHOP, id=UUID(int=9)), 1)], Refusal.ACCOUNT_NOT_FOUND),
        ([(WORLD, -MAX_BALANCE - 1), (SHOP, MAX_BALANCE + 1)], Refusal.BALANCE_OVERFLOW),
    ],
)
def test_refused_posting_changes_nothing(legs: list[tuple[Account, int]], refusal: Refusal) -> None:
    result = post(ACCOUNTS, [posting(*legs)], AT)
    assert result.refusals == {UUID(int=101): refusal}
    assert not result.entries
    assert not result.accounts
    assert not result.transactions


def test_balance_may_equal_its_maximum() -> None:
    result = post(ACCOUNTS, [posting((WORLD, -MAX_BALANCE), (SHOP, MAX_BALANCE))], AT)
    assert not result.refusals


def test_world_balance_is_limited_to_bigint() -> None:
    full = replace(WORLD, balance=-MAX_WORLD_BALANCE)
    result = post({**ACCOUNTS, WORLD.id: full}, [posting((WORLD, -1), (SHOP, 1))], AT)
    assert set(result.refusals.values()) == {Refusal.BALANCE_OVERFLOW}


def test_postings_of_a_batch_see_earlier_balances() -> None:
    give = posting((WORLD, -10), (SHOP, 10), number=1)
    take = posting((SHOP, -10), (WORLD, 10), number=2)
    again = posting((SHOP, -1), (WORLD, 1), number=3)
    result = post(ACCOUNTS, [give, take, again], AT)
    assert list(result.refusals) == [again.transaction_id]
    assert post(ACCOUNTS, [take, give], AT).refusals == {
        take.transaction_id: Refusal.INSUFFICIENT_BALANCE
    }


@pytest.mark.parametrize(
    "legs",
    [
        [(WORLD, -2), (SHOP, 1)],
        [(WORLD, 0), (SHOP, 0)],
        [(WORLD, 1), (WORLD, -1)],
        [],
    ],
    ids=["unbalanced", "of nothing", "one account twice", "no legs"],
)
def test_malformed_legs_raise(legs: list[tuple[Account, int]]) -> None:
    with pytest.raises(ValueError, match="posting"):
        post(ACCOUNTS, [posting(*legs)], AT)


def test_posting_may_split_an_amount_into_legs() -> None:
    other = replace(SHOP, id=UUID(int=4))
    accounts = {**ACCOUNTS, other.id: other}
    result = post(accounts, [posting((WORLD, -100), (SHOP, 97), (other, 3))], AT)
    assert [entry.balance_after for entry in result.entries] == [-100, 97, 3]


def test_each_currency_has_one_world_account() -> None:
    assert world_account_id("USD") == WORLD.id
    assert world_account_id("USD") != world_account_id("EUR")


def test_hash_chain_starts_from_the_account_identity() -> None:
    heads = {
        hash_account_identity(SHOP.id, SHOP.merchant_id, "USD", allow_negative=False),
        hash_account_identity(EURO.id, SHOP.merchant_id, "USD", allow_negative=False),
        hash_account_identity(SHOP.id, UUID(int=9), "USD", allow_negative=False),
        hash_account_identity(SHOP.id, None, "USD", allow_negative=False),
        hash_account_identity(SHOP.id, SHOP.merchant_id, "EUR", allow_negative=False),
        hash_account_identity(SHOP.id, SHOP.merchant_id, "USD", allow_negative=True),
    }
    assert len(heads) == 6
    assert SHOP.head in heads


def hold(amount: int = 5, refund_id: UUID | None = None) -> Hold:
    between = (SHOP.id, WORLD.id) if refund_id else (WORLD.id, SHOP.id)
    return Hold(UUID(int=201), refund_id, *between, amount)


def placing(held: Hold, number: int = 1) -> Posting:
    return Posting(
        UUID(int=number), held.payment_id, TransactionKind.PAYMENT, (), held.refund_id, None, held
    )


def test_hold_adds_no_entry_and_changes_no_balance() -> None:
    result = post(ACCOUNTS, [placing(hold())], AT)
    assert (result.placed_holds, result.released_holds) == ([hold()], [])
    assert not result.transactions
    assert not result.entries
    assert not result.accounts


def test_refused_posting_keeps_its_hold() -> None:
    """Later postings of the batch still find the amount on hold."""
    held = replace(SHOP, balance=5, pending_out=5)
    legs = (Leg(SHOP.id, -9), Leg(WORLD.id, 9))
    promise = hold(5, UUID(int=7))
    too_much = Posting(
        UUID(int=1), UUID(int=201), TransactionKind.REFUND, legs, UUID(int=7), promise
    )
    other = placing(hold(1, UUID(int=8)), number=2)
    result = post({**ACCOUNTS, SHOP.id: held}, [too_much, other], AT)
    assert result.refusals == dict.fromkeys(
        (UUID(int=1), UUID(int=2)), Refusal.INSUFFICIENT_BALANCE
    )
    assert not result.released_holds


def test_refund_id_is_part_of_the_hash() -> None:
    rich = {**ACCOUNTS, SHOP.id: replace(SHOP, balance=10)}
    legs = (Leg(SHOP.id, -5), Leg(WORLD.id, 5))
    hashes = {
        post(
            rich,
            [Posting(UUID(int=1), UUID(int=2), TransactionKind.REFUND, legs, UUID(int=id))],
            AT,
        )
        .entries[0]
        .hash
        for id in (3, 4)
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        placing(hold(0)),
        placing(hold(-1)),
        placing(hold()._replace(debit_account_id=SHOP.id)),
        posting((WORLD, -5), (SHOP, 5))._replace(placed_hold=hold()),
        Posting(UUID(int=1), UUID(int=2), TransactionKind.PAYMENT, ()),
    ],
)
def test_invalid_hold_raises(wrong: Posting) -> None:
    with pytest.raises(ValueError, match=r"hold|promises|legs"):
        post(ACCOUNTS, [wrong], AT)


@pytest.mark.parametrize("gone", [WORLD.id, SHOP.id])
def test_hold_of_unknown_account_is_refused(gone: UUID) -> None:
    rest = {id: account for id, account in ACCOUNTS.items() if id != gone}
    release = Posting(UUID(int=2), UUID(int=201), TransactionKind.PAYMENT, (), released_hold=hold())
    result = post(rest, [placing(hold()), release], AT)
    assert set(result.refusals.values()) == {Refusal.ACCOUNT_NOT_FOUND}
    assert len(result.refusals) == 2
