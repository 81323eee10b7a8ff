"""Closed periods, on both stores."""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from atomic_core.domain.audit_log import AuditEventType
from atomic_core.domain.errors import NotFound, PeriodClosed, StorageRefused, ValidationFailed
from atomic_core.domain.journal import JournalStatus, JournalTransaction
from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.lists import Position
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.periods import ClosingRequest, Period, build_period
from journal_scenarios import Books
from support import IDS, Store, add_merchant

DAY = timedelta(days=1)
END = date(2026, 1, 31)
WITHIN = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
AFTER = WITHIN + timedelta(microseconds=1)


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


def close(books: Books, end: date = END, origin: Origin | None = None) -> Period:
    return books.application.periods.close(ClosingRequest(books.merchant_id, end, origin))


def list_balances(books: Books, period: Period) -> dict[UUID, int]:
    page = books.application.periods.list_balances(books.merchant_id, period.id, None, 100)
    return {row.account_id: row.balance for row in page.items}


def test_period_keeps_the_effective_balances_of_all_accounts(books: Books) -> None:
    books.transfer(7, effective_at=WITHIN)
    books.transfer(11, effective_at=AFTER)
    period = close(books)
    assert list_balances(books, period) == {
        books.funded: -7,
        books.other: 7,
        **dict.fromkeys((books.third, books.euros, books.other_euros), 0),
    }
    assert (period.start, period.end, period.accounts) == (None, END, 5)
    assert books.application.periods.get(books.merchant_id, period.id) == period
    books.assert_ledger_is_clean()


def test_digest_is_that_of_the_documented_text(books: Books) -> None:
    books.transfer(7, effective_at=WITHIN)
    first, second = close(books), close(books, date(2026, 2, 28))
    balances = {**dict.fromkeys(list_balances(books, first), 0), books.funded: -7, books.other: 7}
    euros = {books.euros, books.other_euros}
    for period, start, previous in (
        (first, "-", "-"),
        (second, "2026-02-01", first.digest.hex()),
    ):
        text = (
            f"atomic ledger period 1\nmerchant {books.merchant_id}\nfrom {start}\n"
            f"to {period.end}\nprevious {previous}\n"
        )
        for id in sorted(balances):
            text += f"{id} {'EUR' if id in euros else 'USD'} {balances[id]}\n"
        assert period.digest == hashlib.sha256(text.encode()).digest()
    books.assert_ledger_is_clean()


def test_what_takes_effect_in_a_closed_period_is_refused(books: Books) -> None:
    posted = books.transfer(1)
    early = books.reserve(5, effective_at=WITHIN)
    close(books)
    attempts: list[Callable[[], object]] = [
        lambda: books.transfer(1, effective_at=WITHIN),
        lambda: books.reserve(1, effective_at=WITHIN),
        lambda: books.reverse(posted, effective_at=WITHIN - 400 * DAY),
        lambda: books.post_pending(early),
        lambda: books.application.journal.preview(
            books.build((books.funded, -1), (books.other, 1), effective_at=WITHIN)
        ),
    ]
    balances = books.get_balances()
    for attempt in attempts:
        with pytest.raises(PeriodClosed) as refused:
            attempt()
        assert refused.value.details == {
            "effectiveAt": ["Must be after 2026-01-31, the last closed day."]
        }
        assert refused.value.facts == {"closedThrough": "2026-01-31"}
    assert books.get_balances() == balances
    # The hold can still be released, and payments and other transactions go on.
    books.void(early)
    books.fund(1)
    books.reverse(posted)
    books.transfer(3, effective_at=AFTER)
    later = books.reserve(2)
    assert books.post_pending(later).status is JournalStatus.POSTED
    books.assert_ledger_is_clean()


def test_periods_follow_each_other(books: Books) -> None:
    first = close(books)
    for end in (END, END - DAY):
        with pytest.raises(PeriodClosed, match="closed period") as refused:
            close(books, end)
        assert refused.value.details == {
            "endDate": ["Must be after 2026-01-31, the last closed day."]
        }
    second = close(books, END + DAY)
    assert (second.start, second.previous_digest) == (END + DAY, first.digest)
    periods = books.application.periods
    page = periods.list(books.merchant_id, None, 1)
    assert (page.items, page.has_more) == ([second], True)


def test_periods_are_paged(books: Books) -> None:
    first, second = close(books), close(books, END + DAY)
    periods = books.application.periods
    after = Position(second.closed_at, second.id)
    assert periods.list(books.merchant_id, after, 5).items == [first]
    pages = [periods.list_balances(books.merchant_id, first.id, at, 2) for at in (None, 2, 4)]
    assert [[row.sequence for row in page.items] for page in pages] == [[1, 2], [3, 4], [5]]
    assert [page.has_more for page in pages] == [True, True, False]


def test_period_must_have_ended(books: Books) -> None:
    today = datetime.now(UTC).date()
    for end in (today, today + DAY):
        with pytest.raises(ValidationFailed, match="endDate: Must be before the present day"):
            close(books, end)
    assert close(books, today - DAY).end == today - DAY


def test_another_merchant_is_not_affected_and_sees_nothing(books: Books, store: Store) -> None:
    period, stranger = close(books), Books(store.begin)
    stranger.transfer(1, effective_at=WITHIN)
    periods = books.application.periods
    assert periods.list(stranger.merchant_id, None, 5).items == []
    with pytest.raises(NotFound, match="No ledger period has this id"):
        periods.get(stranger.merchant_id, period.id)
    with pytest.raises(NotFound, match="No ledger period has this id"):
        periods.list_balances(stranger.merchant_id, period.id, None, 5)
    assert close(stranger).start is None


def test_closing_is_audited(books: Books) -> None:
    origin = Origin(ActorType.KEY, IDS.new_id(), "192.0.2.1", "request", IDS.new_id())
    period = close(books, origin=origin)
    events, _ = books.application.merchants.list_audit_events(books.merchant_id, None, 10)
    [event] = [event for event in events if event.type == AuditEventType.LEDGER_PERIOD_CLOSED.value]
    assert event.details == {"periodId": str(period.id), "endDate": "2026-01-31"}


def test_store_refuses_a_period_that_does_not_follow(books: Books) -> None:
    first = close(books)
    today = datetime.now(UTC).date()

    def build(end: date, previous: Period | None) -> Period:
        return build_period(IDS.new_id(), books.merchant_id, end, previous, [], first.closed_at)

    for period in (
        build(END + DAY, None),
        build(today, first),
        build(END + DAY, build(END, first)),
    ):
        with pytest.raises(StorageRefused), books.begin() as work:
            work.periods.add(period, [])
            work.commit()


def test_store_refuses_what_takes_effect_in_a_closed_period(books: Books) -> None:
    pending = books.reserve(1, effective_at=WITHIN)
    close(books)
    late = books.get(pending)
    new = JournalTransaction(
        IDS.new_id(),
        books.merchant_id,
        JournalStatus.PENDING,
        late.entries,
        None,
        {},
        None,
        WITHIN,
        late.created_at,
        None,
        expires_at=late.expires_at,
    )
    with pytest.raises(StorageRefused):
        books.begin_and_add(new)


def test_merchant_without_accounts_can_close(store: Store) -> None:
    books = Books(store.begin)
    merchant_id = add_merchant(store.begin)
    period = books.application.periods.close(ClosingRequest(merchant_id, END))
    assert period.accounts == 0
    books.assert_ledger_is_clean()


Falsify = Callable[[Store, Books, Period], object]

FALSIFICATIONS: dict[str, tuple[set[LedgerCheck], Falsify]] = {
    "closing balance": (
        {LedgerCheck.PERIOD_DIGEST_FITS, LedgerCheck.CLOSING_BALANCE_IS_SUM},
        lambda store, books, period: store.tampering.set_closing_balance(period.id, 1, 99),
    ),
    "digest": (
        {LedgerCheck.PERIOD_DIGEST_FITS},
        lambda store, books, period: store.tampering.set_digest(period.id, bytes(32)),
    ),
    "entry that takes effect before": (
        {LedgerCheck.CHAIN_UNBROKEN, LedgerCheck.CLOSING_BALANCE_IS_SUM},
        lambda store, books, period: store.tampering.set_effective_at(books.list_ids()[0], WITHIN),
    ),
}


@pytest.mark.parametrize("name", FALSIFICATIONS)
def test_verification_finds_a_false_period(store: Store, name: str) -> None:
    books = Books(store.begin)
    period = close(books)
    books.transfer(1)
    books.assert_ledger_is_clean()
    expected, falsify = FALSIFICATIONS[name]
    falsify(store, books, period)
    found = {finding.check for finding in books.application.ledger.verify().findings}
    # PostgreSQL keeps what effective times shift, and compares that too.
    assert found - {LedgerCheck.SHIFT_IS_SUM} == expected
