"""The system accounts of a currency are opened once on its first use, also when several processes
use it at the same moment."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.money import CURRENCY_EXPONENTS
from atomic_core.domain.payments import Status
from processes import as_application
from support import DEPTH, Store, add_merchant, build_application

ACTIONS: Final = ("open_account", "accept", "accept", "batch", "set_fees", "open_worlds")
"""Every action that opens the accounts of a currency, each in its own process."""

ROUNDS: Final = 15 * DEPTH

CODES: Final = sorted(CURRENCY_EXPONENTS)[: 2 * ROUNDS]

# For each command, performs its action for a pair of currencies, or settles; prints the outcome.
USER = """
import sys
from uuid import UUID
from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from atomic_core.use_cases.ledger import NewAccount

environ = {"DATABASE_URL": sys.argv[1], "REDIS_URL": "redis://localhost:1", "LOG_LEVEL": "critical"}
settings = Settings.from_environ(environ)
configure_logging(settings)
application = build_application(settings)
thing, merchant_id = sys.argv[2], UUID(sys.argv[3])

def order(code):
    return NewPayment(merchant_id, Money(7, code), "tok_visa")

def batch(*codes):
    items = [BatchItem(order(code)) for code in reversed(codes)]
    rendered = lambda *_: StoredResponse(202, b"")
    with application.payments.create_batch.begin() as work:
        application.payments.create_batch.execute(work, PaymentBatch(merchant_id, items, rendered))
        work.commit()

def each(do):
    return lambda *codes: [do(code) for code in codes]

things = {
    "open_account": each(
        lambda code: application.accounts.open(NewAccount(merchant_id, "S", code))
    ),
    "accept": each(lambda code: application.payments.record(order(code))),
    "batch": batch,
    "set_fees": each(lambda code: application.fees.set(merchant_id, code, FeeTerms(0, 1))),
    "open_worlds": lambda *codes: application.accounts.open_system_accounts(codes),
    "settle": application.settlement.settle,
}
application.api_keys.list(merchant_id)
print("ready", flush=True)
for line in sys.stdin:
    command, *codes = line.split()
    try:
        things[thing if command == "use" else command](*codes)
        print("done", flush=True)
    except AtomicError as error:
        print(repr(error), error.__cause__, flush=True)
"""


class Users:
    """Processes that receive a command at the same moment."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def answers(self) -> list[str]:
        streams = [process.stdout for process in self.processes]
        return [stream.readline().strip() for stream in streams if stream]

    def tell(self, line: str) -> None:
        for process in self.processes:
            assert process.stdin
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        assert self.answers() == ["done"] * len(self.processes)


@pytest.fixture
def merchants(postgres_store: Store) -> list[UUID]:
    return [add_merchant(postgres_store.begin, thing) for thing in ACTIONS]


@pytest.fixture
def users(database_url: str, merchants: list[UUID]) -> Iterator[Users]:
    root = Path(__file__).parents[2]
    with ExitStack() as running:
        processes: list[subprocess.Popen[str]] = []
        for thing, merchant_id in zip(ACTIONS, merchants, strict=True):
            command = [
                sys.executable,
                "-c",
                USER,
                as_application(database_url),
                thing,
                str(merchant_id),
            ]
            process = subprocess.Popen(
                command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            running.enter_context(process)
            running.callback(process.kill)
            processes.append(process)
        users = Users(processes)
        assert users.answers() == ["ready"] * len(ACTIONS)
        yield users


def test_first_use_of_a_currency_by_concurrent_processes_opens_one_account(
    users: Users, postgres_store: Store
) -> None:
    for place in range(0, len(CODES), 2):
        users.tell(f"use {CODES[place]} {CODES[place + 1]}")
        users.tell("settle")
    application = build_application(postgres_store.begin)
    house = application.admin.get_system_accounts()
    assert list(house) == CODES
    payers = ACTIONS.count("accept") + ACTIONS.count("batch")
    for code, own in house.items():
        assert own.world
        assert own.fees
        assert (own.world.id, own.fees.id) == (world_account_id(code), fee_account_id(code))
        assert own.world.balance == -7 * payers
    opened = Counter(
        (account.merchant_id, account.currency)
        for account in application.admin.list_accounts(1_000)
    )
    assert set(opened.values()) == {1}, "a merchant's first payments open one account"
    payments = application.admin.list_payments(1_000).items
    assert len(payments) == payers * len(CODES)
    assert {payment.status for payment in payments} == {Status.SUCCESS}
    assert application.ledger.verify().is_clean
