"""Operators' lists of one status among a million settled payments. EXPLAIN shows an index scan for
all of them: only what they read tells a walk of the primary key from an index of few rows."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from atomic_adapters.postgres.admin_queries import MAX_WALKED_ROWS, PostgresAdminQueries
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_core.domain.payments import Status
from integration.million_payments import OPEN_ROWS, RELATED_ROWS, ROWS, build_id
from integration.plan_costs import Cost, RecordingSession, explain_statements

PAGE = 20
"""As the commands ask for."""

UNSETTLED = [status for status in Status if not status.is_settled]
SETTLED = [status for status in Status if status.is_settled]
OLDEST_OPEN = build_id(ROWS + 1)
"""All that follow are settled."""


@pytest.fixture(scope="module")
def connection(full_database: str) -> Iterator[LimitedConnection]:
    with LimitedConnection.connect(
        full_database, autocommit=True, prepare_threshold=None
    ) as connection:
        yield connection


def measure(
    connection: LimitedConnection, mode: str, turn: Callable[[PostgresAdminQueries], object]
) -> Cost:
    session = RecordingSession(connection)
    turn(PostgresAdminQueries(session))
    return explain_statements(connection, session.statements, mode)


MODES = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])


@MODES
@pytest.mark.parametrize("after", [None, OLDEST_OPEN], ids=["first page", "after the open ones"])
@pytest.mark.parametrize("status", UNSETTLED)
def test_unsettled_payments_and_refunds_are_found_by_their_index(
    connection: LimitedConnection, status: Status, after: UUID | None, mode: str
) -> None:
    for turn in (
        lambda queries: queries.list_payments(PAGE, status, after),
        lambda queries: queries.list_all_refunds(PAGE, status, after),
    ):
        cost = measure(connection, mode, turn)
        assert not cost.scanned
        assert cost.most_rows <= 2 * OPEN_ROWS


@MODES
@pytest.mark.parametrize("status", SETTLED)
def test_payments_and_refunds_read_for_a_rare_status_are_bounded(
    connection: LimitedConnection, status: Status, mode: str
) -> None:
    for turn in (
        lambda queries: queries.list_payments(PAGE, status),
        lambda queries: queries.list_all_refunds(PAGE, status),
    ):
        cost = measure(connection, mode, turn)
        assert not cost.scanned
        assert cost.most_rows <= MAX_WALKED_ROWS


def test_pages_of_a_rare_status_lead_to_the_end(full_database: str) -> None:
    """No payment is canceled, but two of the oldest: all pages before theirs are empty."""
    canceled = {build_id(17), build_id(34)}
    with LimitedConnection.connect(full_database) as connection:
        # Only the walk is tested: the guards of payments would ask for their ledger.
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE payments SET status = 'CANCELED', failure_reason = NULL,"
            " step = 'abandon', cancellation_reason = 'requested' WHERE id = ANY(%s)",
            [list(canceled)],
        )
        connection.execute("SET session_replication_role = origin")
        queries = PostgresAdminQueries(RecordingSession(connection))
        page, empty_pages = queries.list_payments(1, Status.CANCELED), 0
        found: list[UUID] = []
        while page.next_after is not None:
            empty_pages += not page.items
            found += [payment.id for payment in page.items]
            page = queries.list_payments(1, Status.CANCELED, page.next_after)
        connection.rollback()
    assert found == sorted(canceled, reverse=True)
    assert empty_pages == (ROWS + OPEN_ROWS - 1) // MAX_WALKED_ROWS


def test_pages_of_refunds_list_each_one_once(connection: LimitedConnection) -> None:
    queries = PostgresAdminQueries(RecordingSession(connection))
    page = queries.list_all_refunds(10_000, Status.FAILED)
    found = [refund.id for refund in page.items]
    while page.next_after is not None:
        page = queries.list_all_refunds(10_000, Status.FAILED, page.next_after)
        found += [refund.id for refund in page.items]
    assert found == [build_id(n) for n in range(RELATED_ROWS, 0, -1) if n % 17 == 0]
