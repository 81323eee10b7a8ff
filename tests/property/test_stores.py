"""The same lives on both stores give the same answers, whatever is asked in whatever order; and
those that the model gives."""

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
from atomic_adapters.networks.sandbox import UNDECIDED_SOURCE
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_adapters.system import SystemClock
from atomic_core.application import Application
from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.idempotency import IdempotentResult
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.timeline import Timeline
from conftest import EMPTY
from property.model import BATCH, REFUSALS, Balance, Model, Row
from support import HOUR, NOW, application_over, request_for, with_use_cases

NAMESPACE = UUID(int=77)
STRANGER = UUID(int=9)
MERCHANTS = [UUID(int=1), UUID(int=2), STRANGER]

merchants = st.sampled_from(MERCHANTS)
currencies = st.sampled_from(["USD", "EUR"])
# The large ones overflow an account's balance after one or two.
amounts = st.sampled_from([1, 250, MAX_AMOUNT - 251, MAX_AMOUNT])
tokens = st.sampled_from(["tok_visa"] * 5 + sorted(REFUSALS) + [UNDECIDED_SOURCE])
captures = st.sampled_from(CaptureMethod)
places = st.integers(0, 30)
parts = st.sampled_from([None, 1, 100, 250, MAX_AMOUNT])
terms = st.sampled_from([FeeTerms(), FeeTerms(290, 30), FeeTerms(5_000, 0), FeeTerms(0, 300)])
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


def application(begin: UnitOfWorkFactory) -> Application:
    # Small batches, so that a life crosses their borders; leases that end at once.
    # Holds end at once, and expire when somebody looks.
    made = application_over(begin, batch_size=BATCH, lease=NOW, hold_period=NOW)
    ids = CountingIds()
    return with_use_cases(
        made,
        {
            "payments.record": replace(made.payments.record, ids=ids),
            "settlement.settle": replace(made.settlement.settle, ids=ids),
            "accounts.open": replace(made.accounts.open, ids=ids),
            "refunds.create": replace(made.refunds.create, ids=ids),
        },
    )


def outcome(action: Callable[[], object]) -> object:
    """What a call came to, without the stores' own clocks."""
    try:
        result = action()
    except AtomicError as error:
        return type(error)
    if isinstance(result, Payment):
        told = (result.status, result.failure_reason, result.step, result.amount_captured)
        sums = (result.fee, result.refunds_reserved, result.amount_refunded)
        rest = (result.attempt, result.cancellation_reason, result.capture_amount, result.metadata)
        return (result.id, result.account_id, (*told, *sums), rest)
    if isinstance(result, Refund):
        told = (result.status, result.failure_reason, result.attempt, result.money)
        return (result.id, result.payment_id, told)
    if isinstance(result, Account):
        return (result.id, result.name, result.balance, result.pending, result.sequence)
    if isinstance(result, Timeline):
        # Without the hashes: time is in them.
        return [
            (each.event, [entry[:-1] for entry in each.posted.entries] if each.posted else None)
            for each in result.events
        ]
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
        self.model = Model()
        self.payments: list[tuple[UUID, UUID]] = []
        self.refunds: list[tuple[UUID, UUID]] = []
        self.accounts: list[tuple[UUID, UUID]] = []
        for id in MERCHANTS[:-1]:
            self.both(lambda app, id=id: app.merchants.add("Shop", id).id)

    def both(self, ask: Callable[[Application], object]) -> object:
        in_memory, in_postgres = (outcome(lambda a=app: ask(a)) for app in self.applications)
        assert in_memory == in_postgres
        return in_memory

    @rule(merchant=merchants, currency=currencies)
    def open_account(self, merchant: UUID, currency: str) -> None:
        order = NewAccount(merchant, "Another", currency)
        opened = self.both(lambda app: app.accounts.open(order))
        if isinstance(opened, tuple):
            self.accounts.append((merchant, opened[0]))

    @rule(merchant=merchants, currency=currencies, amount=amounts, token=tokens, capture=captures)
    def accept(
        self, merchant: UUID, currency: str, amount: int, token: str, capture: CaptureMethod
    ) -> None:
        metadata = {"capture": capture.value}
        money = Money(amount, currency)
        order = NewPayment(merchant, money, token, capture=capture, metadata=metadata)
        self._remember(order, self.both(lambda app: app.payments.record(order)))

    @rule(place=places, amount=parts)
    def capture(self, place: int, amount: int | None) -> None:
        if self.payments:
            merchant, payment = self.payments[place % len(self.payments)]
            asked = CaptureRequest(merchant, payment, amount)
            row = self.model.payments[payment]
            held = row.status == "AUTHORIZED"
            fits = amount is None or amount <= row.amount
            outcome = self.both(lambda app: app.payments.capture(asked))
            assert isinstance(outcome, tuple) == (held and fits)
            if isinstance(outcome, tuple):
                self.model.resolve([row], "capture", amount)

    @rule(place=places)
    def cancel(self, place: int) -> None:
        if self.payments:
            merchant, payment = self.payments[place % len(self.payments)]
            row = self.model.payments[payment]
            held = row.status == "AUTHORIZED"
            outcome = self.both(lambda app: app.payments.cancel(CancelRequest(merchant, payment)))
            assert isinstance(outcome, tuple) == held
            if held:
                self.model.resolve([row], "void")

    @rule()
    def expire(self) -> None:
        held = self.model.held()
        assert self.both(lambda app: app.settlement.expire_holds()) == len(held)
        self.model.resolve(held, "expire")

    @rule(place=places, amount=parts)
    def refund(self, place: int, amount: int | None) -> None:
        if not self.payments:
            return
        merchant, payment = self.payments[place % len(self.payments)]
        asked = NewRefund(merchant, payment, amount)
        row = self.model.payments[payment]
        left = row.captured - row.reserved
        outcome = self.both(lambda app: app.refunds.create(asked))
        wanted = left if amount is None else amount
        assert isinstance(outcome, tuple) == (row.status == "SUCCESS" and 1 <= wanted <= left)
        if isinstance(outcome, tuple):
            self.model.refund(outcome[0], row, wanted)
            self.refunds.append((merchant, outcome[0]))

    @rule(merchant=merchants, currency=currencies, terms=terms)
    def agree_on_fees(self, merchant: UUID, currency: str, terms: FeeTerms) -> None:
        def agree(app: Application) -> object:
            return app.fees.set(merchant, currency, terms).terms

        if self.both(agree) == terms:
            self.model.terms[merchant, currency] = terms

    @rule(
        merchant=merchants,
        amount=amounts,
        key=keys,
        fingerprint=fingerprints,
        retention=st.sampled_from([NOW, HOUR]),
    )
    def accept_once(
        self, merchant: UUID, amount: int, key: str, fingerprint: bytes, retention: object
    ) -> None:
        order = NewPayment(merchant, Money(amount, "USD"), "tok_visa", idempotency_key=key)
        request = replace(request_for(merchant, key, fingerprint=fingerprint), retention=retention)
        made: list[Payment] = []

        def render(payment: Payment) -> StoredResponse:
            made.append(payment)
            return StoredResponse(202, str(payment.id).encode())

        answer = self.both(
            lambda app: app.idempotency.perform_once(request, app.payments.record, order, render)
        )
        if isinstance(answer, IdempotentResult) and not answer.replayed:
            self._remember(order, outcome(lambda: made[0]))

    @rule()
    def settle(self) -> None:
        assert self.both(lambda app: app.settlement.settle()) == self.model.settle()

    @rule(limit=st.integers(1, 4))
    def claim_and_die(self, limit: int) -> None:
        def claim(app: Application) -> object:
            with app.settlement.settle.begin() as work:
                claims = work.payments.claim(limit, NOW, NOW)
                claims = [*claims, *work.refunds.claim(limit, NOW, NOW)]
                work.commit()
            return claims

        self.both(claim)
        self.model.claim(limit)

    @rule()
    def purge(self) -> None:
        self.both(lambda app: app.maintenance.purge_idempotency_keys())

    @invariant()
    def everybody_sees_the_same(self) -> None:
        for merchant, payment in self.payments:
            seen = self.both(lambda app, m=merchant, p=payment: app.payments.get(m, p))
            assert isinstance(seen, tuple)
            assert seen[2] == self.model.payments[payment].told
            self.both(lambda app, p=payment: app.payments.get(STRANGER, p))
        for merchant, payment in self.payments[-2:]:
            self.both(lambda app, m=merchant, p=payment: app.payments.get_timeline(m, p))
        for merchant, refund in self.refunds:
            seen = self.both(lambda app, m=merchant, r=refund: app.refunds.get(m, r))
            assert isinstance(seen, tuple)
            row = self.model.refunds[refund]
            assert seen[2][:2] == (row.status, row.reason)
        for merchant, account in self.accounts:
            seen = self.both(lambda app, m=merchant, a=account: app.accounts.get(m, a))
            assert isinstance(seen, tuple)
            balance = self.model.balances.get(account, Balance())
            assert seen[2:4] == (balance.posted, (balance.coming, balance.going))
            assert 0 <= balance.going <= balance.posted <= MAX_AMOUNT - balance.coming

    @invariant()
    def the_books_are_clean(self) -> None:
        if hasattr(self, "applications"):
            report = self.both(lambda app: app.ledger.verify())
            assert not getattr(report, "findings", None)

    def _remember(self, order: NewPayment, accepted: object) -> None:
        if isinstance(accepted, tuple):
            payment_id, account_id, *_ = accepted
            money, owner = order.money, (order.merchant_id, order.money.currency)
            step = order.capture.first_step
            row = Row(payment_id, account_id, money.amount, order.source, step, owner)
            self.model.accept(row)
            self.payments.append((order.merchant_id, payment_id))
            self.accounts.append((order.merchant_id, account_id))


@pytest.fixture
def life(
    database_url: str, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[RuleBasedStateMachine]]:
    # What is put off, or tried again, is due at once.
    monkeypatch.setattr("atomic_core.domain.settlement.POSTPONE_DELAY", NOW)
    monkeypatch.setattr("atomic_core.domain.settlement.BACK_OFF_BASE", NOW)
    Life.database_url = database_url
    Life.postgres = PostgresStore(Connections(settings_for(database_url)))
    yield Life
    Life.postgres.close()


def test_memory_and_postgres_live_the_same_life(life: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(
        life, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
