"""Types, limits, external ids, metadata and trees of accounts, on both stores."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from account_scenarios import CLOSED, FROZEN, OPEN, change, open_with_terms
from atomic_core.domain.account_names import SubtreeBalance
from atomic_core.domain.accounts import AccountTerms, AccountType
from atomic_core.domain.balances import TimeAxis
from atomic_core.domain.errors import AccountExternalIdTaken, StorageRefused, TransactionRefused
from atomic_core.domain.lists import AccountFilter
from atomic_core.domain.money import MAX_AMOUNT
from journal_scenarios import FUNDS, Books
from support import IDS, Store, add_merchant


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def get_reasons(error: pytest.ExceptionInfo[TransactionRefused]) -> list[str]:
    return [reason for reasons in (error.value.details or {}).values() for reason in reasons]


def list_names(books: Books, **filters: Any) -> list[str]:
    account_filter = AccountFilter(**filters)
    page = books.application.accounts.list(books.merchant_id, account_filter, None, 100)
    return [account.name for account in page.items]


def test_account_keeps_its_terms(books: Books) -> None:
    id = open_with_terms(
        books.application,
        books.merchant_id,
        type=AccountType.EXPENSE,
        min_balance=None,
        max_balance=70,
        external_id="cost-1",
        metadata={"centre": "12"},
    )
    account = books.get_account(id)
    assert (account.type, account.status) == (AccountType.EXPENSE, OPEN)
    assert (account.min_balance, account.max_balance) == (None, 70)
    assert (account.external_id, account.metadata) == ("cost-1", {"centre": "12"})
    assert account.can_be_negative
    default = books.get_account(books.other)
    assert (default.type, default.min_balance, default.max_balance) == ("liability", 0, None)
    assert (default.external_id, default.metadata, default.status_changed_at) == (None, {}, None)
    assert not default.can_be_negative


@pytest.mark.parametrize(
    ("low", "high"), [(1, None), (-MAX_AMOUNT - 1, None), (0, -1), (0, MAX_AMOUNT + 1)]
)
def test_limits_that_exclude_an_empty_account_are_refused(
    books: Books, low: int, high: int | None
) -> None:
    with pytest.raises(StorageRefused), books.begin() as work:
        terms = AccountTerms(min_balance=low, max_balance=high)
        work.accounts.open(IDS.new_id(), books.merchant_id, "Wallet", "USD", terms)
        work.commit()


def test_debit_down_to_the_minimum_is_posted_and_below_it_refused(books: Books) -> None:
    credit = open_with_terms(books.application, books.merchant_id, min_balance=-50)
    books.post((credit, -50), (books.other, 50))
    with pytest.raises(TransactionRefused) as error:
        books.post((credit, -1), (books.other, 1))
    assert get_reasons(error) == ["insufficient_balance"]
    books.post((credit, 10), (books.other, -10))
    books.post((credit, -10), (books.other, 10), is_pending=True)
    with pytest.raises(TransactionRefused):
        books.post((credit, -1), (books.other, 1))
    assert books.get_account(credit).available == -50
    books.assert_ledger_is_clean()


def test_account_without_minimum_has_that_of_all(books: Books) -> None:
    asset = open_with_terms(
        books.application, books.merchant_id, type=AccountType.ASSET, min_balance=None
    )
    equity = open_with_terms(
        books.application, books.merchant_id, type=AccountType.EQUITY, min_balance=None
    )
    books.post((asset, -MAX_AMOUNT), (equity, MAX_AMOUNT))
    with pytest.raises(TransactionRefused) as error:
        books.post((asset, -1), (books.other, 1))
    assert get_reasons(error) == ["insufficient_balance"]
    with pytest.raises(TransactionRefused) as error:
        books.post((equity, 1), (books.funded, -1))
    assert get_reasons(error) == ["balance_overflow"]
    books.assert_ledger_is_clean()


def test_credit_up_to_the_maximum_is_posted_and_above_it_refused(books: Books) -> None:
    capped = open_with_terms(books.application, books.merchant_id, max_balance=50)
    books.post((books.funded, -30), (capped, 30))
    pending = books.post((books.funded, -20), (capped, 20), is_pending=True)
    with pytest.raises(TransactionRefused) as error:
        books.post((books.funded, -1), (capped, 1))
    assert get_reasons(error) == ["balance_limit_exceeded"]
    with pytest.raises(TransactionRefused):
        books.post((books.funded, -1), (capped, 1), is_pending=True)
    books.post_pending(pending)
    books.post((books.other, 1), (capped, -1))
    assert books.get_account(capped).balance == 49
    books.assert_ledger_is_clean()


def test_payment_above_the_maximum_fails_and_is_reversed(store: Store) -> None:
    books = Books(store.begin)
    merchant_id = add_merchant(store.begin)
    open_with_terms(books.application, merchant_id, max_balance=699)
    books.merchant_id = merchant_id
    books.fund(700)
    while books.application.settlement.settle():
        pass
    [payment] = books.application.admin.list_payments(1, merchant_id, None).items
    assert (payment.status, payment.failure_reason) == ("FAILED", "balance_limit_exceeded")
    books.assert_ledger_is_clean()


def test_external_id_is_unique_per_merchant(books: Books, store: Store) -> None:
    id = open_with_terms(books.application, books.merchant_id, external_id="a")
    with pytest.raises(AccountExternalIdTaken) as error:
        open_with_terms(books.application, books.merchant_id, currency="EUR", external_id="a")
    assert error.value.facts == {"usedBy": str(id)}
    open_with_terms(books.application, add_merchant(store.begin), external_id="a")
    with pytest.raises(StorageRefused), books.begin() as work:
        terms = AccountTerms(external_id="a")
        work.accounts.open(IDS.new_id(), books.merchant_id, "Wallet", "USD", terms)
        work.commit()


def test_lists_filter_by_terms_and_balance(books: Books) -> None:
    def open_account(name: str, **terms: Any) -> UUID:
        return open_with_terms(books.application, books.merchant_id, name, **terms)

    gold, blue = {"tier": "gold", "team": "a"}, {"tier": "blue", "team": "a"}
    alice = open_account("wallets:alice", metadata=gold, external_id="alice")
    open_account("wallets:alice:held", metadata=blue)
    open_account("wallets", type=AccountType.EQUITY, metadata=gold)
    open_account("walletsold", min_balance=-100)
    open_account("wallet:s")
    books.post((books.funded, -5), (alice, 5))

    assert list_names(books, prefix="wallets") == ["wallets", "wallets:alice:held", "wallets:alice"]
    assert list_names(books, prefix="wallets:") == ["wallets:alice:held", "wallets:alice"]
    assert list_names(books, prefix="wallets:alice:held") == ["wallets:alice:held"]
    assert list_names(books, prefix="wallets:al") == []
    assert list_names(books, type=AccountType.EQUITY) == ["wallets"]
    assert list_names(books, type=AccountType.EQUITY, currency="EUR") == []
    assert list_names(books, external_id="alice") == ["wallets:alice"]
    assert list_names(books, external_id="alice", metadata=(("tier", "blue"),)) == []
    assert list_names(books, metadata=(("tier", "gold"),)) == ["wallets", "wallets:alice"]
    assert list_names(books, metadata=(("team", "a"), ("tier", "blue"))) == ["wallets:alice:held"]
    assert list_names(books, metadata=(("tier", "gold"),), prefix="wallets:") == ["wallets:alice"]
    assert list_names(books, balance_min=1, balance_max=5) == ["wallets:alice"]
    assert list_names(books, balance_max=-1) == []
    assert len(list_names(books, balance_min=FUNDS)) == 1


def test_subtree_of_many_accounts_is_listed_page_by_page(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_adapters.postgres.account_lists.MAX_SORTED_ROWS", 2)
    for name in "abc":
        open_with_terms(books.application, books.merchant_id, f"tills:{name}")
    assert list_names(books, prefix="tills") == ["tills:c", "tills:b", "tills:a"]


def test_changed_metadata_is_what_lists_filter_by(books: Books) -> None:
    id = open_with_terms(books.application, books.merchant_id, metadata={"a": "1", "b": "2"})
    change(books.application, books.merchant_id, id, metadata={"b": "2", "c": "3"})
    assert books.get_account(id).metadata == {"b": "2", "c": "3"}
    assert list_names(books, metadata=(("a", "1"),)) == []
    assert list_names(books, metadata=(("b", "2"),)) == ["Wallet"]
    assert list_names(books, metadata=(("c", "3"),)) == ["Wallet"]
    change(books.application, books.merchant_id, id, metadata={})
    assert list_names(books, metadata=(("b", "2"),)) == []


def test_balances_of_a_subtree_are_summed_by_currency(books: Books, store: Store) -> None:
    def get(merchant_id: UUID, prefix: str | None) -> Sequence[SubtreeBalance]:
        return books.application.accounts.get_subtree_balances(merchant_id, prefix).items

    alice = open_with_terms(books.application, books.merchant_id, "wallets:alice")
    bob = open_with_terms(books.application, books.merchant_id, "wallets:bob", min_balance=-100)
    open_with_terms(books.application, books.merchant_id, "wallets:bob", "EUR")
    open_with_terms(books.application, add_merchant(store.begin), "wallets:alice")
    books.post((books.funded, -90), (alice, 150), (bob, -60))
    books.post((books.other, 20), (alice, -20), is_pending=True)
    euros, dollars = SubtreeBalance("EUR", 1, 0, 0, 0), SubtreeBalance("USD", 2, 90, 0, 20)
    assert list(get(books.merchant_id, "wallets")) == [euros, dollars]
    assert dollars.available == 70
    assert list(get(books.merchant_id, "wallets:alice")) == [SubtreeBalance("USD", 1, 150, 0, 20)]
    assert list(get(books.merchant_id, "wall")) == []
    whole = {sums.currency: sums.balance for sums in get(books.merchant_id, None)}
    assert whole == {"EUR": FUNDS, "USD": FUNDS}


def test_trial_balance_has_the_types_of_the_merchants_chart(books: Books) -> None:
    asset = open_with_terms(
        books.application, books.merchant_id, type=AccountType.ASSET, min_balance=None
    )
    equity = open_with_terms(books.application, books.merchant_id, type=AccountType.EQUITY)
    books.post((asset, -400), (equity, 400))
    trial = books.application.balances.get_trial_balance(books.merchant_id, TimeAxis.POSTED, None)
    rows = {(row.type, row.currency): (row.debit, row.credit) for row in trial.rows}
    assert rows["asset", "USD"] == (400, 0)
    assert rows["equity", "USD"] == (0, 400)
    assert rows["liability", "USD"] == (0, FUNDS)
    whole = books.application.balances.get_whole_trial_balance(TimeAxis.POSTED, None)
    assert whole.is_balanced
    owners = {(row.type, row.is_system): row.debit for row in whole.rows if row.currency == "USD"}
    assert owners["asset", False] == 400
    assert owners["asset", True] == FUNDS


def test_payments_credit_the_oldest_liability_that_is_not_closed(store: Store) -> None:
    books = Books(store.begin)
    merchant_id = add_merchant(store.begin)
    application = books.application
    asset = open_with_terms(application, merchant_id, type=AccountType.ASSET, min_balance=None)
    first = open_with_terms(application, merchant_id)
    second = open_with_terms(application, merchant_id)
    books.merchant_id = merchant_id
    books.fund(1)
    change(application, merchant_id, asset, status=CLOSED)
    with pytest.raises(TransactionRefused):
        books.post((first, -1), (asset, 1))
    books.post((first, -1), (second, 1))
    change(application, merchant_id, first, status=CLOSED)
    books.fund(2)
    assert [books.get_account(id).balance for id in (asset, first, second)] == [0, 0, 3]
    change(application, merchant_id, first, status=FROZEN)
    change(application, merchant_id, first, status=OPEN)
    books.fund(4)
    assert books.get_account(first).balance == 4
    books.assert_ledger_is_clean()
