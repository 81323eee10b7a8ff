"""Batches of journal transactions, without a store."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.journal_posting import JournalPosting, post_journal
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.posting import Leg, Refusal

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND, THIRD = (UUID(int=number) for number in (1, 2, 3))


def build_accounts(balance: int) -> dict[UUID, Account]:
    """FIRST has `balance`, SECOND nothing, THIRD almost the most that it may have."""
    merchant = UUID(int=9)
    balances = {FIRST: balance, SECOND: 0, THIRD: MAX_AMOUNT - 10}
    accounts: dict[UUID, Account] = {}
    for id, amount in balances.items():
        account = Account.new_merchant_account(id, merchant, "A", "USD", NOW)
        accounts[id] = replace(account, balance=amount)
    return accounts


def transfer(
    number: int, debited: UUID, credited: UUID, amount: int, *, is_pending: bool
) -> JournalPosting:
    legs = (Leg(debited, -amount), Leg(credited, amount))
    return JournalPosting(UUID(int=number), legs, is_pending=is_pending)


def test_later_postings_of_a_batch_see_what_earlier_ones_reserve() -> None:
    postings = [
        transfer(11, FIRST, SECOND, 60, is_pending=True),
        transfer(12, FIRST, SECOND, 50, is_pending=True),
        transfer(13, FIRST, SECOND, 40, is_pending=False),
        transfer(14, SECOND, FIRST, 41, is_pending=False),
    ]
    result = post_journal(build_accounts(100), postings, NOW)
    assert {id.int: refusal.reason for id, refusal in result.refusals.items()} == {
        12: Refusal.INSUFFICIENT_BALANCE,
        14: Refusal.INSUFFICIENT_BALANCE,
    }
    assert [transaction.id.int for transaction in result.posted.transactions] == [13]


def test_reserved_credits_fill_the_room_of_their_account() -> None:
    postings = [
        transfer(11, FIRST, THIRD, 10, is_pending=True),
        transfer(12, FIRST, THIRD, 1, is_pending=False),
    ]
    result = post_journal(build_accounts(100), postings, NOW)
    assert [refusal.reason for refusal in result.refusals.values()] == [Refusal.BALANCE_OVERFLOW]


def test_refused_post_of_a_pending_transaction_keeps_its_reservation() -> None:
    legs = (Leg(FIRST, -60), Leg(SECOND, 60))
    too_much = (Leg(FIRST, -101), Leg(SECOND, 101))
    postings = [
        JournalPosting(UUID(int=11), legs, is_pending=True),
        JournalPosting(UUID(int=12), too_much, released_legs=legs),
        transfer(13, FIRST, SECOND, 41, is_pending=False),
        JournalPosting(UUID(int=11), legs, released_legs=legs),
        transfer(14, FIRST, SECOND, 40, is_pending=False),
    ]
    result = post_journal(build_accounts(100), postings, NOW)
    assert [id.int for id in result.refusals] == [12, 13]
    assert [transaction.id.int for transaction in result.posted.transactions] == [11, 14]
