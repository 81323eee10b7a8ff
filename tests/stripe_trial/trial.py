"""One trial: requests, faults and kills, then both books side by side."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import psycopg

from processes import PAUSE, Client, System, wait_until
from stripe_rules import DECLINED_SOURCE, Fault, RecordingProxy, Request, compute_net, no_fault

CLIENTS: Final = 4

FAULT_RATE: Final = 0.12
"""Of all requests to Stripe: a payment of two steps meets about one fault in three."""

SLOW_FAULTS: Final = (Fault.REPLY_DELAYED, Fault.SLOW_BODY)
SLOW_SHARE: Final = 0.05
"""Of the faults: each holds a thread for the whole time-out."""

KILL_SECONDS: Final = 4.0

GUARD_SECONDS: Final = 900
"""Bounds each wait; no promise about speed."""

OPEN_ITEMS: Final = """
SELECT (SELECT count(*) FROM payments WHERE phase = 'OPEN')
     + (SELECT count(*) FROM refunds WHERE phase = 'OPEN')
"""

BOOKED: Final = """
SELECT id::text, status,
       CASE WHEN status = 'SUCCESS' THEN coalesce(capture_amount, amount) - coalesce(refunded, 0)
            ELSE 0
       END
  FROM payments
  LEFT JOIN (SELECT payment_id, sum(amount) AS refunded
               FROM refunds WHERE status = 'SUCCESS' GROUP BY payment_id) AS returned
         ON returned.payment_id = payments.id
"""


@dataclass(frozen=True)
class Options:
    payments: int
    seed: int


@dataclass
class RandomFaults:
    """The fault of each request, by chance."""

    random: Random
    injected: Counter[Fault] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Fault | None:
        with self._lock:
            if self.random.random() >= FAULT_RATE:
                return None
            is_slow = self.random.random() < SLOW_SHARE
            quick = [fault for fault in Fault if fault not in SLOW_FAULTS]
            fault = self.random.choice(SLOW_FAULTS if is_slow else quick)
            self.injected[fault] += 1
            return fault


@dataclass
class Trial:
    system: System
    proxy: RecordingProxy
    options: Options
    report: Callable[[str], None]
    kills: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def run(self) -> int:
        self.system.start("api", "worker", "sweeper")
        client = Client(self.system.base_url, self.system.seed()["apiKey"])
        begin = datetime.now(UTC)
        faults = RandomFaults(Random(self.options.seed))
        self.proxy.plan = faults
        with self._kill_at_random(), ThreadPoolExecutor(CLIENTS) as threads:
            list(
                threads.map(lambda number: self._live(client, number), range(self.options.payments))
            )
        self.proxy.plan = no_fault
        self.proxy.released.set()
        self.report(
            f"{self.options.payments} payments, {self.kills} kills,"
            f" {sum(faults.injected.values())} faults: {dict(faults.injected)}"
        )
        self._settle_all(begin)
        problems = [*self._compare_books(), *self._check_reconciliation(begin)]
        for problem in problems:
            self.report(problem)
        self.report("The books agree." if not problems else f"{len(problems)} PROBLEMS")
        return 1 if problems else 0

    def _live(self, client: Client, number: int) -> None:
        """One payment, from its request to its end, as far as faults let it come meanwhile."""
        random = Random(f"{self.options.seed}:{number}")
        kind = random.choice(("charge", "refund", "refund", "capture", "cancel", "decline"))
        amount = random.randrange(100, 10_000)
        source = DECLINED_SOURCE if kind == "decline" else "pm_card_visa"
        is_held = kind in ("capture", "cancel")
        order = {"amount": amount, "currency": "USD", "source": source}
        if is_held:
            order["capture"] = "manual"
        accepted = client.request("POST", "/payments", order)
        assert accepted.status == 202, accepted.raw
        id = accepted.data["id"]
        if kind in ("charge", "decline"):
            return
        expected = "AUTHORIZED" if is_held else "SUCCESS"
        wait_until(lambda: client.status(id) in (expected, "FAILED"), GUARD_SECONDS, expected)
        part = random.randrange(1, amount + 1)
        path, body = {
            "capture": ("capture", {"amount": part}),
            "cancel": ("cancel", {}),
            "refund": ("refunds", {"amount": part}),
        }[kind]
        answer = client.request("POST", f"/payments/{id}/{path}", body)
        assert answer.status in (200, 202, 409), answer.raw

    @contextmanager
    def _kill_at_random(self) -> Iterator[None]:
        random, end = Random(self.options.seed), threading.Event()

        def kill() -> None:
            while not end.wait(KILL_SECONDS):
                name = random.choice(("worker", "sweeper"))
                self.system.kill(name)
                self.system.spawn(name)
                self.kills += 1

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _settle_all(self, begin: datetime) -> None:
        """What waits for the end of a long pause is made due by the reconciliation."""

        def is_settled() -> bool:
            if not self.system.query_number(OPEN_ITEMS):
                return True
            self._reconcile(begin, "--apply")
            return False

        wait_until(is_settled, GUARD_SECONDS, "everything is settled")

    def _compare_books(self) -> Sequence[str]:
        with psycopg.connect(self.system.environ["DATABASE_URL"]) as connection:
            rows = connection.execute(BOOKED).fetchall()
        self.statuses.update(status for _, status, _ in rows)
        problems: list[str] = []
        there_in_all = 0
        for id, status, here in rows:
            there = sum(compute_net(intent) for intent in self.proxy.find_intents(id))
            there_in_all += there
            if there != here:
                problems.append(f"{id} is {status}: {here} here, {there} at Stripe")
        self.report(f"{dict(self.statuses)}; {there_in_all} minor units at Stripe")
        if not self.system.is_ledger_clean():
            problems.append("atomic verify finds faults")
        return problems

    def _check_reconciliation(self, begin: datetime) -> Sequence[str]:
        report = self._reconcile(begin)
        self.report(f"reconciliation: {report['lines']} lines, {report['matched']} matched")
        problems = [] if report["clean"] else [f"not reconciled: {report['differences'][:5]}"]
        [paid] = [
            intent
            for intent in self.proxy.list_all("payment_intents")
            if intent["status"] == "succeeded" and compute_net(intent) > 1
        ][:1]
        self.proxy.ask("POST", "/v1/refunds", payment_intent=paid["id"], amount=1)
        found = self._reconcile(begin)
        named = [difference["reference"] for difference in found["differences"]]
        if named != [paid["id"]]:
            problems.append(f"one cent less of {paid['id']} is reported as {named}")
        return problems

    def _reconcile(self, begin: datetime, *options: str) -> Mapping[str, Any]:
        # Stripe counts whole seconds: the present one has to be over.
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        while datetime.now(UTC) <= end:
            PAUSE.wait(0.05)
        period = ("--from", begin.isoformat(), "--to", end.isoformat())
        done = self.system.atomic(
            "reconcile", "stripe", *period, "--json", *options, within=GUARD_SECONDS
        )
        assert done.returncode in (0, 1), done.stderr
        assert done.stdout, done.stderr
        return json.loads(done.stdout)
