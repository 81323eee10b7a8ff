"""What a fault has at hand, and how recovery from it is measured."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from fault.cluster import Rig
from fault.http_client import Attempt
from fault.load import Load
from fault.oracle import RETRIED, Answer, Book, Order
from processes import PAUSE, eventually

TAKEN_SECONDS: Final = 15
"""Within which the load brings somebody by any failpoint."""

RECOVERY_SECONDS: Final = 60
"""Beyond which it counts as none."""

POLL_SECONDS: Final = 0.02

STILL_OPEN: Final = "SELECT count(*) FROM payments WHERE phase = 'OPEN'"

ALL_ENDED: Final = """
SELECT NOT EXISTS (SELECT FROM payments WHERE phase IN ('OPEN', 'AUTHORIZED'))
   AND NOT EXISTS (SELECT FROM refunds WHERE phase = 'OPEN')
"""

# Holds are decided on at any time: how long they take says nothing.
OPEN_BEFORE: Final = """
SELECT count(*)
  FROM payments
 WHERE phase = 'OPEN'
   AND capture = 'automatic'
   AND created_at <= %s
   AND source <> %s
"""

SLOWEST_SETTLED: Final = """
SELECT coalesce(max(extract(epoch FROM updated_at - created_at)), 0)::float
  FROM payments
 WHERE created_at BETWEEN %s AND %s
   AND capture = 'automatic'
   AND source <> %s
"""


@dataclass
class Scene:
    """One injection."""

    rig: Rig
    load: Load
    book: Book
    dice: random.Random
    number: int
    patience: float
    """Multiplies every bound on time."""
    begun: float = field(default_factory=time.monotonic)
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    over: float = 0.0
    over_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    missed: list[str] = field(default_factory=list)
    """Bounds besides the recovery time that were not held."""
    remark: str = ""

    def begins(self) -> None:
        """What counts as during the fault begins here, not with the injection."""
        self.begun, self.begun_at = time.monotonic(), datetime.now(UTC)

    def is_over(self) -> None:
        """From here on it is recovery."""
        self.over, self.over_at = time.monotonic(), datetime.now(UTC)

    def at(self, place: str, order: str) -> None:
        """Give an order to whoever reaches a failpoint next, and wait until it is carried out."""
        flags = self.rig.flags
        flags.raise_(place, order)
        try:
            eventually(lambda: flags.is_taken(place), TAKEN_SECONDS, f"somebody reaches {place}")
        finally:
            flags.lower(place)

    def wait(self, seconds: float) -> None:
        """How long a fault lasts is no condition that could be awaited."""
        PAUSE.wait(seconds)

    def bound(self, what: str, value: float, seconds: float) -> None:
        at_most = seconds * self.patience
        if value > at_most:
            self.missed.append(f"{what}: {value:.2f}, at most {at_most:.2f}")

    def attempts(self) -> list[Attempt]:
        """Of all callers since the fault began."""
        return self.load.journal.since(self.begun)

    def slowest_settled(self) -> float:
        """Seconds from acceptance to the end, of the payments accepted during the fault."""
        self._await(lambda connection: self._open_before(connection) == 0, "all is settled")
        return self.ask(SLOWEST_SETTLED, self.begun_at, self.over_at, RETRIED)

    def ask(self, question: Any, *values: object) -> Any:
        """The one value that a query of PostgreSQL itself gives."""
        with self.rig.servers.connect() as connection:
            [(value,)] = connection.execute(question, values)
        return value

    def recovery(self) -> float:
        """Seconds from the end of the fault until whatever was accepted before it is settled,
        and a new payment was accepted and is settled too."""
        probe = self._probe()
        caller = self.load.caller()
        caller.pay(probe, probe.token)
        if probe.answer is not Answer.ACCEPTED:
            return RECOVERY_SECONDS
        self._await(lambda connection: self._open_before(connection) == 0, "all is settled")
        self._await(lambda connection: self._is_settled(connection, probe), "the probe is settled")
        return time.monotonic() - self.over

    def _probe(self) -> Order:
        shop = self.dice.choice(self.rig.shops)
        return Order(f"probe-{self.number}", shop, 1, "USD", "tok_visa")

    def _open_before(self, connection: psycopg.Connection[Any]) -> int:
        [(count,)] = connection.execute(OPEN_BEFORE, (self.over_at, RETRIED))
        return count

    def _is_settled(self, connection: psycopg.Connection[Any], order: Order) -> bool:
        [(is_open,)] = connection.execute(
            "SELECT phase = 'OPEN' FROM payments WHERE id = %s", (order.payment_id,)
        )
        return not is_open

    def _await(self, holds: Callable[[psycopg.Connection[Any]], bool], what: str) -> None:
        """Raises AssertionError if that takes more than RECOVERY_SECONDS."""
        until = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                with self.rig.servers.connect() as connection:
                    eventually(lambda: holds(connection), until - time.monotonic(), what)
            except psycopg.OperationalError:
                # Not back yet, or gone again: a server with a killed backend ends all others.
                assert time.monotonic() < until, f"PostgreSQL is not back: {what}"
                PAUSE.wait(POLL_SECONDS)
            else:
                return
