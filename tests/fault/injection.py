"""One injection of a fault: what the fault can use, and how recovery is measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import psycopg

from fault.cluster import Cluster
from fault.http_client import Attempt
from fault.load import Load
from fault.network_books import LOSSY_SOURCE
from fault.oracle import Acknowledgement, Oracle, PaymentRequest
from processes import PAUSE, wait_until

FAILPOINT_SECONDS: Final = 60
"""Until the load makes a process reach any failpoint. Only stops a run that hangs."""

STOP_SECONDS: Final = 60
"""Until a process has stopped after SIGTERM. Only stops a run that hangs."""

RECOVERY_SECONDS: Final = 60
"""After this time the system counts as not recovered."""

POLL_SECONDS: Final = 0.02

ALL_SETTLED: Final = """
SELECT NOT EXISTS (SELECT FROM payments WHERE phase IN ('OPEN', 'AUTHORIZED'))
   AND NOT EXISTS (SELECT FROM refunds WHERE phase = 'OPEN')
   AND NOT EXISTS (SELECT FROM journal_transactions WHERE status = 'PENDING')
"""

# Without holds: how long they take depends on when a client captures them.
OPEN_PAYMENTS_CREATED_UNTIL: Final = """
SELECT count(*)
  FROM payments
 WHERE phase = 'OPEN'
   AND capture = 'automatic'
   AND created_at <= %s
   AND source <> %s
"""

SLOWEST_SETTLEMENT: Final = """
SELECT coalesce(max(extract(epoch FROM updated_at - created_at)), 0)::float
  FROM payments
 WHERE created_at BETWEEN %s AND %s
   AND capture = 'automatic'
   AND source <> %s
"""


@dataclass
class Injection:
    cluster: Cluster
    load: Load
    oracle: Oracle
    random: Random
    number: int
    patience: float
    """Multiplies every time bound."""
    started: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: float = 0.0
    ended_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    missed_bounds: list[str] = field(default_factory=list)
    """The time bounds that were missed, apart from the recovery time."""
    remark: str = ""

    def mark_started(self) -> None:
        """The fault starts now, not when its preparation started."""
        self.started, self.started_at = time.monotonic(), datetime.now(UTC)

    def mark_ended(self) -> None:
        """The fault ends and the recovery starts now."""
        self.ended, self.ended_at = time.monotonic(), datetime.now(UTC)

    def trigger(self, failpoint: str, action: str) -> None:
        """Have the next process that reaches the failpoint execute the action; wait until it has
        taken the action."""
        flags = self.cluster.flags
        flags.arm(failpoint, action)
        try:
            wait_until(
                lambda: flags.is_taken(failpoint),
                FAILPOINT_SECONDS,
                f"a process reaches {failpoint}",
            )
        finally:
            flags.disarm(failpoint)

    def wait(self, seconds: float) -> None:
        """Let the fault last: this is not a condition that could be awaited."""
        PAUSE.wait(seconds)

    def check_time_bound(self, description: str, seconds: float, bound_seconds: float) -> None:
        bound = bound_seconds * self.patience
        if seconds > bound:
            self.missed_bounds.append(f"{description}: {seconds:.2f} s, at most {bound:.2f} s")

    def list_attempts(self) -> list[Attempt]:
        """The requests of all clients since the fault started."""
        return self.load.request_log.list_started_since(self.started)

    def measure_slowest_settlement(self) -> float:
        """Return the most seconds from 202 to final status of a payment accepted during the
        fault."""
        self._await_settlement()
        return self.query_value(SLOWEST_SETTLEMENT, self.started_at, self.ended_at, LOSSY_SOURCE)

    def query_value(self, query: Any, *values: object) -> Any:
        """Return the one value of a query, sent to PostgreSQL past the proxy."""
        with self.cluster.servers.connect() as connection:
            [(value,)] = connection.execute(query, values)
        return value

    def measure_recovery(self) -> float:
        """Return the seconds from the end of the fault until all payments accepted before are
        settled and a new payment is accepted and settled."""
        probe = self._build_probe()
        self.load.create_client().create_payment(probe, probe.token)
        if probe.acknowledgement is not Acknowledgement.ACCEPTED:
            return RECOVERY_SECONDS
        self._await_settlement()
        self._await(lambda connection: self._is_settled(connection, probe), "the probe is settled")
        return time.monotonic() - self.ended

    def _build_probe(self) -> PaymentRequest:
        merchant = self.random.choice(self.cluster.merchants)
        return PaymentRequest(f"probe-{self.number}", merchant, 1, "USD", "tok_visa")

    def _await_settlement(self) -> None:
        def is_settled(connection: psycopg.Connection[Any]) -> bool:
            values = (self.ended_at, LOSSY_SOURCE)
            return connection.execute(OPEN_PAYMENTS_CREATED_UNTIL, values).fetchone() == (0,)

        self._await(is_settled, "all payments accepted before are settled")

    def _is_settled(self, connection: psycopg.Connection[Any], request: PaymentRequest) -> bool:
        [(is_open,)] = connection.execute(
            "SELECT phase = 'OPEN' FROM payments WHERE id = %s", (request.payment_id,)
        )
        return not is_open

    def _await(self, holds: Callable[[psycopg.Connection[Any]], bool], description: str) -> None:
        """Raises AssertionError after RECOVERY_SECONDS."""
        until = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                with self.cluster.servers.connect() as connection:
                    wait_until(lambda: holds(connection), until - time.monotonic(), description)
            except psycopg.OperationalError:
                # PostgreSQL is still down, or ends all sessions because a backend was killed.
                assert time.monotonic() < until, f"PostgreSQL is still down: {description}"
                PAUSE.wait(POLL_SECONDS)
            else:
                return
