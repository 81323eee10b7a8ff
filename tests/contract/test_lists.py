"""Lists, on both stores, compared with filtering and sorting in Python."""

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
    DEPTH,
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
    """As in PostgreSQL, all rows of one unit of work have the same time."""
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
class MerchantData:
    """A merchant with payments and refunds of every status, and accounts."""

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


def build_payment(merchant_id: UUID, number: int, **changes: Any) -> NewPayment:
    money = Money(1 + number * 37 % 100, CURRENCIES[number % 2])
    metadata = {NAMES[number % 3]: VALUES[number // 3 % 3], "shop": VALUES[number % 3]}
    payment = NewPayment(merchant_id, money, "tok_visa", metadata=metadata if number % 4 else {})
    return replace(payment, **changes)


def add_payments(store: Store, *new_payments: NewPayment) -> list[UUID]:
    """Add payments with the same time, in descending order of their ids."""
    ids = [IDS.new_id() for _ in new_payments]
    with store.begin() as work:
        for id, new_payment in zip(reversed(ids), new_payments, strict=True):
            add_payment(work, new_payment, id)
        work.commit()
    return ids


def create_merchant_data(store: Store) -> MerchantData:
    application = build_application(store.begin, lease=HOUR)
    id = add_merchant(store.begin)
    account_ids = [open_account(store.begin, id, CURRENCIES[n % 3]) for n in range(7)]
    payment_ids: list[UUID] = []
    payment_ids += add_payments(
        store, *(build_payment(id, n, capture=CaptureMethod.MANUAL) for n in range(9))
    )
    payment_ids += add_payments(store, *(build_payment(id, n) for n in range(12)))
    payment_ids += add_payments(
        store, *(build_payment(id, n, source="tok_chargeDeclined") for n in range(5))
    )
    payment_ids += add_payments(
        store, *(build_payment(id, n, source="tok_threeDSecureAbandoned") for n in range(3))
    )
    application.settlement.settle()
    for payment_id in payment_ids[:4]:
        application.payments.cancel(CancelRequest(id, payment_id))
    refund_ids: list[UUID] = []

    def create_refund(number: int, payment_id: UUID, amount: int) -> None:
        metadata = {"shop": VALUES[number % 3]} if number % 2 else {}
        new_refund = NewRefund(id, payment_id, amount, metadata=metadata)
        refund_ids.append(application.refunds.create(new_refund).id)

    refundable = [
        payment_id
        for payment_id in payment_ids[9:21]
        if application.payments.get(id, payment_id).money.amount > 3
    ]
    for number, payment_id in enumerate(refundable):
        create_refund(number, payment_id, 1)
        create_refund(number + 1, payment_id, 2)
    application.settlement.settle()
    for number, payment_id in enumerate(refundable[:3]):
        create_refund(number, payment_id, 1)
    payment_ids += add_payments(store, *(build_payment(id, n) for n in range(6)))
    with store.begin() as work:
        work.payments.claim(3, HOUR, NOW)
        work.refunds.claim(1, HOUR, NOW)
        work.commit()
    payment_ids += add_payments(store, *(build_payment(id, n) for n in range(3)))
    return MerchantData(store, application, id, payment_ids, refund_ids, account_ids)


@pytest.fixture
def merchant(store: Store) -> MerchantData:
    # Rows of another merchant, which no list may return.
    create_merchant_data(store)
    return create_merchant_data(store)


def sort_newest_first(rows: Sequence[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)


def fetch_all_pages(
    fetch_page: Callable[[Any], Page[Any]], get_position: Callable[[Any], Any]
) -> list[Any]:
    items: list[Any] = []
    page = fetch_page(None)
    while page.has_more:
        assert page.items
        items += page.items
        page = fetch_page(get_position(page.items[-1]))
    return items + list(page.items)


def get_position(row: Any) -> Position:
    return Position(row.created_at, row.id)


def matches(row: Payment | Refund, filter: PaymentFilter) -> bool:
    return (
        filter.created_from <= row.created_at < filter.created_to
        and filter.currency in (None, row.money.currency)
        and (not filter.statuses or row.status in filter.statuses)
        and filter.amount_min <= row.money.amount <= filter.amount_max
        and dict(filter.metadata).items() <= dict(row.metadata).items()
    )


def time_strategy(rows: Sequence[Any]) -> st.SearchStrategy[datetime]:
    times = sorted({row.created_at for row in rows})
    return st.sampled_from([MIN_TIME, MAX_TIME, times[0] - TICK, times[-1] + TICK, *times])


def filter_strategies(
    rows: Sequence[Payment] | Sequence[Refund],
) -> dict[str, st.SearchStrategy[Any]]:
    pairs = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=2)
    return {
        "statuses": st.frozensets(st.sampled_from(Status), max_size=3),
        "currency": st.sampled_from([None, None, *CURRENCIES, "JPY"]),
        "created_from": time_strategy(rows) | st.just(MIN_TIME),
        "created_to": time_strategy(rows) | st.just(MAX_TIME),
        "amount_min": st.just(1) | st.integers(1, 101),
        "amount_max": st.just(101) | st.integers(1, 101),
        "metadata": st.just(()) | pairs.map(lambda metadata: tuple(sorted(metadata.items()))),
    }


def test_fixture_covers_every_status(merchant: MerchantData) -> None:
    payments, refunds = merchant.payments(), merchant.refunds()
    assert {payment.status for payment in payments} == set(Status)
    assert {refund.status for refund in refunds} >= {
        Status.PENDING,
        Status.PROCESSING,
        Status.SUCCESS,
    }
    assert len({payment.created_at for payment in payments}) < len(payments) / 4


def test_payment_filters_return_matches_newest_first(merchant: MerchantData) -> None:
    payments = merchant.payments()
    assert len(payments) == len(merchant.payment_ids)

    @settings(max_examples=60 * DEPTH, deadline=None)
    @given(st.builds(PaymentFilter, **filter_strategies(payments)), st.integers(1, 40))
    def check(filter: PaymentFilter, limit: int) -> None:
        def fetch_page(after: Position | None) -> Page[Payment]:
            page = merchant.application.payments.list(merchant.merchant_id, filter, after, limit)
            assert len(page.items) <= limit
            return page

        expected = sort_newest_first([payment for payment in payments if matches(payment, filter)])
        assert fetch_all_pages(fetch_page, get_position) == expected

    check()


def test_refund_filters_return_matches_newest_first(merchant: MerchantData) -> None:
    refunds = merchant.refunds()
    strategies = filter_strategies(refunds) | {
        "amount_min": st.integers(1, 3),
        "amount_max": st.integers(1, 3),
        "payment_id": st.none() | st.sampled_from([refund.payment_id for refund in refunds]),
    }

    @settings(max_examples=60 * DEPTH, deadline=None)
    @given(st.builds(RefundFilter, **strategies), st.integers(1, 20))
    def check(filter: RefundFilter, limit: int) -> None:
        list_refunds = merchant.application.refunds.list
        fetch_page: Callable[[Position | None], Page[Refund]] = lambda after: list_refunds(  # noqa: E731
            merchant.merchant_id, filter, after, limit
        )
        payment_id = filter.payment_id
        matching = [
            refund
            for refund in refunds
            if matches(refund, filter) and payment_id in (None, refund.payment_id)
        ]
        assert fetch_all_pages(fetch_page, get_position) == sort_newest_first(matching)
        if payment_id:
            page = merchant.application.refunds.list_by_payment(
                merchant.merchant_id, filter, None, 100
            )
            assert page == Page(sort_newest_first(matching), has_more=False)

    check()


def test_account_filters_return_matches_newest_first(merchant: MerchantData) -> None:
    accounts = merchant.accounts()

    @settings(max_examples=30 * DEPTH, deadline=None)
    @given(
        st.builds(
            AccountFilter,
            currency=st.sampled_from([None, *CURRENCIES, "JPY"]),
            created_from=time_strategy(accounts),
            created_to=time_strategy(accounts),
        ),
        st.integers(1, 8),
    )
    def check(filter: AccountFilter, limit: int) -> None:
        list_accounts = merchant.application.accounts.list
        fetch_page: Callable[[Position | None], Page[Account]] = lambda after: list_accounts(  # noqa: E731
            merchant.merchant_id, filter, after, limit
        )
        assert fetch_all_pages(fetch_page, get_position) == sort_newest_first(
            [
                account
                for account in accounts
                if filter.includes_time(account.created_at)
                and filter.currency in (None, account.currency)
            ]
        )

    check()


def test_entry_filters_return_matches_newest_first(merchant: MerchantData) -> None:
    [account, *_] = [account for account in merchant.accounts() if account.sequence > 10]

    def list_all_entries(filter: CreatedFilter, limit: int = 100) -> list[AccountEntry]:
        list_entries = merchant.application.accounts.list_entries
        fetch_page: Callable[[int | None], Page[AccountEntry]] = lambda after: list_entries(  # noqa: E731
            merchant.merchant_id, account.id, filter, after, limit
        )
        return fetch_all_pages(fetch_page, lambda entry: entry.sequence)

    all_entries = list_all_entries(CreatedFilter())
    assert [entry.sequence for entry in all_entries] == [*range(account.sequence, 0, -1)]
    times = sorted({entry.posted_at for entry in all_entries})
    assert len(times) > 1
    time_values = st.sampled_from([MIN_TIME, MAX_TIME, times[0] - TICK, times[-1] + TICK, *times])

    @settings(max_examples=30 * DEPTH, deadline=None)
    @given(
        st.builds(CreatedFilter, created_from=time_values, created_to=time_values),
        st.integers(1, 8),
    )
    def check(filter: CreatedFilter, limit: int) -> None:
        matching = [entry for entry in all_entries if filter.includes_time(entry.posted_at)]
        assert list_all_entries(filter, limit) == matching

    check()


def test_entries_name_their_payment_or_refund(merchant: MerchantData) -> None:
    payments = {payment.id: payment for payment in merchant.payments()}
    refunds = {refund.id: refund for refund in merchant.refunds()}
    entry_count = 0
    for account in merchant.accounts():
        balance = 0
        page = merchant.application.accounts.list_entries(
            merchant.merchant_id, account.id, CreatedFilter(), None, 100
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
                assert entry.payment_id
                assert payments[entry.payment_id].amount_captured == entry.amount
            entry_count += 1
        assert balance == account.balance
    assert entry_count > 10


def test_pages_are_stable_while_payments_are_added_and_settled(merchant: MerchantData) -> None:
    before = sort_newest_first(merchant.payments())
    listed_ids: list[UUID] = []
    after: Position | None = None
    for _ in range(100):
        page = merchant.application.payments.list(merchant.merchant_id, PaymentFilter(), after, 5)
        listed_ids += [payment.id for payment in page.items]
        if not page.has_more:
            break
        after = get_position(page.items[-1])
        add_payments(
            merchant.store,
            build_payment(merchant.merchant_id, 1),
            build_payment(merchant.merchant_id, 2),
        )
        merchant.application.settlement.settle()
    assert listed_ids == [payment.id for payment in before]


def test_lists_exclude_other_merchants(merchant: MerchantData) -> None:
    other_id = add_merchant(merchant.store.begin)
    application = merchant.application
    [refund, *_] = merchant.refunds()
    by_payment = RefundFilter(payment_id=refund.payment_id)
    assert application.payments.list(other_id, PaymentFilter(), None, 10).items == []
    assert application.payments.list(other_id, PaymentFilter(amount_max=50), None, 10).items == []
    pair = (("shop", "1"),)
    assert application.payments.list(other_id, PaymentFilter(metadata=pair), None, 10).items == []
    assert application.refunds.list(other_id, RefundFilter(), None, 10).items == []
    assert application.refunds.list(other_id, by_payment, None, 10).items == []
    assert application.accounts.list(other_id, AccountFilter(), None, 10).items == []
    with pytest.raises(NotFound):
        application.refunds.list_by_payment(other_id, by_payment, None, 10)
    with pytest.raises(NotFound):
        application.accounts.list_entries(
            other_id, merchant.account_ids[0], CreatedFilter(), None, 10
        )
    with pytest.raises(NotFound):
        application.payments.expand(other_id, refund.payment_id, refunds=True, entries=True)


def test_expanded_payment_contains_requested_refunds_and_entries(merchant: MerchantData) -> None:
    refund = next(refund for refund in merchant.refunds() if refund.status is Status.SUCCESS)
    expand = merchant.application.payments.expand
    unexpanded = expand(merchant.merchant_id, refund.payment_id, refunds=False, entries=False)
    assert (unexpanded.refunds, unexpanded.entries) == (None, None)
    expanded = expand(merchant.merchant_id, refund.payment_id, refunds=True, entries=True)
    assert expanded.refunds == sort_newest_first(
        [other for other in merchant.refunds() if other.payment_id == refund.payment_id]
    )
    assert expanded.entries
    assert [entry.kind for entry in expanded.entries][:2] == ["payment", "refund"]
    assert {entry.account_id for entry in expanded.entries} == {refund.account_id}
