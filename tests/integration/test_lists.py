"""Lists of many payments of one merchant, and of payments that keep arriving."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from atomic_adapters.postgres.account_lists import MAX_SORTED_ROWS
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.lists import PostgresListQueries
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_core.domain.lists import (
    AccountFilter,
    CreatedFilter,
    PaymentFilter,
    Position,
    RefundFilter,
)
from atomic_core.domain.payments import Payment, PaymentInsert, Status
from integration.million_payments import ACCOUNT, MERCHANT, ROWS, build_id
from integration.plan_costs import Cost, RecordingSession, explain_statements
from support import (
    IDS,
    Store,
    add_merchant,
    build_application,
    build_payment,
    open_account,
)

PAGE = 101
"""As a page of 100 is asked for."""


Connection = LimitedConnection


@pytest.fixture(scope="module")
def connection(full_database: str) -> Iterator[Connection]:
    """Shared, because to connect takes longer than most statements do."""
    with Connection.connect(full_database, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def cost_of(connection: Connection, turn: Callable[[PostgresListQueries], object]) -> Cost:
    """By the plans that the application's own sessions get: generic ones."""
    watched = RecordingSession(connection)
    turn(PostgresListQueries(watched))
    return explain_statements(connection, watched.statements, "force_generic_plan")


def check(connection: Connection, turn: Callable[[PostgresListQueries], object]) -> None:
    """No whole table is read, few rows are removed or sorted, and few pages are read."""
    cost = cost_of(connection, turn)
    assert not cost.scanned
    assert cost.removed <= MAX_SORTED_ROWS
    # Twice, because EXPLAIN rounds the average of a node's loops.
    assert cost.most_rows <= 2 * MAX_SORTED_ROWS
    assert cost.pages <= 10_000


NOW = datetime.now(UTC)
DAY = timedelta(days=1)
DEEP = Position(NOW - 20 * DAY, UUID(int=0))

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "currency": {"currency": "EUR"},
    "a currency of none": {"currency": "INR"},
    **{status.value: {"statuses": frozenset({status})} for status in Status},
    "two statuses": {"statuses": frozenset({Status.FAILED, Status.PENDING})},
    "created": {"created_from": NOW - 22 * DAY, "created_to": NOW - 18 * DAY},
    "created long ago": {"created_to": NOW - 22 * DAY},
    "an amount": {"amount_min": 500, "amount_max": 500},
    "rare amounts": {"amount_min": 500, "amount_max": 690},
    "amounts": {"amount_min": 500, "amount_max": 1_500},
    "common amounts": {"amount_min": 500},
    "amounts of none": {"amount_min": 200_000},
    "a pair": {"metadata": (("order", "10000"),)},
    "a common pair": {"metadata": (("shop", "main"),)},
    "a pair of none": {"metadata": (("shop", "other"),)},
    "pairs": {"metadata": (("order", "10000"), ("shop", "main"))},
    "all of them": {
        "currency": "USD",
        "statuses": frozenset({Status.SUCCESS}),
        "created_from": NOW - 23 * DAY,
        "amount_min": 500,
        "amount_max": 60_000,
        "metadata": (("shop", "main"),),
    },
}
PLACES = pytest.mark.parametrize("after", [None, DEEP], ids=["first page", "deep page"])


@PLACES
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())
def test_every_filter_of_payments_has_an_index(
    connection: Connection, filters: dict[str, Any], after: Position | None
) -> None:
    wanted = PaymentFilter(**filters)
    check(connection, lambda lists: lists.list_payments(MERCHANT, wanted, after, PAGE))


@PLACES
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())
def test_every_filter_of_refunds_has_an_index(
    connection: Connection, filters: dict[str, Any], after: Position | None
) -> None:
    wanted = RefundFilter(**filters)
    check(connection, lambda lists: lists.list_refunds(MERCHANT, wanted, after, PAGE))
    of_one = replace(wanted, payment_id=build_id(1_000))
    check(connection, lambda lists: lists.list_refunds(MERCHANT, of_one, after, PAGE))


@pytest.mark.parametrize("after", [None, Position(NOW - DAY / 2, UUID(int=0))])
@pytest.mark.parametrize(
    "wanted",
    [
        AccountFilter(),
        *(AccountFilter(currency=currency) for currency in ("USD", "EUR", "INR", "JPY")),
        AccountFilter(created_from=NOW - DAY, created_to=NOW - DAY / 3),
        AccountFilter(currency="EUR", created_to=NOW - DAY / 3),
    ],
)
def test_every_filter_of_accounts_has_an_index(
    connection: Connection, wanted: AccountFilter, after: Position | None
) -> None:
    check(connection, lambda lists: lists.list_accounts(MERCHANT, wanted, after, PAGE))


@pytest.mark.parametrize("after", [None, ROWS * 3 // 10])
@pytest.mark.parametrize(
    "wanted",
    [
        CreatedFilter(),
        CreatedFilter(created_from=NOW - 22 * DAY, created_to=NOW - 21 * DAY),
        CreatedFilter(created_to=NOW - 22 * DAY),
        CreatedFilter(created_from=NOW - DAY / 24),
        CreatedFilter(created_from=NOW + DAY),
        CreatedFilter(created_to=NOW - 300 * DAY),
    ],
)
def test_every_filter_of_entries_has_an_index(
    connection: Connection, wanted: CreatedFilter, after: int | None
) -> None:
    check(connection, lambda lists: lists.list_entries(ACCOUNT, wanted, after, PAGE))


def test_filters_find_the_right_rows_among_many(full_database: str) -> None:
    """Against the same question without any of the indexes, for the filters that find some."""
    with Connection.connect(full_database) as connection:
        lists = PostgresListQueries(DatabaseSession(connection))
        for filters in FILTERS.values():
            wanted = PaymentFilter(**filters)
            found = lists.list_payments(MERCHANT, wanted, DEEP, 5)
            rows = connection.execute(
                """
                SELECT id FROM payments
                 WHERE merchant_id = %s AND created_at < %s AND created_at >= %s AND created_at < %s
                   AND amount BETWEEN %s AND %s AND coalesce(currency = %s, true)
                   AND status = ANY(%s) AND coalesce(metadata, '{}') @> %s
                 ORDER BY created_at DESC, id DESC LIMIT 5
                """,
                (
                    *(MERCHANT, DEEP.created_at, wanted.created_from, wanted.created_to),
                    *(wanted.amount_min, wanted.amount_max, wanted.currency),
                    *([*(wanted.statuses or Status)], Jsonb(dict(wanted.metadata))),
                ),
            ).fetchall()
            assert [payment.id for payment in found] == [id for (id,) in rows], filters


def test_pages_list_each_payment_once_while_others_arrive(
    postgres_store: Store,
) -> None:
    """And while all of them are settled."""
    application = build_application(postgres_store.begin)
    merchant_id = add_merchant(postgres_store.begin)

    def accept(count: int) -> set[UUID]:
        ids = [IDS.new_id() for _ in range(count)]
        orders = [build_payment(merchant_id, 1 + number) for number in range(count)]
        open_account(postgres_store.begin, merchant_id)
        accepted = postgres_store.payment_store.insert(
            [PaymentInsert(id, each) for id, each in zip(ids, orders, strict=True)]
        )
        assert all(accepted)
        return set(ids)

    before = set[UUID]().union(*(accept(500) for _ in range(20)))
    arrived: list[set[UUID]] = []
    begun = threading.Event()

    def arrive() -> None:
        begun.wait(60)
        for _ in range(100):
            arrived.append(accept(10))
            application.settlement.settle()

    arriving = threading.Thread(target=arrive)
    arriving.start()
    shown: list[Payment] = []
    after: Position | None = None
    while True:
        page = application.payments.list(merchant_id, PaymentFilter(), after, 100)
        shown += page.items
        begun.set()
        if not page.has_more:
            break
        after = Position(page.items[-1].created_at, page.items[-1].id)
    arriving.join()

    assert {payment.id for payment in shown} >= before
    assert len({payment.id for payment in shown}) == len(shown)
    assert {payment.id for payment in shown} <= before.union(*arrived)
    assert sum(map(len, arrived)) == 1_000
    places = [(payment.created_at, payment.id) for payment in shown]
    assert places == sorted(places, reverse=True)
    everything = before.union(*arrived)
    again = application.payments.list(merchant_id, PaymentFilter(), None, 100)
    assert {payment.id for payment in again.items} <= everything
    assert {payment.status for payment in again.items} <= {Status.SUCCESS, Status.PENDING}
