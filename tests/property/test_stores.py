"""Random sequences of calls give equal results on both stores, and those of the model."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar
from uuid import UUID, uuid5

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
from atomic_core.domain.events import Event, EventFilter, EventType
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
from emptying import Emptying
from property.model import BATCH, REFUSALS, Balance, Model, Row
from support import HOUR, NOW, build_application, build_request, with_use_cases

NAMESPACE = UUID(int=77)
OTHER_MERCHANT = UUID(int=9)
MERCHANTS = [UUID(int=1), UUID(int=2), OTHER_MERCHANT]

merchants = st.sampled_from(MERCHANTS)
currencies = st.sampled_from(["USD", "EUR"])
# One or two of the large amounts overflow an account.
amounts = st.sampled_from([1, 250, MAX_AMOUNT - 251, MAX_AMOUNT])
tokens = st.sampled_from(["tok_visa"] * 5 + sorted(REFUSALS) + [UNDECIDED_SOURCE])
captures = st.sampled_from(CaptureMethod)
indexes = st.integers(0, 30)
parts = st.sampled_from([None, 1, 100, 250, MAX_AMOUNT])
terms = st.sampled_from([FeeTerms(), FeeTerms(290, 30), FeeTerms(5_000, 0), FeeTerms(0, 300)])
keys = st.sampled_from(["k1", "k2"])
fingerprints = st.sampled_from([bytes(32), bytes([1]) * 32])


class CountingIds:
    """Returns the same ids in the same order for both applications."""

    def __init__(self) -> None:
        self.count = 0

    def new_id(self) -> UUID:
        self.count += 1
        return uuid5(NAMESPACE, str(self.count))

    def new_ids(self, count: int) -> Sequence[UUID]:
        return [self.new_id() for _ in range(count)]

    def new_secret(self) -> str:
        return f"{self.count:048x}"


def create_application(begin: UnitOfWorkFactory) -> Application:
    # Small batches, so that a sequence spans several; leases and holds end at once.
    application = build_application(begin, batch_size=BATCH, lease=NOW, hold_period=NOW)
    ids = CountingIds()
    return with_use_cases(
        application,
        {
            "payments.record": replace(application.payments.record, ids=ids),
            "settlement.settle": replace(application.settlement.settle, ids=ids),
            "accounts.open": replace(application.accounts.open, ids=ids),
            "refunds.create": replace(application.refunds.create, ids=ids),
        },
    )


def get_outcome(action: Callable[[], object]) -> object:
    """The result or the type of error of a call, without times."""
    try:
        result = action()
    except AtomicError as error:
        return type(error)
    if isinstance(result, Payment):
        state = (result.status, result.failure_reason, result.step, result.amount_captured)
        sums = (result.fee, result.refunds_reserved, result.amount_refunded)
        rest = (result.attempt, result.cancellation_reason, result.capture_amount, result.metadata)
        return (result.id, result.account_id, (*state, *sums), rest)
    if isinstance(result, Refund):
        state = (result.status, result.failure_reason, result.attempt, result.money)
        return (result.id, result.payment_id, state)
    if isinstance(result, Account):
        return (result.id, result.name, result.balance, result.pending, result.sequence)
    if isinstance(result, Timeline):
        # Without hashes, which depend on the time.
        return [
            (event.event, [entry[:-1] for entry in event.posted.entries] if event.posted else None)
            for event in result.events
        ]
    return result


def list_stream(application: Application, merchant_id: UUID) -> list[Event]:
    """All events of a merchant, which are numbered from 1 without gaps."""
    with application.payments.record.begin() as work:
        events = work.events.list_stream(merchant_id, EventFilter(), 10_000, is_oldest_first=True)
        counters = work.events.get_last_sequences([merchant_id])
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert counters == ({merchant_id: len(events)} if events else {})
    return [event.event for event in events]


class StoreComparison(RuleBasedStateMachine):
    emptying: ClassVar[Emptying]
    postgres: ClassVar[PostgresStore]

    @initialize()
    def begin(self) -> None:
        self.emptying.empty()
        memory = MemoryStore(SystemClock())
        self.applications = [
            create_application(memory.begin),
            create_application(self.postgres.begin),
        ]
        self.model = Model()
        self.payments: list[tuple[UUID, UUID]] = []
        self.refunds: list[tuple[UUID, UUID]] = []
        self.accounts: list[tuple[UUID, UUID]] = []
        for id in MERCHANTS[:-1]:
            self.call_both(lambda app, id=id: app.merchants.add("Shop", id).id)

    def call_both(self, call: Callable[[Application], object]) -> object:
        in_memory, in_postgres = (get_outcome(lambda a=app: call(a)) for app in self.applications)
        assert in_memory == in_postgres
        return in_memory

    @rule(merchant=merchants, currency=currencies)
    def open_account(self, merchant: UUID, currency: str) -> None:
        new_account = NewAccount(merchant, "Another", currency)
        opened = self.call_both(lambda app: app.accounts.open(new_account))
        if isinstance(opened, tuple):
            self.accounts.append((merchant, opened[0]))

    @rule(merchant=merchants, currency=currencies, amount=amounts, token=tokens, capture=captures)
    def record_payment(
        self, merchant: UUID, currency: str, amount: int, token: str, capture: CaptureMethod
    ) -> None:
        metadata = {"capture": capture.value}
        money = Money(amount, currency)
        new_payment = NewPayment(merchant, money, token, capture=capture, metadata=metadata)
        self._add_to_model(
            new_payment, self.call_both(lambda app: app.payments.record(new_payment))
        )

    @rule(index=indexes, amount=parts)
    def capture(self, index: int, amount: int | None) -> None:
        if self.payments:
            merchant, payment = self.payments[index % len(self.payments)]
            request = CaptureRequest(merchant, payment, amount)
            row = self.model.payments[payment]
            is_authorized = row.status == "AUTHORIZED"
            is_within_hold = amount is None or amount <= row.amount
            outcome = self.call_both(lambda app: app.payments.capture(request))
            assert isinstance(outcome, tuple) == (is_authorized and is_within_hold)
            if isinstance(outcome, tuple):
                self.model.resolve_holds([row], "capture", amount)

    @rule(index=indexes)
    def cancel(self, index: int) -> None:
        if self.payments:
            merchant, payment = self.payments[index % len(self.payments)]
            row = self.model.payments[payment]
            is_authorized = row.status == "AUTHORIZED"
            outcome = self.call_both(
                lambda app: app.payments.cancel(CancelRequest(merchant, payment))
            )
            assert isinstance(outcome, tuple) == is_authorized
            if is_authorized:
                self.model.resolve_holds([row], "void")

    @rule()
    def expire(self) -> None:
        authorized = self.model.list_authorized()
        assert self.call_both(lambda app: app.settlement.expire_holds()) == len(authorized)
        self.model.resolve_holds(authorized, "expire")

    @rule(index=indexes, amount=parts)
    def refund(self, index: int, amount: int | None) -> None:
        if not self.payments:
            return
        merchant, payment = self.payments[index % len(self.payments)]
        new_refund = NewRefund(merchant, payment, amount)
        row = self.model.payments[payment]
        refundable = row.captured - row.reserved
        outcome = self.call_both(lambda app: app.refunds.create(new_refund))
        refund_amount = refundable if amount is None else amount
        assert isinstance(outcome, tuple) == (
            row.status == "SUCCESS" and 1 <= refund_amount <= refundable
        )
        if isinstance(outcome, tuple):
            self.model.insert_refund(outcome[0], row, refund_amount)
            self.refunds.append((merchant, outcome[0]))

    @rule(merchant=merchants, currency=currencies, terms=terms)
    def set_fees(self, merchant: UUID, currency: str, terms: FeeTerms) -> None:
        def set_terms(app: Application) -> object:
            return app.fees.set(merchant, currency, terms).terms

        if self.call_both(set_terms) == terms:
            self.model.terms[merchant, currency] = terms

    @rule(
        merchant=merchants,
        amount=amounts,
        key=keys,
        fingerprint=fingerprints,
        retention=st.sampled_from([NOW, HOUR]),
    )
    def record_payment_once(
        self, merchant: UUID, amount: int, key: str, fingerprint: bytes, retention: object
    ) -> None:
        new_payment = NewPayment(merchant, Money(amount, "USD"), "tok_visa", idempotency_key=key)
        request = replace(
            build_request(merchant, key, fingerprint=fingerprint), retention=retention
        )
        rendered: list[Payment] = []

        def render(payment: Payment) -> StoredResponse:
            rendered.append(payment)
            return StoredResponse(202, str(payment.id).encode())

        result = self.call_both(
            lambda app: app.idempotency.perform_once(
                request, app.payments.record, new_payment, render
            )
        )
        if isinstance(result, IdempotentResult) and not result.replayed:
            self._add_to_model(new_payment, get_outcome(lambda: rendered[0]))

    @rule()
    def settle(self) -> None:
        assert self.call_both(lambda app: app.settlement.settle()) == self.model.settle()

    @rule(limit=st.integers(1, 4))
    def claim_and_die(self, limit: int) -> None:
        def claim(app: Application) -> object:
            with app.settlement.settle.begin() as work:
                claims = work.payments.claim(limit, NOW, NOW)
                claims = [*claims, *work.refunds.claim(limit, NOW, NOW)]
                work.commit()
            # How long a step has been open is a matter of milliseconds; whether it may have been
            # sent is not.
            return [
                (claim._replace(unresolved_for=None, sent_for=None), claim.sent_for is None)
                for claim in claims
            ]

        self.call_both(claim)
        self.model.claim(limit)

    @rule()
    def purge(self) -> None:
        self.call_both(lambda app: app.maintenance.purge_idempotency_keys())

    @invariant()
    def stores_return_the_same(self) -> None:
        for merchant, payment in self.payments:
            result = self.call_both(lambda app, m=merchant, p=payment: app.payments.get(m, p))
            assert isinstance(result, tuple)
            assert result[2] == self.model.payments[payment].state
            self.call_both(lambda app, p=payment: app.payments.get(OTHER_MERCHANT, p))
        for merchant, payment in self.payments[-2:]:
            self.call_both(lambda app, m=merchant, p=payment: app.payments.get_timeline(m, p))
        for merchant, refund in self.refunds:
            result = self.call_both(lambda app, m=merchant, r=refund: app.refunds.get(m, r))
            assert isinstance(result, tuple)
            row = self.model.refunds[refund]
            assert result[2][:2] == (row.status, row.reason)
        for merchant, account in self.accounts:
            result = self.call_both(lambda app, m=merchant, a=account: app.accounts.get(m, a))
            assert isinstance(result, tuple)
            balance = self.model.balances.get(account, Balance())
            assert result[2:4] == (balance.posted, (balance.incoming, balance.outgoing))
            assert 0 <= balance.outgoing <= balance.posted <= MAX_AMOUNT - balance.incoming

    @invariant()
    def streams_follow_the_payments(self) -> None:
        for merchant in MERCHANTS if hasattr(self, "applications") else []:
            events = self.call_both(lambda app, m=merchant: list_stream(app, m))
            assert isinstance(events, list)
            last_statuses = {
                event.payment_id: event.status
                for event in events
                if event.payment_id and not event.refund_id
            }
            types = Counter((event.payment_id, event.type) for event in events)
            for owner, payment in self.payments:
                status = self.model.payments[payment].status
                if owner == merchant and status not in ("PENDING", "PROCESSING"):
                    assert last_statuses[payment] == status
                succeeded = types[payment, EventType.SUCCEEDED]
                assert succeeded == (owner == merchant and status == "SUCCESS")

    @invariant()
    def ledger_is_clean(self) -> None:
        if hasattr(self, "applications"):
            report = self.call_both(lambda app: app.ledger.verify())
            assert not getattr(report, "findings", None)

    def _add_to_model(self, new_payment: NewPayment, outcome: object) -> None:
        if isinstance(outcome, tuple):
            payment_id, account_id, *_ = outcome
            money, owner = new_payment.money, (new_payment.merchant_id, new_payment.money.currency)
            step = new_payment.capture.first_step
            row = Row(payment_id, account_id, money.amount, new_payment.source, step, owner)
            self.model.insert(row)
            self.payments.append((new_payment.merchant_id, payment_id))
            self.accounts.append((new_payment.merchant_id, account_id))


@pytest.fixture
def store_comparison(
    database_url: str,
    emptying: Emptying,
    settings_for: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[type[RuleBasedStateMachine]]:
    # Postponed and retried items are due at once.
    monkeypatch.setattr("atomic_core.domain.card_networks.BACK_OFF_BASE", NOW)
    StoreComparison.emptying = emptying
    StoreComparison.postgres = PostgresStore(Connections(settings_for(database_url)))
    yield StoreComparison
    StoreComparison.postgres.close()


def test_memory_and_postgres_stores_behave_the_same(
    store_comparison: type[RuleBasedStateMachine],
) -> None:
    run_state_machine_as_test(
        store_comparison, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
