"""Currency exchange, on both stores."""

from typing import Any
from uuid import UUID

import pytest

from atomic_core.domain.errors import NotFound, TransactionRefused, ValidationFailed
from atomic_core.domain.exchanges import RATE_KEY
from atomic_core.use_cases.exchanges import ExchangeRequest
from journal_scenarios import Books
from support import Store, add_merchant, open_account


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def build(books: Books, **changes: Any) -> ExchangeRequest:
    """300 USD of `funded` to `other_euros`; the positions are `third` and `euros`."""
    members = {
        "source_account_id": books.funded,
        "source_position_id": books.third,
        "target_position_id": books.euros,
        "target_account_id": books.other_euros,
        "rate": "0.92150",
        "source_amount": 300,
    }
    return ExchangeRequest(books.merchant_id, **members | changes)


def test_exchange_posts_two_balanced_halves_and_keeps_the_rate(books: Books) -> None:
    exchange = books.application.journal.exchange
    preview = books.application.journal.preview_exchange(build(books))
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]
    posted = exchange(build(books, metadata={"a": "b"}, external_id="x", description="d"))
    assert [entry[:3] for entry in posted.entries] == [
        (books.funded, "USD", -300),
        (books.third, "USD", 300),
        (books.euros, "EUR", -276),
        (books.other_euros, "EUR", 276),
    ]
    assert posted.entries == preview.entries
    # As it was sent, with its zero.
    assert posted.metadata == {"a": "b", RATE_KEY: "0.92150"}
    assert books.get(posted) == posted
    assert books.get_balances() == [700, 0, 300, 724, 276]
    second = exchange(build(books, source_amount=None, target_amount=100, rate="2"))
    assert [entry.amount for entry in second.entries] == [-50, 50, -100, 100]
    books.reverse(posted)
    assert books.get_balances() == [950, 0, 50, 900, 100]
    books.assert_ledger_is_clean()


def test_exchange_that_is_not_possible_changes_nothing(books: Books) -> None:
    stranger = open_account(books.begin, add_merchant(books.begin))
    refused: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"source_amount": 1_001}, TransactionRefused, "entries.0"),
        ({"rate": "4"}, TransactionRefused, "entries.2"),
        ({"rate": "1e3"}, ValidationFailed, "rate"),
        ({"target_amount": 1}, ValidationFailed, "sourceAmount"),
        ({"source_position_id": books.euros}, ValidationFailed, "sourcePositionId"),
        ({"target_position_id": books.third}, ValidationFailed, "targetPositionId"),
        (
            {"target_account_id": books.other, "target_position_id": books.third},
            ValidationFailed,
            "targetAccountId",
        ),
        ({"source_position_id": books.funded}, ValidationFailed, "entries.1.accountId"),
        ({"metadata": {RATE_KEY: "1"}}, ValidationFailed, "metadata"),
        ({"source_account_id": stranger}, NotFound, "sourceAccountId"),
        ({"target_position_id": UUID(int=404)}, NotFound, "targetPositionId"),
    ]
    for changes, error, field in refused:
        for use_case in (
            books.application.journal.preview_exchange,
            books.application.journal.exchange,
        ):
            with pytest.raises(error) as raised:
                use_case(build(books, **changes))
            assert list(getattr(raised.value, "details")) == [field], changes  # noqa: B009
    assert books.list_ids() == []
    assert books.get_balances() == [1_000, 0, 0, 1_000, 0]
