"""Lists, on both stores, against the plainest reading of what they promise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomic_adapters.memory import MemoryStore
from atomic_adapters.memory.worker_liveness import MemoryWorkerLiveness
from atomic_adapters.system import ManualClock
from atomic_core.application import Application
from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import NotFound
from atomic_core.domain.lists import (
    MAX_TIME,
    MIN_TIME,
    AccountEntry,
    AccountFilter,
    CreatedFilter,
    Page,
    PaymentFilter,
    Position,
    RefundFilter,
)
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.holds import CancelRequest
from support import (
    HOUR,
    IDS,
    NOW,
    MemoryTampering,
    Store,
    add_merchant,
    add_payment,
    build_application,
    find_payment,
    open_account,
)

TICK = timedelta(milliseconds=1)
CURRENCIES = ["USD", "EUR", "INR"]
NAMES, VALUES = ["order", "shop", "a.b"], ["", "1", "é\u2028%"]


@pytest.fixture
def memory_store() -> Store:
    """As in PostgreSQL, all that is made in one unit of work is made at one moment."""
    clock = ManualClock(datetime(2026, 11, 22, tzinfo=UTC))
    store = MemoryStore(clock)

    @contextmanager
    def begin() -> Iterator[UnitOfWork]:
        clock.time += TICK
        with store.begin() as work:
            yield work

    tampering = MemoryTampering(store.tables)
    return Store(begin, tampering, store, lambda: MemoryWorkerLiveness(store.tables))


@dataclass
class Shop:
    """A merchant whose payments, refunds and accounts are in all states there are."""

    store: Store
    application: Application
    merchant_id: UUID
    payment_ids: list[UUID]
    refund_ids: list[UUID]
    account_ids: list[UUID]

    def payments(self) -> Sequence[Payment]:
        with self.store.begin() as work:
            found = [find_payment(work, self.merchant_id, id) for id in self.payment_ids]
        return [payment for payment in found if payment]

    def refunds(self) -> Sequence[Refund]:
        with self.store.begin() as work:
            found = [work.refunds.get(self.merchant_id, id) for id in self.refund_ids]
        return [refund for refund in found if refund]

    def accounts(self) -> Sequence[Account]:
        with self.store.begin() as work:
            found = [work.accounts.get(self.merchant_id, id) for id in self.account_ids]
        return [account for account in found if account]


def new(merchant_id: UUID, number: int, **changes: Any) -> NewPayment:
    money = Money(1 + number * 37 % 100, CURRENCIES[number % 2])
    some = {NAMES[number % 3]: VALUES[number // 3 % 3], "shop": VALUES[number % 3]}
    told = NewPayment(merchant_id, money, "tok_visa", metadata=some if number % 4 else {})
    return replace(told, **changes)


def together(store: Store, *orders: NewPayment) -> list[UUID]:
    """Payments made at the same moment, as those of a batch are."""
    ids = [IDS.new_id() for _ in orders]
    with store.begin() as work:
        for id, order in zip(reversed(ids), orders, strict=True):
            add_payment(work, order, id)
        work.commit()
    return ids


def make_shop(store: Store) -> Shop:
    application = build_application(store.begin, lease=HOUR)
    id = add_merchant(store.begin)
    accounts = [open_account(store.begin, id, CURRENCIES[n % 3]) for n in range(7)]
    made: list[UUID] = []
    made += together(store, *(new(id, n, capture=CaptureMethod.MANUAL) for n in range(9)))
    made += together(store, *(new(id, n) for n in range(12)))
    made += together(store, *(new(id, n, source="tok_chargeDeclined") for n in range(5)))
    application.settlement.settle()
    for payment_id in made[:4]:
        application.payments.cancel(CancelRequest(id, payment_id))
    refunds: list[UUID] = []

    def refund(number: int, payment_id: UUID, amount: int) -> None:
        metadata = {"shop": VALUES[number % 3]} if number % 2 else {}
        asked = NewRefund(id, payment_id, amount, metadata=metadata)
        refunds.append(application.refunds.create(asked).id)

    refundable = [
        payment_id
        for payment_id in made[9:21]
        if application.payments.get(id, payment_id).money.amount > 3
    ]
    for number, payment_id in enumerate(refundable):
        refund(number, payment_id, 1)
        refund(number + 1, payment_id, 2)
    application.settlement.settle()
    for number, payment_id in enumerate(refundable[:3]):
        refund(number, payment_id, 1)
    made += together(store, *(new(id, n) for n in range(6)))
    with store.begin() as work:
        work.payments.claim(3, HOUR, NOW)
        work.refunds.claim(1, HOUR, NOW)
        work.commit()
    made += together(store, *(new(id, n) for n in range(3)))
    return Shop(store, application, id, made, refunds, accounts)


@pytest.fixture
def shop(store: Store) -> Shop:
    stranger = make_shop(store)
    assert stranger.merchant_id
    return make_shop(store)


def newest(rows: Sequence[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)


def all_pages(turn: Callable[[Any], Page[Any]], place: Callable[[Any], Any]) -> list[Any]:
    found: list[Any] = []
    page = turn(None)
    while page.has_more:
        assert page.items
        found += page.items
        page = turn(place(page.items[-1]))
    return found + list(page.items)


def position(row: Any) -> Position:
    return Position(row.created_at, row.id)


def fits(row: Payment | Refund, wanted: PaymentFilter) -> bool:
    return (
        wanted.created_from <= row.created_at < wanted.created_to
        and wanted.currency in (None, row.money.currency)
        and (not wanted.statuses or row.status in wanted.statuses)
        and wanted.amount_min <= row.money.amount <= wanted.amount_max
        and dict(wanted.metadata).items() <= dict(row.metadata).items()
    )


def moments(rows: Sequence[Any]) -> st.SearchStrategy[datetime]:
    known = sorted({row.created_at for row in rows})
    return st.sampled_from([MIN_TIME, MAX_TIME, known[0] - TICK, known[-1] + TICK, *known])


def filters(rows: Sequence[Payment] | Sequence[Refund]) -> dict[str, st.SearchStrategy[Any]]:
    pairs = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=2)
    return {
        "statuses": st.frozensets(st.sampled_from(Status), max_size=3),
        "currency": st.sampled_from([None, None, *CURRENCIES, "JPY"]),
        "created_from": moments(rows) | st.just(MIN_TIME),
        "created_to": moments(rows) | st.just(MAX_TIME),
        "amount_min": st.just(1) | st.integers(1, 101),
        "amount_max": st.just(101) | st.integers(1, 101),
        "metadata": st.just(()) | pairs.map(lambda told: tuple(sorted(told.items()))),
    }


def test_fixture_covers_every_status(shop: Shop) -> None:
    """Else the tests below would prove little."""
    payments, refunds = shop.payments(), shop.refunds()
    assert {payment.status for payment in payments} == set(Status)
    assert {refund.status for refund in refunds} >= {
        Status.PENDING,
        Status.PROCESSING,
        Status.SUCCESS,
    }
    assert len({payment.created_at for payment in payments}) < len(payments) / 4


def test_payment_filters_return_matches_newest_first(shop: Shop) -> None:
    payments = shop.payments()
    assert len(payments) == len(shop.payment_ids)

    @settings(max_examples=150, deadline=None)
    @given(st.builds(PaymentFilter, **filters(payments)), st.integers(1, 40))
    def check(wanted: PaymentFilter, limit: int) -> None:
        def turn(after: Position | None) -> Page[Payment]:
            page = shop.application.payments.list(shop.merchant_id, wanted, after, limit)
            assert len(page.items) <= limit
            return page

        expected = newest([payment for payment in payments if fits(payment, wanted)])
        assert all_pages(turn, position) == expected

    check()


def test_refund_filters_return_matches_newest_first(shop: Shop) -> None:
    refunds = shop.refunds()
    asked = filters(refunds) | {
        "amount_min": st.integers(1, 3),
        "amount_max": st.integers(1, 3),
        "payment_id": st.none() | st.sampled_from([refund.payment_id for refund in refunds]),
    }

    @settings(max_examples=150, deadline=None)
    @given(st.builds(RefundFilter, **asked), st.integers(1, 20))
    def check(wanted: RefundFilter, limit: int) -> None:
        list_refunds = shop.application.refunds.list
        turn: Callable[[Position | None], Page[Refund]] = lambda after: list_refunds(  # noqa: E731
            shop.merchant_id, wanted, after, limit
        )
        of = wanted.payment_id
        fitting = [each for each in refunds if fits(each, wanted) and of in (None, each.payment_id)]
        assert all_pages(turn, position) == newest(fitting)
        if of:
            page = shop.application.refunds.list_by_payment(shop.merchant_id, wanted, None, 100)
            assert page == Page(newest(fitting), has_more=False)

    check()


def test_account_filters_return_matches_newest_first(shop: Shop) -> None:
    accounts = shop.accounts()

    @settings(max_examples=60, deadline=None)
    @given(
        st.builds(
            AccountFilter,
            currency=st.sampled_from([None, *CURRENCIES, "JPY"]),
            created_from=moments(accounts),
            created_to=moments(accounts),
        ),
        st.integers(1, 8),
    )
    def check(wanted: AccountFilter, limit: int) -> None:
        list_accounts = shop.application.accounts.list
        turn: Callable[[Position | None], Page[Account]] = lambda after: list_accounts(  # noqa: E731
            shop.merchant_id, wanted, after, limit
        )
        assert all_pages(turn, position) == newest(
            [
                account
                for account in accounts
                if wanted.includes_time(account.created_at)
                and wanted.currency in (None, account.currency)
            ]
        )

    check()


def test_entry_filters_return_matches_newest_first(shop: Shop) -> None:
    [account, *_] = [account for account in shop.accounts() if account.sequence > 10]

    def entries(wanted: CreatedFilter, limit: int = 100) -> list[AccountEntry]:
        list_entries = shop.application.accounts.list_entries
        turn: Callable[[int | None], Page[AccountEntry]] = lambda after: list_entries(  # noqa: E731
            shop.merchant_id, account.id, wanted, after, limit
        )
        return all_pages(turn, lambda entry: entry.sequence)

    everything = entries(CreatedFilter())
    assert [entry.sequence for entry in everything] == [*range(account.sequence, 0, -1)]
    times = sorted({entry.posted_at for entry in everything})
    assert len(times) > 1
    some = st.sampled_from([MIN_TIME, MAX_TIME, times[0] - TICK, times[-1] + TICK, *times])

    @settings(max_examples=60, deadline=None)
    @given(st.builds(CreatedFilter, created_from=some, created_to=some), st.integers(1, 8))
    def check(wanted: CreatedFilter, limit: int) -> None:
        fitting = [entry for entry in everything if wanted.includes_time(entry.posted_at)]
        assert entries(wanted, limit) == fitting

    check()


def test_entries_name_their_payment_or_refund(shop: Shop) -> None:
    payments = {payment.id: payment for payment in shop.payments()}
    refunds = {refund.id: refund for refund in shop.refunds()}
    seen = 0
    for account in shop.accounts():
        balance = 0
        page = shop.application.accounts.list_entries(
            shop.merchant_id, account.id, CreatedFilter(), None, 100
        )
        for entry in reversed(page.items):
            balance += entry.amount
            assert (entry.account_id, entry.balance_after) == (account.id, balance)
            if entry.refund_id:
                assert entry.kind == "refund"
                assert refunds[entry.refund_id].payment_id == entry.payment_id
                assert refunds[entry.refund_id].money.amount == -entry.amount
            else:
                assert entry.kind == "payment"
                assert payments[entry.payment_id].amount_captured == entry.amount
            seen += 1
        assert balance == account.balance
    assert seen > 10


def test_pages_are_stable_while_payments_are_added_and_settled(shop: Shop) -> None:
    before = newest(shop.payments())
    found: list[UUID] = []
    after: Position | None = None
    for _ in range(100):
        page = shop.application.payments.list(shop.merchant_id, PaymentFilter(), after, 5)
        found += [payment.id for payment in page.items]
        if not page.has_more:
            break
        after = position(page.items[-1])
        together(shop.store, new(shop.merchant_id, 1), new(shop.merchant_id, 2))
        shop.application.settlement.settle()
    assert found == [payment.id for payment in before]


def test_lists_exclude_other_merchants(shop: Shop) -> None:
    nobody = add_merchant(shop.store.begin)
    application = shop.application
    [payment, *_] = shop.refunds()
    theirs = RefundFilter(payment_id=payment.payment_id)
    assert application.payments.list(nobody, PaymentFilter(), None, 10).items == []
    assert application.payments.list(nobody, PaymentFilter(amount_max=50), None, 10).items == []
    pair = (("shop", "1"),)
    assert application.payments.list(nobody, PaymentFilter(metadata=pair), None, 10).items == []
    assert application.refunds.list(nobody, RefundFilter(), None, 10).items == []
    assert application.refunds.list(nobody, theirs, None, 10).items == []
    assert application.accounts.list(nobody, AccountFilter(), None, 10).items == []
    with pytest.raises(NotFound):
        application.refunds.list_by_payment(nobody, theirs, None, 10)
    with pytest.raises(NotFound):
        application.accounts.list_entries(nobody, shop.account_ids[0], CreatedFilter(), None, 10)
    with pytest.raises(NotFound):
        application.payments.expand(nobody, payment.payment_id, refunds=True, entries=True)


def test_expanded_payment_contains_requested_refunds_and_entries(shop: Shop) -> None:
    refund = next(refund for refund in shop.refunds() if refund.status is Status.SUCCESS)
    expand = shop.application.payments.expand
    plain = expand(shop.merchant_id, refund.payment_id, refunds=False, entries=False)
    assert (plain.refunds, plain.entries) == (None, None)
    whole = expand(shop.merchant_id, refund.payment_id, refunds=True, entries=True)
    assert whole.refunds == newest(
        [each for each in shop.refunds() if each.payment_id == refund.payment_id]
    )
    assert whole.entries
    assert [entry.kind for entry in whole.entries][:2] == ["payment", "refund"]
    assert {entry.account_id for entry in whole.entries} == {refund.account_id}
