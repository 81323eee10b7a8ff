"""Explanations of balances, on both stores."""

from datetime import timedelta

import pytest

from atomic_core.domain.errors import NotFound, ValidationFailed
from atomic_core.domain.explanations import Explanation, KindSum
from atomic_core.domain.money import Money
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import NewPayment
from atomic_core.domain.refunds import NewRefund
from journal_scenarios import Books
from support import IDS, Store, add_merchant

TICK = timedelta(microseconds=1)


def build_origin(request_id: str) -> Origin:
    return Origin(ActorType.KEY, IDS.new_id(), "192.0.2.1", request_id, IDS.new_id())


@pytest.fixture
def books(store: Store) -> Books:
    """`funded` has a funding, a payment with a refund, and two transfers."""
    books = Books(store.begin)
    payments, refunds = books.application.payments, books.application.refunds
    new_payment = NewPayment(
        books.merchant_id, Money(500, "USD"), "tok_visa", origin=build_origin("payment")
    )
    payment = payments.record(new_payment)
    books.application.settlement.settle()
    refunds.create(NewRefund(books.merchant_id, payment.id, 200, origin=build_origin("refund")))
    books.application.settlement.settle()
    books.transfer(50, origin=build_origin("transfer"))
    books.post((books.other, -20), (books.funded, 20))
    return books


def explain(
    books: Books,
    begin: object = None,
    end: object = None,
    after: int | None = None,
    limit: int = 10,
) -> Explanation:
    use_case = books.application.balances.explain
    return use_case(books.merchant_id, books.funded, begin, end, after, limit)  # pyright: ignore[reportArgumentType]


def test_change_is_grouped_by_kind_and_has_each_entry(books: Books) -> None:
    found = explain(books)
    assert (found.opening.balance, found.closing.balance, found.change) == (0, 1_270, 1_270)
    assert found.kinds == [
        KindSum("journal", 2, 50, 20),
        KindSum("payment", 2, 0, 1_500),
        KindSum("refund", 1, 200, 0),
    ]
    assert sum(kind.change for kind in found.kinds or ()) == found.change
    assert found.entry_count == 5
    items = found.page.items
    assert [(item.sequence, item.amount, item.kind, item.request_id) for item in items] == [
        (5, 20, "journal", None),
        (4, -50, "journal", "transfer"),
        (3, -200, "refund", "refund"),
        (2, 500, "payment", "payment"),
        (1, 1_000, "payment", None),
    ]
    assert items[0].payment_id is None
    assert items[2].payment_id == items[3].payment_id is not None
    assert [item.refund_id is None for item in items] == [True, True, False, True, True]
    assert all(item.effective_at == item.posted_at for item in items)


def test_only_what_was_posted_between_the_moments_counts(books: Books) -> None:
    oldest_first = explain(books).page.items[::-1]
    begin, end = oldest_first[1].posted_at, oldest_first[3].posted_at
    found = explain(books, begin, end)
    assert [item.sequence for item in found.page.items] == [3, 2]
    assert (found.opening.balance, found.closing.balance) == (1_000, 1_300)
    assert found.kinds == [KindSum("payment", 1, 0, 500), KindSum("refund", 1, 200, 0)]
    nothing = explain(books, begin, begin)
    assert (nothing.change, nothing.kinds, nothing.page.items) == (0, [], [])
    with pytest.raises(ValidationFailed, match="to: Must not be before from"):
        explain(books, end, begin)


def test_pages_continue_without_the_sums(books: Books) -> None:
    sequences: list[int] = []
    has_no_sums: list[bool] = []
    after: int | None = None
    while True:
        found = explain(books, after=after, limit=2)
        sequences += [item.sequence for item in found.page.items]
        has_no_sums.append(found.kinds is None)
        after = sequences[-1]
        if not found.page.has_more:
            break
    assert sequences == [5, 4, 3, 2, 1]
    assert has_no_sums == [False, True, True]


def test_effective_time_of_an_entry_is_its_own(books: Books) -> None:
    past = explain(books).page.items[0].posted_at - timedelta(days=9)
    books.transfer(1, effective_at=past)
    newest = explain(books).page.items[0]
    assert newest.effective_at == past < newest.posted_at


def test_too_many_entries_are_refused(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atomic_core.domain.explanations.MAX_EXPLAINED_ENTRIES", 4)
    with pytest.raises(ValidationFailed, match="There are 5 entries"):
        explain(books)
    newest = explain(books, begin=_find_second(books)).page.items
    assert len(newest) <= 4


def _find_second(books: Books) -> object:
    with books.begin() as work:
        [entry] = work.balances.list_explained(books.funded, 0, 1, 1)
    return entry.posted_at + TICK


def test_account_of_another_merchant_is_not_explained(books: Books) -> None:
    stranger = add_merchant(books.begin)
    with pytest.raises(NotFound, match="No account has this id"):
        books.application.balances.explain(stranger, books.funded, None, None, None, 5)
