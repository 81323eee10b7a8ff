"""The reference for settling: a double entry of seven statements per payment, with pgbench."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from bench.measurement import BenchError
from bench.servers import Ground, Subject

CLIENTS: Final = 8
"""As many as the script multiplies by."""

MOST_PER_SECOND: Final = 20_000
"""Payments laid out for each second: more than there are round trips for."""

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

BOOKED: Final = """
SELECT (SELECT count(*) FROM reference.orders WHERE status = 'SUCCESS'),
       (SELECT sum(balance) FROM reference.accounts)
"""


@dataclass(frozen=True, slots=True)
class PgBench:
    program: Path
    url: str

    @classmethod
    def on(cls, ground: Ground, subject: Subject) -> "PgBench":
        with subject.connect() as connection:
            connection.execute(TABLES)
        return cls(ground.postgres.tool("pgbench"), subject.url)

    def run(self, seconds: int) -> float:
        """Payments settled per second. Raises BenchError if they were not."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("TRUNCATE reference.orders")
            connection.execute(
                "INSERT INTO reference.orders (id, status)"
                " SELECT n, 'PENDING' FROM generate_series(1, %s) AS n",
                (MOST_PER_SECOND * seconds,),
            )
            rate, done = self._drive(seconds)
            booked = connection.execute(BOOKED).fetchone()
        if booked != (done, 0):
            raise BenchError(f"pgbench claims {done} payments, the tables (paid, sum) {booked}")
        return rate

    def _drive(self, seconds: int) -> tuple[float, int]:
        command = [self.program, "-n", "-M", "prepared", f"-c{CLIENTS}", "-j2", f"-T{seconds}"]
        command += ["-D", "n=0", "-f", SCRIPT, self.url]
        told = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        rate = re.search(r"tps = ([\d.]+)", told.stdout)
        done = re.search(r"actually processed: (\d+)", told.stdout)
        if told.returncode or rate is None or done is None:
            raise BenchError(f"pgbench said: {told.stderr.strip() or told.stdout.strip()}")
        return float(rate[1]), int(done[1])
