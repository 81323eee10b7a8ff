"""How many payments a second one worker settles.

Run `.venv/bin/python tests/bench/settle.py`. Durable servers of its own (fsync on), the real worker
process with default settings, 20,000 waiting payments of 100 merchants that share one World
account; beside it, in the same run on the same server, pgbench inserting single rows.
"""

import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg
from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.redis_connections import Breaker
from atomic_adapters.rq_job_queue import RqJobQueue
from atomic_adapters.settings import Settings
from atomic_core.ports.outside import Job
from processes import System, environment, eventually
from support import IDS, add_merchant, open_account, order

PAYMENTS = 20_000
MERCHANTS = 100
RUNS = 5
PGBENCH_SECONDS = 5

# Asked over and over while the worker is at work, so it must cost next to nothing.
OPEN = "SELECT EXISTS (SELECT FROM payments WHERE status IN ('PENDING', 'PROCESSING'))"
SINGLE_ROW = "INSERT INTO single_rows (number, words) VALUES (1, 'x');\n"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="atomic-bench-"))
    postgres = EmbeddedPostgres.start(folder / "postgres")
    valkey = EmbeddedValkey.start(folder / "valkey")
    try:
        url = postgres.create_database("bench")
        Migrator(url).up()
        system = System(environment(url, valkey.url, LOG_LEVEL="warning"), folder / "log")
        system.start("worker")
        try:
            rates = settle_rates(url, valkey.url)
            verified = system.atomic("verify")
        finally:
            system.stop()
        reference = pgbench(postgres, url, folder)
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder)
    say(f"{platform.machine()}, Python {platform.python_version()}, PostgreSQL 18, fsync on")
    say(f"settle, one worker: {', '.join(f'{rate:,.0f}' for rate in rates)} payments/s")
    median = statistics.median(rates)
    say(f"median {median:,.0f} payments/s")
    say(
        f"pgbench, single-row INSERT, 8 clients: {reference:,.0f}/s; ratio {median / reference:.2f}"
    )
    say(verified.stdout.strip())
    return verified.returncode


def settle_rates(url: str, redis_url: str) -> list[float]:
    store = PostgresStore(Connections(Settings.from_environ({"DATABASE_URL": url})))
    bell = RqJobQueue(Redis.from_url(redis_url), Breaker())
    merchants = [add_merchant(store.begin) for _ in range(MERCHANTS)]
    accounts = {merchant: open_account(store.begin, merchant) for merchant in merchants}
    watcher = psycopg.connect(url, autocommit=True)
    rates: list[float] = []
    for _ in range(RUNS):
        with store.begin() as work:
            for number in range(PAYMENTS):
                merchant = merchants[number % MERCHANTS]
                new = order(merchant, 1 + number % 10_000)
                work.payments.add(IDS.new_id(), accounts[merchant], new)
            work.commit()
        begun = time.monotonic()
        bell.ring(Job.SETTLE)
        eventually(lambda: nothing_is_open(watcher), 60, "everything is settled")
        rates.append(PAYMENTS / (time.monotonic() - begun))
    watcher.close()
    store.close()
    return rates


def nothing_is_open(connection: psycopg.Connection) -> bool:
    return connection.execute(OPEN).fetchone() == (False,)


def pgbench(postgres: EmbeddedPostgres, url: str, folder: Path) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE single_rows"
            " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number int, words text)"
        )
    script = folder / "single_row.sql"
    script.write_text(SINGLE_ROW)
    options = ["-n", "-M", "prepared", "-c8", "-j2", f"-T{PGBENCH_SECONDS}"]
    told = subprocess.run(
        [postgres.tool("pgbench"), *options, "-f", str(script), url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"tps = ([\d.]+)", told)
    if found is None:
        raise ValueError(told)
    return float(found[1])


if __name__ == "__main__":
    raise SystemExit(main())
