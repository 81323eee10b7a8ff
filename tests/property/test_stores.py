"""The same life on both stores gives the same answers, whatever is asked in whatever order."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar
from uuid import UUID, uuid5

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from atomic_adapters.memory import MemoryStore
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_adapters.system import SystemClock
from atomic_core.application import Application
from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import NewPayment, Payment
from atomic_core.ports.unit_of_work import Begin
from atomic_core.use_cases.idempotency import Answer
from atomic_core.use_cases.ledger import NewAccount
from conftest import EMPTY
from support import HOUR, NOW, application_over, request_for

NAMESPACE = UUID(int=77)
STRANGER = UUID(int=9)
MERCHANTS = [UUID(int=1), UUID(int=2), STRANGER]

merchants = st.sampled_from(MERCHANTS)
currencies = st.sampled_from(["USD", "EUR"])
# The large ones overflow an account's balance after one or two.
amounts = st.sampled_from([1, 250, MAX_AMOUNT - 251, MAX_AMOUNT])
tokens = st.sampled_from(["tok_visa", "tok_visa", "tok_chargeDeclined"])
keys = st.sampled_from(["k1", "k2"])
fingerprints = st.sampled_from([bytes(32), bytes([1]) * 32])


class CountingIds:
    """The same ids in the same order for both applications."""

    def __init__(self) -> None:
        self.count = 0

    def new_id(self) -> UUID:
        self.count += 1
        return uuid5(NAMESPACE, str(self.count))

    def new_secret(self) -> str:
        return f"{self.count:048x}"


def application(begin: Begin) -> Application:
    # Small batches, so that a life crosses their borders; leases that end at once.
    made = application_over(begin, batch_size=3, lease=NOW)
    ids = CountingIds()
    return replace(
        made,
        accept_payment=replace(made.accept_payment, ids=ids),
        settle_payments=replace(made.settle_payments, ids=ids),
        open_account=replace(made.open_account, ids=ids),
    )


def outcome(action: Callable[[], object]) -> object:
    """What a call came to, without the stores' own clocks."""
    try:
        result = action()
    except AtomicError as error:
        return type(error)
    if isinstance(result, Payment):
        return (result.id, result.account_id, result.status, result.failure_reason)
    if isinstance(result, Account):
        return (result.id, result.name, result.balance, result.sequence)
    return result


class Life(RuleBasedStateMachine):
    database_url: ClassVar[str]
    postgres: ClassVar[PostgresStore]

    @initialize()
    def begin(self) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(EMPTY)
        memory = MemoryStore(SystemClock())
        self.applications = [application(memory.begin), application(self.postgres.begin)]
        self.payments: list[tuple[UUID, UUID]] = []
        self.accounts: list[tuple[UUID, UUID]] = []
        for id in MERCHANTS[:-1]:
            self.both(lambda app, id=id: app.add_merchant("Shop", id).id)

    def both(self, ask: Callable[[Application], object]) -> object:
        in_memory, in_postgres = (outcome(lambda a=app: ask(a)) for app in self.applications)
        assert in_memory == in_postgres
        return in_memory

    @rule(merchant=merchants, currency=currencies)
    def open_account(self, merchant: UUID, currency: str) -> None:
        order = NewAccount(merchant, "Another", currency)
        opened = self.both(lambda app: app.open_account(order))
        if isinstance(opened, tuple):
            self.accounts.append((merchant, opened[0]))

    @rule(merchant=merchants, currency=currencies, amount=amounts, token=tokens)
    def accept(self, merchant: UUID, currency: str, amount: int, token: str) -> None:
        order = NewPayment(merchant, Money(amount, currency), token)
        self._remember(merchant, self.both(lambda app: app.accept_payment(order)))

    @rule(
        merchant=merchants,
        amount=amounts,
        key=keys,
        fingerprint=fingerprints,
        keep_for=st.sampled_from([NOW, HOUR]),
    )
    def accept_once(
        self, merchant: UUID, amount: int, key: str, fingerprint: bytes, keep_for: object
    ) -> None:
        order = NewPayment(merchant, Money(amount, "USD"), "tok_visa", idempotency_key=key)
        request = replace(request_for(merchant, key, fingerprint=fingerprint), keep_for=keep_for)
        made: list[Payment] = []

        def render(payment: Payment) -> StoredResponse:
            made.append(payment)
            return StoredResponse(202, str(payment.id).encode())

        answer = self.both(lambda app: app.perform_once(request, app.accept_payment, order, render))
        if isinstance(answer, Answer) and not answer.replayed:
            self._remember(merchant, outcome(lambda: made[0]))

    @rule()
    def settle(self) -> None:
        self.both(lambda app: app.settle_payments())

    @rule(limit=st.integers(1, 4))
    def claim_and_die(self, limit: int) -> None:
        def claim(app: Application) -> object:
            with app.settle_payments.begin() as work:
                claims = work.payments.claim(limit, NOW, NOW)
                work.commit()
            return claims

        self.both(claim)

    @rule()
    def purge(self) -> None:
        self.both(lambda app: app.purge_idempotency_keys())

    @invariant()
    def everybody_sees_the_same(self) -> None:
        for merchant, payment in self.payments:
            self.both(lambda app, m=merchant, p=payment: app.get_payment(m, p))
            self.both(lambda app, p=payment: app.get_payment(STRANGER, p))
        for merchant, account in self.accounts:
            self.both(lambda app, m=merchant, a=account: app.get_account(m, a))

    @invariant()
    def the_books_are_clean(self) -> None:
        if hasattr(self, "applications"):
            report = self.both(lambda app: app.verify_ledger())
            assert not getattr(report, "findings", None)

    def _remember(self, merchant: UUID, accepted: object) -> None:
        if isinstance(accepted, tuple):
            payment_id, account_id, *_ = accepted
            self.payments.append((merchant, payment_id))
            self.accounts.append((merchant, account_id))


@pytest.fixture
def life(
    database_url: str, settings_for: Callable[..., Settings]
) -> Iterator[type[RuleBasedStateMachine]]:
    Life.database_url = database_url
    Life.postgres = PostgresStore(Connections(settings_for(database_url)))
    yield Life
    Life.postgres.close()


def test_memory_and_postgres_live_the_same_life(life: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(
        life, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
