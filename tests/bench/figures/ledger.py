"""Ledger transactions per second that debit one busy account, alone and in batches, beside pgledger
on the same server."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application
from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.journal import NewJournalTransaction
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment
from atomic_core.domain.posting import Leg
from atomic_core.use_cases.journal_batches import TransactionBatch
from atomic_core.use_cases.ledger import NewAccount
from bench.figures.accept import check_recorded, format_latencies
from bench.measurement import BenchError, Measurement, Target, alternate
from bench.merchants import CURRENCY
from bench.options import Sizes
from bench.pgledger import PgLedger
from bench.servers import BenchCluster, SystemUnderTest
from bench.wrk import Load, Request, drive

PATH: Final = "/api/v1/ledger/transactions"
CONNECTIONS: Final = 8
PARTNERS: Final = 10
"""Accounts that are credited in turn."""
BATCH: Final = 500
FUNDS: Final = 10**15

TARGET: Final = Target(1.5)

COUNT: Final = "SELECT count(*) FROM journal_transactions"


@dataclass(frozen=True, slots=True)
class _Books:
    """A merchant whose first account is the busy one."""

    system: SystemUnderTest
    application: Application
    merchant_id: UUID
    api_key: str
    account_ids: Sequence[UUID]

    @classmethod
    def create(cls, system: SystemUnderTest) -> "_Books":
        application = build_application(Settings.from_environ(system.api.environ))
        merchant = application.merchants.add("Merchant")
        key = application.api_keys.issue(merchant.id, "bench").raw
        application.accounts.open_system_accounts([CURRENCY])
        ids = [
            application.accounts.open(NewAccount(merchant.id, "Account", CURRENCY)).id
            for _ in range(PARTNERS + 1)
        ]
        application.payments.record(NewPayment(merchant.id, Money(FUNDS, CURRENCY), "tok_visa"))
        application.settlement.settle()
        if application.accounts.get(merchant.id, ids[0]).balance != FUNDS:
            raise BenchError("the busy account has no money")
        return cls(system, application, merchant.id, key, ids)

    def build_transfer(self, number: int) -> NewJournalTransaction:
        target = self.account_ids[1 + number % PARTNERS]
        return NewJournalTransaction(
            self.merchant_id, (Leg(self.account_ids[0], -1), Leg(target, 1))
        )

    def build_body(self, number: int) -> dict[str, object]:
        legs = self.build_transfer(number).entries
        return {"entries": [{"accountId": str(id), "amount": amount} for id, amount in legs]}

    def count(self) -> int:
        with self.system.connect() as connection:
            row = connection.execute(COUNT).fetchone()
        assert row
        return row[0]


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    reference = PgLedger.create(cluster, PARTNERS, CONNECTIONS)
    system = cluster.create_system("ledger")
    books = _Books.create(system)
    system.api.start("api")
    seconds = sizes.load_seconds
    bodies = [books.build_body(number) for number in range(PARTNERS)]
    singles = list[Load]()
    singles_http, in_process, transfers = alternate(
        sizes.repeats,
        lambda: _drive(books, PATH, bodies, 1, seconds, singles),
        lambda: _call(books, lambda number: _post(books, number), 1, seconds),
        lambda: reference.run_transfers(seconds),
    )
    batch = {"transactions": [books.build_body(number) for number in range(BATCH)]}
    batches, batches_in_process, arrays = alternate(
        sizes.repeats,
        lambda: _drive(books, f"{PATH}/batch", [batch], BATCH, seconds, []),
        lambda: _call(books, lambda _: _post_batch(books), BATCH, seconds),
        lambda: reference.run_arrays(BATCH, seconds),
    )
    remark = f"reference: pgledger by pgbench, {CONNECTIONS} clients"
    cases = [
        ("one by one, HTTP", singles_http, transfers, format_latencies(singles)),
        ("one by one, no HTTP", in_process, transfers, ""),
        (f"batches of {BATCH}, HTTP", batches, arrays, ""),
        (f"batches of {BATCH}, no HTTP", batches_in_process, arrays, ""),
    ]
    return [
        Measurement(
            figure="ledger",
            case=f"{case}, {CONNECTIONS} at once, one busy account",
            unit="transactions/s",
            values=values,
            references=references,
            target=TARGET,
            remark="; ".join(filter(None, [latencies, remark])),
        )
        for case, values, references, latencies in cases
    ]


def _drive(
    books: _Books,
    path: str,
    bodies: Sequence[object],
    per_request: int,
    seconds: int,
    loads: list[Load],
) -> float:
    """Return the transactions per second, and add the load to `loads`."""
    requests = [Request("POST", path, books.api_key, json.dumps(body)) for body in bodies]
    before = books.count()
    load = drive(books.system.api.base_url, requests, CONNECTIONS, seconds)
    check_recorded(load.requests * per_request, books.count() - before)
    loads.append(load)
    return load.rate * per_request


def _post(books: _Books, number: int) -> None:
    books.application.journal.post_once(
        books.build_transfer(number), None, lambda posted: StoredResponse(201, posted.id.bytes)
    )


def _post_batch(books: _Books) -> None:
    transactions = [books.build_transfer(number) for number in range(BATCH)]
    batch = TransactionBatch(books.merchant_id, transactions)
    outcomes = books.application.journal.post_batch(batch)
    for outcome in outcomes:
        if isinstance(outcome, AtomicError):
            raise outcome


def _call(books: _Books, call: Callable[[int], None], per_call: int, seconds: int) -> float:
    """Return the transactions per second of threads that call the use case in this process."""
    before, started = books.count(), time.monotonic()

    def call_until_the_end(first: int) -> int:
        number = first
        while time.monotonic() < started + seconds:
            call(number)
            number += 1
        return number - first

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        calls = sum(threads.map(call_until_the_end, range(CONNECTIONS)))
    elapsed = time.monotonic() - started
    check_recorded(calls * per_call, books.count() - before)
    return calls * per_call / elapsed
