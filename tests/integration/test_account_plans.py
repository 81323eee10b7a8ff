"""Statements of accounts use indexes, however many accounts there are: a million, half of them of
one merchant."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest

from atomic_adapters.postgres.account_lists import MAX_SORTED_ROWS, list_accounts
from atomic_adapters.postgres.balances import PostgresBalanceRepository
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.ledger import PostgresAccountRepository
from atomic_core.domain.accounts import AccountType
from atomic_core.domain.lists import AccountFilter
from integration.test_lists import Connection, RecordingSession
from support import DEPTH, number_parameters

ROWS: Final = 50_000 * min(DEPTH, 20)
"""A million with DEPTH=20."""

MERCHANT: Final = UUID(int=1)
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)

FILL: Final = f"""
    INSERT INTO accounts (id, merchant_id, name, currency, type, external_id, metadata, min_balance,
                          head, created_at)
    SELECT md5('a' || n)::uuid,
           CASE WHEN n % 2 = 0 THEN '{MERCHANT}'::uuid ELSE md5('m' || n % 1000)::uuid END,
           CASE WHEN n % 1000 = 0 THEN 'tills:' ELSE 'wallets:' END || n, 'USD',
           CASE WHEN n = {ROWS} THEN 'liability' WHEN n % 5000 = 0 THEN 'equity' ELSE 'asset' END,
           'external ' || n,
           jsonb_build_object('tier', CASE WHEN n % 1000 = 0 THEN 'gold' ELSE 'blue' END), NULL, '',
           timestamptz '2026-01-01' + n * interval '1 s'
      FROM generate_series(1, {ROWS}) AS n;
    INSERT INTO account_metadata
    SELECT merchant_id, 'tier', metadata ->> 'tier', created_at, id FROM accounts
"""


@pytest.fixture(scope="module")
def filled(migrated: str, postgres: Any) -> Iterator[Connection]:
    url = postgres.create_database("account_plans", template=migrated)
    with Connection.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in FILL.split(";"):
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
        yield connection


FILTERS: Final[dict[str, AccountFilter]] = {
    "none": AccountFilter(),
    "currency": AccountFilter(currency="USD"),
    "type": AccountFilter(type=AccountType.EQUITY),
    "type and currency": AccountFilter(type=AccountType.ASSET, currency="USD"),
    "external id": AccountFilter(external_id=f"external {ROWS // 2 // 2 * 2}"),
    "small subtree": AccountFilter(prefix="tills"),
    "large subtree": AccountFilter(prefix="wallets"),
    "no subtree": AccountFilter(prefix="none"),
    "rare metadata": AccountFilter(metadata=(("tier", "gold"),)),
    "common metadata": AccountFilter(metadata=(("tier", "blue"),)),
    "created": AccountFilter(created_to=BEGIN + timedelta(seconds=100)),
}


def read_plans(connection: Connection, turn: Any) -> list[dict[str, Any]]:
    """The generic plans, run, of the statements that `turn` sends."""
    session = RecordingSession(connection)
    turn(session)
    plans: list[dict[str, Any]] = []
    with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
        connection.execute("DEALLOCATE ALL")
        connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for place, (statement, parameters) in enumerate(session.statements):
            text, names = number_parameters(statement)
            connection.execute(b"PREPARE it_%d AS %s" % (place, text))
            holes = b", ".join([b"%s"] * len(names))
            explain = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE it_%d (%s)" % (place, holes)
            [row] = cursor.execute(explain, [parameters[name] for name in names]).fetchall()
            explained = row[0] if isinstance(row[0], list) else json.loads(row[0])
            plans.append(explained[0]["Plan"])
    return plans


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def check(plans: list[dict[str, Any]]) -> None:
    assert plans
    for node in (node for plan in plans for node in walk(plan)):
        is_scan = node["Node Type"] == "Seq Scan" and node["Actual Loops"] > 0
        # An empty table, of entries, is planned as a scan.
        assert not (is_scan and node["Relation Name"] in ("accounts", "account_metadata"))
        rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        assert rows * node["Actual Loops"] <= 2 * MAX_SORTED_ROWS


@pytest.mark.parametrize("name", FILTERS)
def test_list_of_accounts_reads_few_rows(filled: Connection, name: str) -> None:
    check(
        read_plans(
            filled, lambda session: list_accounts(session, MERCHANT, FILTERS[name], None, 21)
        )
    )


def test_default_account_is_found_among_many_of_other_types(filled: Connection) -> None:
    def read(session: DatabaseSession) -> None:
        account = PostgresAccountRepository(session).get_default_account(MERCHANT, "USD")
        assert account is not None
        assert account.type == AccountType.LIABILITY

    check(read_plans(filled, read))


def test_external_id_is_found(filled: Connection) -> None:
    check(
        read_plans(
            filled,
            lambda session: PostgresAccountRepository(session).find_by_external_id(
                MERCHANT, "external 2"
            ),
        )
    )


SUBTREES: Final[dict[str, tuple[str | None, int]]] = {
    "small": ("tills", ROWS // 1000),
    "one account": (f"wallets:{ROWS - 2}", 1),
    "none": ("none", 0),
    "large": ("wallets", ROWS // 2 - ROWS // 1000),
    "all": (None, ROWS // 2),
}
"""Prefixes, and how many accounts of the merchant have them."""


@pytest.mark.parametrize("name", SUBTREES)
def test_sum_of_a_subtree_reads_its_accounts_only(filled: Connection, name: str) -> None:
    prefix, count = SUBTREES[name]

    def sum_subtree(session: DatabaseSession) -> None:
        sums = PostgresBalanceRepository(session).sum_subtree(MERCHANT, prefix)
        assert sum(row.accounts for row in sums) == count

    scans = [
        node
        for plan in read_plans(filled, sum_subtree)
        for node in walk(plan)
        if node.get("Relation Name") == "accounts" and node["Actual Loops"] > 0
    ]
    assert sum(_count_read_rows(scan) for scan in scans) == count
    assert "Seq Scan" not in {scan["Node Type"] for scan in scans}


def _count_read_rows(scan: dict[str, Any]) -> int:
    """In all workers, with those that were read in vain."""
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    rows = scan["Actual Rows"] + sum(scan.get(name, 0) for name in removed)
    return rows * scan["Actual Loops"]
