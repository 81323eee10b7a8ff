"""One trial: requests, events, disputes, faults and kills, then both books side by side."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import uuid4

import psycopg
import stripe

from processes import PAUSE, Client, Reply, System
from stripe_rules import DECLINED_SOURCE, Fault, RecordingProxy, Request, compute_net, no_fault

CLIENTS: Final = 48
"""Most of them wait for a step of their payment."""

EVENT_SECRET: Final = "whsec_" + "5e" * 16

KINDS: Final = (
    *("charge", "refund", "refund", "capture", "cancel", "decline"),
    *("dispute won", "dispute lost", "dispute accepted", "dispute during refund"),
)

FAULT_RATE: Final = 0.12
"""Of all requests to Stripe: a payment of two steps meets about one fault in three."""

SLOW_FAULTS: Final = (Fault.REPLY_DELAYED, Fault.SLOW_BODY)
SLOW_SHARE: Final = 0.05
"""Of the faults: each holds a thread for the whole time-out."""

KILL_SECONDS: Final = 8.0
"""A process takes up to three seconds to start."""

APPLY_SECONDS: Final = 240
"""Between two reconciliations that make due what is in doubt: a refund that Stripe does not have
counts as never made three minutes after it was last sent."""

PROGRESS: Final = 1_000
"""Payments between two lines."""

GUARD_SECONDS: Final = 1_800
"""Bounds each wait; no promise about speed."""

OPEN_ITEMS: Final = """
SELECT (SELECT count(*) FROM payments WHERE phase = 'OPEN')
     + (SELECT count(*) FROM refunds WHERE phase = 'OPEN')
     + (SELECT count(*) FROM network_events WHERE due_at IS NOT NULL)
     + (SELECT count(*) FROM disputes WHERE pending_response IS NOT NULL)
"""

OPEN_DISPUTES: Final = "SELECT count(*) FROM disputes WHERE closed_at IS NULL"

BOOKED: Final = """
SELECT id::text, status,
       CASE WHEN status = 'SUCCESS' THEN coalesce(capture_amount, amount) - coalesce(refunded, 0)
                                         - coalesce(disputed, 0)
            ELSE 0
       END::bigint
  FROM payments
  LEFT JOIN (SELECT payment_id, sum(amount) AS refunded
               FROM refunds WHERE status = 'SUCCESS' GROUP BY payment_id) AS returned
         ON returned.payment_id = payments.id
  LEFT JOIN (SELECT payment_id, sum(CASE status WHEN 'WON' THEN fee - fee_returned
                                                ELSE amount + fee
                                    END) AS disputed
               FROM disputes GROUP BY payment_id) AS withdrawn
         ON withdrawn.payment_id = payments.id
"""

WORLD: Final = """
SELECT -balance FROM accounts WHERE merchant_id IS NULL AND type = 'asset' AND currency = 'USD'
"""

OTHERS: Final = """
SELECT sum(balance)::bigint FROM accounts
 WHERE (merchant_id IS NOT NULL OR type <> 'asset') AND currency = 'USD'
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
    events: int = 0
    answers: list[tuple[str, str]] = field(default_factory=list)
    """Payments whose disputes are answered, and how: `evidence` or `accept`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
            list(threads.map(lambda answer: self._answer_dispute(client, *answer), self.answers))
        self.proxy.plan = no_fault
        self.proxy.released.set()
        self.report(
            f"{self.options.payments} payments, {self.kills} kills, {self.events} events,"
            f" {sum(faults.injected.values())} faults: {dict(faults.injected)}"
        )
        self._settle_all(begin)
        self._decide_disputes(client, begin)
        problems = [*self._compare_books(), *self._check_reconciliation(begin)]
        for problem in problems:
            self.report(problem)
        self.report("The books agree." if not problems else f"{len(problems)} PROBLEMS")
        return 1 if problems else 0

    def _live(self, client: Client, number: int) -> None:
        """One payment, from its request to its end, as far as faults let it come meanwhile."""
        if number % PROGRESS == PROGRESS - 1:
            self.report(f"{number + 1} payments, {self.kills} kills")
        random = Random(f"{self.options.seed}:{number}")
        kind = random.choice(KINDS)
        amount = random.randrange(100, 10_000)
        source = DECLINED_SOURCE if kind == "decline" else "pm_card_visa"
        is_held = kind in ("capture", "cancel")
        order = {"amount": amount, "currency": "USD", "source": source}
        if is_held:
            order["capture"] = "manual"
        accepted = post(client, "/payments", order)
        assert accepted.status == 202, accepted.raw
        id = accepted.data["id"]
        if kind in ("charge", "decline"):
            return
        expected = "AUTHORIZED" if is_held else "SUCCESS"
        ends = (expected, "FAILED")
        wait_for(lambda: get_payment(client, id)["status"] in ends, f"{id} is {expected}")
        if kind.startswith("dispute"):
            self._dispute(client, id, kind, random)
            return
        part = random.randrange(1, amount + 1)
        path, body = {
            "capture": ("capture", {"amount": part}),
            "cancel": ("cancel", {}),
            "refund": ("refunds", {"amount": part}),
        }[kind]
        answer = post(client, f"/payments/{id}/{path}", body)
        assert answer.status in (200, 202, 409), answer.raw

    def _dispute(self, client: Client, id: str, kind: str, random: Random) -> None:
        """Dispute what is left of the payment."""
        payment = get_payment(client, id)
        if payment["status"] != "SUCCESS":
            return
        if kind == "dispute during refund":
            part = random.randrange(1, payment["amount"] + 1)
            answer = post(client, f"/payments/{id}/refunds", {"amount": part})
            assert answer.status == 202, answer.raw
        dispute = self.proxy.open_dispute(payment["networkReference"])
        if dispute is None:
            return
        self._send_event(client, "created", dispute, random)
        self._send_event(client, "funds_withdrawn", dispute, random)
        if kind in ("dispute won", "dispute accepted"):
            self.answers.append((id, "evidence" if kind == "dispute won" else "accept"))

    def _answer_dispute(self, client: Client, payment_id: str, answer: str) -> None:
        def list_disputes() -> Any:
            return get(client, f"/disputes?paymentId={payment_id}")["items"]

        [dispute] = wait_for(list_disputes, f"the dispute of {payment_id} is recorded")
        body = {"explanation": "It was delivered."} if answer == "evidence" else None
        accepted = post(client, f"/disputes/{dispute['id']}/{answer}", body)
        assert accepted.status == 202, accepted.raw

    def _send_event(self, client: Client, type: str, dispute: Any, random: Random) -> None:
        """As Stripe does: again until it is accepted, and sometimes once more."""
        with self._lock:
            self.events += 1
            id = f"evt_{self.events}"
        content = {"id": id, "type": f"charge.dispute.{type}", "data": {"object": dispute}}
        body = json.dumps({**content, "object": "event"})
        for _ in range(random.choice((1, 1, 2))):
            header = stripe.WebhookSignature.generate_signature_header(
                body, EVENT_SECRET, int(time.time())
            )
            answer = post(client, "/networks/stripe/events", body.encode(), Stripe_Signature=header)
            assert answer.status == 200, answer.raw

    def _decide_disputes(self, client: Client, begin: datetime) -> None:
        """The banks decide: what was contested is won, what was not answered is lost."""
        random = Random(self.options.seed)
        for dispute in list(self.proxy.disputes.documents.values()):
            if dispute["status"] in ("won", "lost"):
                continue
            is_contested = dispute["status"] == "under_review"
            decided = self.proxy.disputes.decide(dispute["id"], "won" if is_contested else "lost")
            self._send_event(client, "closed", decided, random)
        self._settle_all(begin)
        wait_for(lambda: not self.system.query_number(OPEN_DISPUTES), "all disputes are closed")

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

        next_apply = time.monotonic()

        def is_settled() -> bool:
            nonlocal next_apply
            if not self.system.query_number(OPEN_ITEMS):
                return True
            if time.monotonic() >= next_apply:
                self._reconcile(begin, "--apply")
                next_apply = time.monotonic() + APPLY_SECONDS
            return False

        wait_for(is_settled, "everything is settled")

    def _compare_books(self) -> Sequence[str]:
        with psycopg.connect(self.system.environ["DATABASE_URL"]) as connection:
            rows = connection.execute(BOOKED).fetchall()
        self.statuses.update(status for _, status, _ in rows)
        problems: list[str] = []
        intents: dict[str, list[Any]] = defaultdict(list)
        for intent in self.proxy.list_all("payment_intents"):
            intents[intent["metadata"]["atomic_payment"]].append(intent)
        there_in_all = 0
        moved = sum(line["amount"] - line["fee"] for line in self.proxy.list_lines())
        for id, status, here in rows:
            there = sum(self._measure(intent) for intent in intents[id])
            there_in_all += there
            if there != here:
                problems.append(f"{id} is {status}: {here} here, {there} at Stripe")
        world, others = self.system.query_number(WORLD), self.system.query_number(OTHERS)
        self.report(
            f"{dict(self.statuses)}; {self._count_disputes()};"
            f" balance transactions {moved}, payments at Stripe {there_in_all}, World owes {world},"
            f" all other accounts {others} minor units"
        )
        if len({moved, there_in_all, world, others}) != 1:
            problems.append("the totals differ")
        left_open = self.system.atomic("payments", "in-doubt", "--totals", "--json")
        if json.loads(left_open.stdout)["totals"]:
            problems.append(f"open steps: {left_open.stdout}")
        if not self.system.is_ledger_clean():
            problems.append("atomic verify finds faults")
        return problems

    def _measure(self, intent: Any) -> int:
        return compute_net(intent) + self.proxy.disputes.compute_net(intent["id"])

    def _count_disputes(self) -> str:
        statuses = [one["status"] for one in self.proxy.disputes.documents.values()]
        return f"{len(statuses)} disputes: {dict(Counter(statuses))}"

    def _check_reconciliation(self, begin: datetime) -> Sequence[str]:
        report = self._reconcile(begin)
        self.report(f"reconciliation: {report['lines']} lines, {report['matched']} matched")
        problems = [] if report["clean"] else [f"not reconciled: {report['differences'][:5]}"]
        [paid] = [
            intent
            for intent in self.proxy.list_all("payment_intents")
            if intent["status"] == "succeeded"
            and compute_net(intent) > 1
            and not self.proxy.disputes.list_of(intent["id"])
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


def post(client: Client, path: str, body: object, **headers: str) -> Reply:
    """Again while the API is too busy, as a client does."""
    headers = {"Idempotency_Key": str(uuid4()), **headers}
    return wait_for(lambda: unless_busy(client.request("POST", path, body, **headers)), path)


def get(client: Client, path: str) -> Any:
    return wait_for(lambda: unless_busy(client.request("GET", path)), path).data


def get_payment(client: Client, id: str) -> Any:
    return get(client, f"/payments/{id}")["payment"]


def unless_busy(reply: Reply) -> Reply | None:
    return None if reply.status == 503 else reply


def wait_for(condition: Callable[[], Any], description: str) -> Any:
    """What it returns once that is true. Asks less often than wait_until: many clients wait."""
    end = time.monotonic() + GUARD_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {GUARD_SECONDS} s: {description}"
        PAUSE.wait(0.5)
    return found
