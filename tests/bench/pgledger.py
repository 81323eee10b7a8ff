"""The reference for ledger transactions: pgledger's functions, called by pgbench.

Its SQL is not part of this repository: `--pgledger` names a file with it, and with what it needs.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from bench.measurement import BenchError, FeatureMissing
from bench.servers import BenchCluster

TRANSFER: Final = """\
\\set number random(1, {partners})
SELECT id FROM pgledger_create_transfer('{hot}', (ARRAY[{others}])[:number], 1);
"""

ARRAY: Final = """\
SELECT count(*) FROM pgledger_create_transfers((
    SELECT array_agg(('{hot}', (ARRAY[{others}])[1 + n % {partners}], 1)::transfer_request)
      FROM generate_series(1, {count}) AS n));
"""

CREATE_ACCOUNT: Final = "SELECT id FROM pgledger_create_account(%s, 'USD')"

COUNT: Final = """
SELECT (SELECT count(*) FROM pgledger_transfers),
       (SELECT -balance FROM pgledger_accounts WHERE id = %s)
"""


@dataclass(frozen=True, slots=True)
class PgLedger:
    program: Path
    url: str
    folder: Path
    account_ids: Sequence[str]
    """The first is the busy one."""
    clients: int

    @classmethod
    def create(cls, cluster: BenchCluster, partners: int, clients: int) -> "PgLedger":
        """In a database of its own on the server of the run. Raises FeatureMissing without its
        SQL."""
        if cluster.pgledger is None:
            raise FeatureMissing("--pgledger names no file with its SQL")
        url = cluster.postgres.create_database("pgledger")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(cluster.pgledger.read_bytes())
            rows = [connection.execute(CREATE_ACCOUNT, [str(n)]) for n in range(partners + 1)]
            ids = [id for row in rows for (id,) in row]
        return cls(cluster.postgres.tool("pgbench"), url, cluster.folder, ids, clients)

    def run_transfers(self, seconds: int) -> float:
        """Return the transfers per second, one per call."""
        return self._run(TRANSFER, seconds, 1)

    def run_arrays(self, count: int, seconds: int) -> float:
        """The same with so many per call."""
        return self._run(ARRAY, seconds, count)

    def _run(self, script: str, seconds: int, per_call: int) -> float:
        file = self.folder / "pgledger-bench.sql"
        hot, *others = self.account_ids
        quoted = ", ".join(f"'{id}'" for id in others)
        file.write_text(script.format(hot=hot, others=quoted, partners=len(others), count=per_call))
        before = self._count()
        command: Sequence[str | Path] = [
            *(self.program, "-n", "-M", "prepared", f"-c{self.clients}", "-j2", f"-T{seconds}"),
            *("-f", file, self.url),
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        rate = re.search(r"tps = ([\d.]+)", result.stdout)
        calls = re.search(r"actually processed: (\d+)", result.stdout)
        if result.returncode or rate is None or calls is None:
            raise BenchError(f"pgbench failed: {result.stderr.strip() or result.stdout.strip()}")
        if self._count() - before != int(calls[1]) * per_call:
            raise BenchError("pgledger has other transfers than pgbench reports")
        return float(rate[1]) * per_call

    def _count(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(COUNT, [self.account_ids[0]]).fetchone()
        if row is None or row[0] != row[1]:
            raise BenchError("the transfers of pgledger do not add up to its balance")
        return row[0]
