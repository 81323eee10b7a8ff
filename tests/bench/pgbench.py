"""The reference for settlement: pgbench posts a double entry in seven statements per payment."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from bench.measurement import BenchError
from bench.servers import BenchCluster, SystemUnderTest

CLIENTS: Final = 8
"""The factor in the script."""

MAX_PAYMENTS_PER_SECOND: Final = 20_000
"""Payments inserted for each second: more than pgbench can settle."""

SCRIPT: Final = Path(__file__).with_name("pgbench.sql")

TABLES: Final = """
CREATE SCHEMA reference;
-- Room for new row versions on the page, as Atomic's accounts have it.
CREATE TABLE reference.accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)
  WITH (fillfactor = 50);
INSERT INTO reference.accounts SELECT n, 0 FROM generate_series(0, 100) AS n;
CREATE TABLE reference.orders (id bigint PRIMARY KEY, status text NOT NULL,
                               updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE reference.transactions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                                     payment_id bigint NOT NULL, posted_at timestamptz NOT NULL);
CREATE TABLE reference.entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                                transaction_id bigint NOT NULL, account_id bigint NOT NULL,
                                amount bigint NOT NULL);
"""

COUNT_SETTLED: Final = """
SELECT (SELECT count(*) FROM reference.orders WHERE status = 'SUCCESS'),
       (SELECT sum(balance) FROM reference.accounts)
"""


@dataclass(frozen=True, slots=True)
class PgBench:
    program: Path
    url: str

    @classmethod
    def create(cls, cluster: BenchCluster, system: SystemUnderTest) -> "PgBench":
        with system.connect() as connection:
            connection.execute(TABLES)
        return cls(cluster.postgres.tool("pgbench"), system.url)

    def run(self, seconds: int) -> float:
        """Return the payments settled per second. Raises BenchError if the tables do not agree."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("TRUNCATE reference.orders")
            connection.execute(
                "INSERT INTO reference.orders (id, status)"
                " SELECT n, 'PENDING' FROM generate_series(1, %s) AS n",
                (MAX_PAYMENTS_PER_SECOND * seconds,),
            )
            rate, settled_count = self._run_pgbench(seconds)
            row = connection.execute(COUNT_SETTLED).fetchone()
        if row != (settled_count, 0):
            raise BenchError(
                f"pgbench reports {settled_count} payments, the tables have (settled, sum) {row}"
            )
        return rate

    def _run_pgbench(self, seconds: int) -> tuple[float, int]:
        command = [self.program, "-n", "-M", "prepared", f"-c{CLIENTS}", "-j2", f"-T{seconds}"]
        command += ["-D", "n=0", "-f", SCRIPT, self.url]
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        rate = re.search(r"tps = ([\d.]+)", result.stdout)
        count = re.search(r"actually processed: (\d+)", result.stdout)
        if result.returncode or rate is None or count is None:
            raise BenchError(f"pgbench failed: {result.stderr.strip() or result.stdout.strip()}")
        return float(rate[1]), int(count[1])
