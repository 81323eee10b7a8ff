"""Accounts that are frozen and closed while something is posted to them, many times, on
PostgreSQL."""

from collections.abc import Callable

from account_scenarios import CLOSED, FROZEN, OPEN, change, open_with_terms
from atomic_core.domain.accounts import Account, AccountStatus
from atomic_core.domain.errors import AccountExternalIdTaken, TransactionRefused
from atomic_core.domain.journal import JournalTransaction
from integration.test_journal_races import RACERS, ROUNDS, books, race
from journal_scenarios import FUNDS, Books

__all__ = ["books", "race"]

Race = Callable[..., list[object]]


def set_status(books: Books, status: AccountStatus) -> Account:
    return change(books.application, books.merchant_id, books.other, status=status)


def test_nothing_is_posted_after_a_freeze(books: Books, race: Race) -> None:
    for _ in range(ROUNDS):
        outcomes = race(
            lambda: set_status(books, FROZEN),
            *[lambda: books.transfer(1)] * 2,
            lambda: books.reserve(1),
        )
        frozen = outcomes[0]
        assert isinstance(frozen, Account)
        assert frozen.status_changed_at
        for outcome in outcomes[1:]:
            if isinstance(outcome, JournalTransaction):
                assert outcome.created_at <= frozen.status_changed_at
            else:
                assert isinstance(outcome, TransactionRefused)
                assert outcome.details == {"entries.1": ["account_frozen"]}
        assert books.get_account(books.other).sequence == frozen.sequence
        set_status(books, OPEN)
        if isinstance(pending := outcomes[3], JournalTransaction):
            books.void(pending)
        if balance := books.get_account(books.other).balance:
            books.post((books.other, -balance), (books.funded, balance))
    books.assert_ledger_is_clean()


def test_account_is_closed_or_posted_to(books: Books, race: Race) -> None:
    for _ in range(ROUNDS):
        closed, posted, reserved = race(
            lambda: set_status(books, CLOSED),
            lambda: books.transfer(1),
            lambda: books.reserve(1),
        )
        account = books.get_account(books.other)
        if isinstance(closed, Account):
            assert account.is_empty
            for refused in (posted, reserved):
                assert isinstance(refused, TransactionRefused)
            set_status(books, OPEN)
            continue
        assert account.status == OPEN
        if isinstance(reserved, JournalTransaction):
            books.void(reserved)
        if isinstance(posted, JournalTransaction):
            books.post((books.other, -1), (books.funded, 1))
    assert books.get_balances()[:2] == [FUNDS, 0]
    books.assert_ledger_is_clean()


def test_charge_is_posted_or_reversed_if_its_account_is_frozen(books: Books, race: Race) -> None:
    """The payment is in the account's balance if it is a SUCCESS, and in no balance otherwise."""

    def freeze() -> Account:
        return change(books.application, books.merchant_id, books.euros, status=FROZEN)

    expected = books.get_account(books.euros).balance
    for _ in range(ROUNDS // 4):
        race(lambda: books.fund(1, "EUR"), freeze)
        while books.application.settlement.settle():
            pass
        [payment] = books.application.admin.list_payments(1, books.merchant_id, None).items
        if payment.status == "SUCCESS":
            expected += 1
        else:
            assert (payment.status, payment.failure_reason) == ("FAILED", "account_frozen")
        change(books.application, books.merchant_id, books.euros, status=OPEN)
        assert books.get_account(books.euros).balance == expected
    books.assert_ledger_is_clean()


def test_concurrent_accounts_of_one_external_id_have_one_winner(books: Books, race: Race) -> None:
    for number in range(ROUNDS):
        outcomes = race(
            *[
                lambda number=number: open_with_terms(
                    books.application, books.merchant_id, external_id=str(number)
                )
            ]
            * RACERS
        )
        taken = [outcome for outcome in outcomes if isinstance(outcome, AccountExternalIdTaken)]
        assert len(taken) == RACERS - 1
