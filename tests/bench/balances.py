"""`python tests/bench/balances.py [--entries 10000000] [--samples 200]`: fill a ledger, take its
snapshots, and time each query of balances by time through the use cases.

One merchant has 1,000 accounts with journal transactions over 400 days, a twentieth of which take
effect at other times. Another has 1,000 accounts with payments: the first one has half of them.
Triggers and hashes are left out of the filling; answers are compared with sums of entries.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Final
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_adapters.system import SystemIdGenerator
from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.balances import DAY, TimeAxis
from atomic_core.domain.periods import ClosingRequest
from atomic_core.use_cases import balances, explanations, periods
from integration.bulk_load import create_filled_database

ACCOUNTS: Final = 1_000
"""Of each merchant."""

DAYS: Final = 400
BEGIN: Final = datetime(2025, 10, 20, tzinfo=UTC)
END: Final = BEGIN + DAYS * DAY
WORLD: Final = world_account_id("USD")
MERCHANTS: Final = (UUID(int=0xA), UUID(int=0xB))

# Transaction n of the journal debits account n % 1000 and credits account (n + 500) % 1000, so that
# an account is debited and credited in turns. Its number among the entries of an account follows.
LEGS: Final = """
SELECT n, at, shift, side, account, amount, sequence, balance_after
  FROM (SELECT n, timestamptz '{begin}' + n * interval '{step}' AS at, 100 + n / 1000 % 50 AS size,
               CASE WHEN n % 20 = 0 THEN (n % 83 - 60) * interval '1 day' END AS shift
          FROM generate_series(0, {journal} - 1) AS n) AS item
 CROSS JOIN LATERAL (VALUES
     (0, n % 1000, -size, 2 * (n / 1000) + CASE WHEN n % 1000 < 500 THEN 1 ELSE 2 END,
      CASE WHEN n % 1000 < 500 THEN -size ELSE 0 END),
     (1, (n + 500) % 1000, size, 2 * (n / 1000) + CASE WHEN n % 1000 < 500 THEN 1 ELSE 2 END,
      CASE WHEN n % 1000 < 500 THEN size ELSE 0 END)
 ) AS leg (side, account, amount, sequence, balance_after)
"""
FILL: Final = """
SET session_replication_role = replica;
INSERT INTO merchants (id, name) VALUES ('{a}', 'Journal'), ('{b}', 'Payments');
INSERT INTO accounts (id, merchant_id, name, currency, head, created_at)
SELECT (lpad(to_hex(owner), 8, '0') || lpad(to_hex(n), 24, '0'))::uuid,
       lpad(to_hex(owner), 32, '0')::uuid, 'Account', 'USD', sha256(''), '{begin}'
  FROM (VALUES (10), (11)) AS merchant (owner), generate_series(0, 999) AS n;
INSERT INTO accounts (id, name, currency, type, allow_negative, head, created_at)
VALUES ('{world}', 'World USD', 'USD', 'asset', true, sha256(''), '{begin}');
CREATE TEMPORARY TABLE legs AS {legs};
INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
SELECT id, id, 'journal', at
  FROM legs, LATERAL (SELECT ('0000000a' || lpad(to_hex(n), 24, '0'))::uuid AS id) AS ids
 WHERE side = 0;
INSERT INTO journal_transactions (id, merchant_id, status, effective_at, created_at)
SELECT ('0000000a' || lpad(to_hex(n), 24, '0'))::uuid, '{a}', 'POSTED',
       at + coalesce(shift, interval '0'), at
  FROM legs
 WHERE side = 0;
INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
SELECT ('0000000a' || lpad(to_hex(account), 24, '0'))::uuid, sequence,
       ('0000000a' || lpad(to_hex(n), 24, '0'))::uuid, amount, balance_after, sha256('')
  FROM legs;
INSERT INTO effective_shifts (account_id, unit, starts_at, amount)
SELECT ('0000000a' || lpad(to_hex(account), 24, '0'))::uuid, shifted.unit, shifted.starts_at,
       sum(shifted.change)
  FROM legs, shift_rows(amount, at + shift, at) AS shifted
 WHERE shift <> interval '0'
 GROUP BY account, shifted.unit, shifted.starts_at;
INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
SELECT id, id, 'payment', timestamptz '{begin}' + n * interval '{step}'
  FROM generate_series(0, {journal} - 1) AS n,
       LATERAL (SELECT ('0000000b' || lpad(to_hex(n), 24, '0'))::uuid AS id) AS ids;
INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
SELECT account_id, sequence, ('0000000b' || lpad(to_hex(n), 24, '0'))::uuid, amount,
       amount * sequence, sha256('')
  FROM generate_series(0, {journal} - 1) AS n
 CROSS JOIN LATERAL (VALUES
     ('{world}'::uuid, n + 1, -100),
     (('0000000b' || lpad(to_hex(CASE WHEN n % 2 = 0 THEN 0 ELSE 1 + n / 2 % 999 END),
                          24, '0'))::uuid,
      CASE WHEN n % 2 = 0 THEN n / 2 + 1 ELSE n / 2 / 999 + 1 END, 100)
 ) AS leg (account_id, sequence, amount);
"""
FINISH: Final = """
UPDATE accounts AS a
   SET (sequence, balance, last_posted_at) = (
           SELECT e.sequence, e.balance_after, t.posted_at
             FROM entries e
             JOIN ledger_transactions t ON t.id = e.transaction_id
            WHERE e.account_id = a.id
            ORDER BY e.sequence DESC
            LIMIT 1)
 WHERE EXISTS (SELECT FROM entries e WHERE e.account_id = a.id)
"""

SUM: Final = """
SELECT coalesce(sum(e.amount), 0)
  FROM entries e
  JOIN ledger_transactions t ON t.id = e.transaction_id
  LEFT JOIN journal_transactions j ON j.id = t.id AND t.kind = 'journal'
 WHERE e.account_id = %s
   AND CASE %s WHEN 'posted' THEN t.posted_at ELSE coalesce(j.effective_at, t.posted_at) END < %s
"""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def build_account_id(owner: int, number: int) -> UUID:
    return UUID(int=owner << 96 | number)


HOT: Final = build_account_id(0xB, 0)


def choose_moment(random_source: random.Random) -> datetime:
    return BEGIN + random_source.random() * (END - BEGIN)


def fill(server: EmbeddedPostgres, entries: int) -> str:
    server.create_database("template_bench")
    Migrator(server.url("template_bench")).up()
    journal = entries // 4
    step = f"{(END - BEGIN) / journal / timedelta(microseconds=1)} us"
    values = {"begin": BEGIN.isoformat(), "step": step, "journal": journal}
    a, b = MERCHANTS
    script = FILL.format(a=a, b=b, world=WORLD, legs=LEGS.format(**values), **values)
    url = create_filled_database(server, "bench", "template_bench", script)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("SET session_replication_role = replica")
        connection.execute(FINISH)
        connection.execute("VACUUM ANALYZE accounts")
        connection.execute("CHECKPOINT")
    return url


def measure(name: str, samples: int, query: Callable[[random.Random], object]) -> None:
    random_source = random.Random(1)
    for _ in range(10):
        query(random_source)
    times: list[float] = []
    for _ in range(samples):
        started_at = time.perf_counter()
        query(random_source)
        times.append((time.perf_counter() - started_at) * 1000)
    cuts = quantiles(times, n=100)
    say(f"{name:55} p50 {cuts[49]:8.2f} ms  p99 {cuts[98]:8.2f} ms  max {max(times):8.2f} ms")


def compare_with_sums(url: str, store: PostgresStore, samples: int) -> None:
    random_source, get = random.Random(2), balances.GetBalance(store.begin)
    with psycopg.connect(url) as connection:
        for _ in range(samples):
            owner = random_source.choice((0xA, 0xB))
            account_id = build_account_id(owner, 1 + random_source.randrange(999))
            moment, axis = choose_moment(random_source), random_source.choice(list(TimeAxis))
            found = get(UUID(int=owner), account_id, axis, moment).balance
            expected = connection.execute(SUM, (account_id, axis.value, moment)).fetchone()
            assert expected == (found,), (account_id, moment, axis, expected, found)
    say(f"{samples} balances are equal to the sums of their entries")


def measure_all(store: PostgresStore, samples: int) -> None:
    a, b = MERCHANTS
    get, history = balances.GetBalance(store.begin), balances.GetBalanceHistory(store.begin)
    trial = balances.GetTrialBalance(store.begin)
    whole = balances.GetWholeTrialBalance(store.begin)
    explain = explanations.ExplainBalance(store.begin)
    last = (END - DAY).date()
    for axis in TimeAxis:
        measure(
            f"balance, 5,000 entries, {axis}",
            samples,
            lambda r, axis=axis: get(
                a, build_account_id(0xA, r.randrange(1000)), axis, choose_moment(r)
            ),
        )
        measure(
            f"balance, 1,250,000 entries, {axis}",
            samples,
            lambda r, axis=axis: get(b, HOT, axis, choose_moment(r)),
        )
        measure(
            f"history of 366 days, 5,000 entries, {axis}",
            samples,
            lambda r, axis=axis: history(
                a, build_account_id(0xA, r.randrange(1000)), axis, last - 365 * DAY, last
            ),
        )
        measure(
            f"history of 366 days, 1,250,000 entries, {axis}",
            samples,
            lambda _, axis=axis: history(b, HOT, axis, last - 365 * DAY, last),
        )
        measure(
            f"trial balance of 1,000 accounts, any time, {axis}",
            samples,
            lambda r, axis=axis: trial(a, axis, choose_moment(r)),
        )
        measure(
            f"trial balance of 1,000 accounts, end of a day, {axis}",
            samples,
            lambda r, axis=axis: trial(a, axis, BEGIN + r.randrange(1, DAYS) * DAY),
        )
        measure(
            f"trial balance of all 2,001 accounts, any time, {axis}",
            samples,
            lambda r, axis=axis: whole(axis, choose_moment(r)),
        )

    def explain_month(account_id: UUID, merchant_id: UUID, r: random.Random) -> object:
        begin = BEGIN + r.randrange(DAYS - 31) * DAY
        return explain(merchant_id, account_id, begin, begin + 30 * DAY, None, 20)

    measure(
        "explain 30 days, 5,000 entries",
        samples,
        lambda r: explain_month(build_account_id(0xA, r.randrange(1000)), a, r),
    )
    measure("explain 30 days, 1,250,000 entries", 20, lambda r: explain_month(HOT, b, r))
    close = periods.ClosePeriod(store.begin, SystemIdGenerator())
    for month in range(1, 4):
        started_at = time.perf_counter()
        close(ClosingRequest(a, (BEGIN + 30 * month * DAY).date()))
        say(f"close a period of 1,000 accounts: {(time.perf_counter() - started_at) * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--data", type=Path, help="An empty cluster; one is created by default.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atomic-") as folder:
        data = options.data or Path(folder) / "postgres"
        server = EmbeddedPostgres.start(data, durable=False)
        try:
            started_at = time.perf_counter()
            url = fill(server, options.entries)
            say(f"{options.entries} entries filled in {time.perf_counter() - started_at:.0f} s")
            environ = {"ATOMIC_ENV": "test", "DATABASE_URL": url}
            store = PostgresStore(Connections(Settings.from_environ(environ)))
            take_snapshots, taken = balances.TakeSnapshots(store.begin), 0
            started_at = time.perf_counter()
            while count := take_snapshots():
                taken += count
            say(f"{taken} snapshots taken in {time.perf_counter() - started_at:.0f} s")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE balance_snapshots")
            compare_with_sums(url, store, 100)
            measure_all(store, options.samples)
            store.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
