"""Random journal transactions, in accounts of random types, limits and statuses, give equal results
on both stores, and those of a model."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

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
from atomic_core.domain.accounts import AccountStatus, AccountTerms, AccountType
from atomic_core.domain.balances import TimeAxis
from atomic_core.domain.errors import AtomicError, TransactionRefused
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.domain.lists import JournalFilter
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import NewPayment
from atomic_core.domain.posting import Leg
from atomic_core.use_cases.accounts import AccountChange
from atomic_core.use_cases.journal import ReversalRequest
from atomic_core.use_cases.journal_batches import BatchOutcome, TransactionBatch
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.pending_transactions import PostPendingRequest, VoidRequest
from emptying import Emptying
from property.journal_model import STATUS_ERRORS, Model, ModelAccount, describe_refusal
from support import MemoryTampering, PostgresTampering, build_application, with_use_cases

PAST = datetime(2020, 1, 1, tzinfo=UTC)
MERCHANT, STRANGER = UUID(int=1), UUID(int=2)
CURRENCIES = ["USD", "USD", "USD", "EUR", "EUR"]
FAR_FUTURE = datetime(2999, 1, 1, tzinfo=UTC)

accounts = st.integers(0, len(CURRENCIES))
"""Indexes; the last is the stranger's account."""
min_balances = st.sampled_from([0, 0, -400, None])
max_balances = st.sampled_from([None, None, 0, 1_000])
terms = st.builds(
    AccountTerms,
    type=st.sampled_from(AccountType),
    min_balance=min_balances,
    max_balance=max_balances,
)
terms_of_accounts = st.tuples(*(terms for _ in CURRENCIES))
statuses = st.sampled_from([AccountStatus.OPEN, *AccountStatus])
"""Accounts are mostly open."""
amounts = st.sampled_from([1, 7, 400, 1_000, MAX_AMOUNT])
transfers = st.lists(st.tuples(accounts, accounts, amounts, st.booleans()), min_size=1, max_size=5)
external_ids = st.sampled_from([None, None, None, "a", "b"])
indexes = st.integers(0, 30)


class CountingIds:
    """Returns the same ids in the same order for both applications."""

    def __init__(self) -> None:
        self.count = 0

    def new_id(self) -> UUID:
        self.count += 1
        # In order, as those of SystemIdGenerator: transactions of a batch have one time.
        return UUID(int=self.count << 64)

    def new_ids(self, count: int) -> list[UUID]:
        return [self.new_id() for _ in range(count)]

    def new_secret(self) -> str:
        raise NotImplementedError


def create_application(begin: Callable[..., object]) -> Application:
    application = build_application(begin)  # pyright: ignore[reportArgumentType]
    ids = CountingIds()
    journal = application.journal
    return with_use_cases(
        application,
        {
            "accounts.open": replace(application.accounts.open, ids=ids),
            "journal.post": replace(journal.post, ids=ids),
            "journal.preview": replace(journal.preview, ids=ids),
            "journal.post_batch": replace(journal.post_batch, ids=ids),
            "journal.preview_batch": replace(journal.preview_batch, ids=ids),
            "journal.reverse": replace(journal.reverse, ids=ids),
        },
    )


def get_outcome(action: Callable[[], object]) -> object:
    """The result without times, or the error."""
    try:
        result = action()
    except AtomicError as error:
        return describe_error(error)
    return describe(result) if isinstance(result, JournalTransaction) else result


def describe_outcome(outcome: BatchOutcome) -> object:
    if isinstance(outcome, AtomicError):
        return describe_error(outcome)
    return describe(outcome)


def describe_error(error: AtomicError) -> tuple[str, object]:
    """The code, for a refusal with the entry and the reason, as the model has it; and the rest."""
    code = error.code
    if isinstance(error, TransactionRefused):
        [(place, [reason])] = (error.details or {}).items()
        code = describe_refusal(place.partition("entries.")[2], reason)
    return code, (error.details, error.facts)


def describe(transaction: JournalTransaction) -> object:
    names = (transaction.id, transaction.external_id, transaction.description)
    links = (transaction.reverses_id, transaction.reversed_by_id)
    return (names, links, list(transaction.entries), transaction.status)


def _get_code(outcome: object) -> str | None:
    """None if nothing was refused."""
    return outcome[0] if isinstance(outcome, tuple) and isinstance(outcome[0], str) else None


class JournalComparison(RuleBasedStateMachine):
    emptying: ClassVar[Emptying]
    postgres: ClassVar[PostgresStore]
    url: ClassVar[str]

    @initialize(terms=terms_of_accounts)
    def begin(self, terms: tuple[AccountTerms, ...]) -> None:
        self.emptying.empty()
        memory = MemoryStore(SystemClock())
        stores = (memory, self.postgres)
        self.tamperings = (MemoryTampering(memory.tables), PostgresTampering(self.url))
        self.applications = [create_application(store.begin) for store in stores]
        for store in stores:
            with store.begin() as work:
                for id in (MERCHANT, STRANGER):
                    work.merchants.add(id, "Shop")
                work.commit()
        accounts: dict[UUID, ModelAccount] = {}
        self.ids: list[UUID] = []
        self.model = Model(MERCHANT, accounts)
        for currency, chosen in zip(CURRENCIES, terms, strict=True):
            is_first = currency not in {account.currency for account in accounts.values()}
            # Without a liability, payments would open one with another id in each store.
            type = AccountType.LIABILITY if is_first else chosen.type
            self.open_account(MERCHANT, currency, replace(chosen, type=type))
        self.open_account(STRANGER, "USD", AccountTerms())

    def open_account(self, owner: UUID, currency: str, terms: AccountTerms) -> None:
        new_account = NewAccount(owner, "A", currency, terms=terms)
        id = self.call_both(lambda app: app.accounts.open(new_account).id)
        assert isinstance(id, UUID)
        self.ids.append(id)
        limits = (terms.min_balance, terms.max_balance)
        self.model.accounts[id] = ModelAccount(owner, currency, terms.type, *limits)

    def call_both(self, call: Callable[[Application], object]) -> object:
        in_memory, in_postgres = (get_outcome(lambda a=app: call(a)) for app in self.applications)
        assert in_memory == in_postgres
        return in_memory

    @rule(debited=accounts, credited=accounts, amount=amounts, external_id=external_ids)
    def reserve(self, debited: int, credited: int, amount: int, external_id: str | None) -> None:
        legs = (Leg(self.ids[debited], -amount), Leg(self.ids[credited], amount))
        self.begin_pending(legs, external_id)

    @rule(source=accounts, parts=st.dictionaries(accounts, amounts, min_size=2, max_size=3))
    def reserve_split(self, source: int, parts: dict[int, int]) -> None:
        legs = [Leg(self.ids[index], amount) for index, amount in parts.items()]
        self.begin_pending((*legs, Leg(self.ids[source], -sum(parts.values()))), None)

    def begin_pending(self, legs: tuple[Leg, ...], external_id: str | None) -> None:
        expected = self.model.find_error(legs, external_id)
        new_transaction = NewJournalTransaction(
            MERCHANT, legs, external_id=external_id, is_pending=True
        )
        pending = self.expect(expected, lambda app: app.journal.post(new_transaction))
        if pending:
            self.model.reserve(pending, legs, external_id)

    @rule(index=indexes, amount=st.none() | amounts)
    def post_pending(self, index: int, amount: int | None) -> None:
        if not self.model.requested:
            return
        id = list(self.model.requested)[index % len(self.model.requested)]
        request = PostPendingRequest(MERCHANT, id, amount)
        legs = self.model.requested[id]
        posted = tuple(
            leg if amount is None else Leg(leg.account_id, amount if leg.amount > 0 else -amount)
            for leg in legs
        )
        expected = self.model.find_part_error(id, amount) or self.model.find_status_refusal(legs)
        if self.expect(expected, lambda app: app.journal.post_pending(request)):
            del self.model.pending[id]
            self.model.post(id, posted, None)

    @rule(index=indexes)
    def post_pending_entries(self, index: int) -> None:
        """One credit, and as much of the debit; other credits get nothing."""
        if not self.model.pending:
            return
        id = list(self.model.pending)[index % len(self.model.pending)]
        legs = self.model.pending[id]
        credit, debit = (
            next(leg for leg in legs if leg.amount > 0),
            min(legs, key=lambda leg: leg.amount),
        )
        part = (Leg(debit.account_id, -credit.amount), credit)
        request = PostPendingRequest(MERCHANT, id, entries=part)
        expected = self.model.find_status_refusal(part)
        if self.expect(expected, lambda app: app.journal.post_pending(request)):
            del self.model.pending[id]
            self.model.post(id, part, None)

    @rule(index=indexes)
    def void(self, index: int) -> None:
        if not self.model.requested:
            return
        id = list(self.model.requested)[index % len(self.model.requested)]
        expected = None if id in self.model.pending else "transaction_not_pending"
        if self.expect(expected, lambda app: app.journal.void(VoidRequest(MERCHANT, id))):
            del self.model.pending[id]

    @rule(count=st.integers(1, 3))
    def expire(self, count: int) -> None:
        expired = list(self.model.pending)[:count]
        for id in expired:
            for tampering in self.tamperings:
                tampering.set_expires_at(id, PAST)
        assert self.call_both(lambda app: app.journal.expire()) == len(expired)
        for id in expired:
            del self.model.pending[id]

    @rule(currency=st.sampled_from(["USD", "EUR"]), amount=st.sampled_from([400, 1_000]))
    def fund(self, currency: str, amount: int) -> None:
        credited = self.model.find_credited(currency)
        new_payment = NewPayment(MERCHANT, Money(amount, currency), "tok_visa")

        def pay(app: Application) -> None:
            app.payments.record(new_payment)
            app.settlement.settle()

        code = _get_code(self.call_both(pay))
        assert code == STATUS_ERRORS.get(self.model.accounts[credited].status)
        if not self.model.find_refusal((Leg(credited, amount),)):
            self.model.balances[credited] = self.model.balances.get(credited, 0) + amount

    @rule(
        currency=st.sampled_from(["USD", "EUR"]),
        status=st.sampled_from([AccountStatus.FROZEN, AccountStatus.CLOSED]),
    )
    def freeze_or_close_while_a_payment_waits(self, currency: str, status: AccountStatus) -> None:
        """The network approves the payment, the ledger refuses it: nothing is posted."""
        credited = self.model.find_credited(currency)
        if self.model.accounts[credited].status != AccountStatus.OPEN:
            return
        for app in self.applications:
            app.payments.record(NewPayment(MERCHANT, Money(400, currency), "tok_visa"))
        self.set_status(credited, status)
        if self.model.accounts[credited].status == AccountStatus.OPEN:
            # It could not be closed.
            self.set_status(credited, AccountStatus.FROZEN)
        for app in self.applications:
            while app.settlement.settle():
                pass
        self.set_status(credited, AccountStatus.OPEN)

    @rule(account=accounts, status=statuses)
    def change_status(self, account: int, status: AccountStatus) -> None:
        self.set_status(self.ids[account], status)

    @rule(
        debited=accounts,
        credited=accounts,
        amount=amounts,
        status=st.sampled_from([AccountStatus.FROZEN, AccountStatus.CLOSED]),
        is_debited=st.booleans(),
    )
    def transfer_to_or_from_an_account_that_is_not_open(
        self, debited: int, credited: int, amount: int, status: AccountStatus, is_debited: bool
    ) -> None:
        """Changes of status alone are too rare for this."""
        id = self.ids[debited if is_debited else credited]
        before = self.model.accounts[id].status
        self.set_status(id, status)
        self.transfer(debited, credited, amount, None)
        self.set_status(id, before)

    def set_status(self, id: UUID, status: AccountStatus) -> None:
        change = AccountChange(MERCHANT, id, status=status)
        expected = self.model.find_status_error(id, status)
        outcome = self.call_both(lambda app: app.accounts.change(change).status)
        assert _get_code(outcome) == expected
        if expected is None:
            assert outcome == status
            self.model.accounts[id].status = status

    @rule(debited=accounts, credited=accounts, amount=amounts, external_id=external_ids)
    def transfer(self, debited: int, credited: int, amount: int, external_id: str | None) -> None:
        self.post((Leg(self.ids[debited], -amount), Leg(self.ids[credited], amount)), external_id)

    @rule(source=accounts, parts=st.dictionaries(accounts, amounts, min_size=1, max_size=3))
    def split(self, source: int, parts: dict[int, int]) -> None:
        legs = [Leg(self.ids[index], amount) for index, amount in parts.items()]
        self.post((*legs, Leg(self.ids[source], -sum(parts.values()))), None)

    @rule(dollars=amounts, euros=amounts, sides=st.sampled_from([(0, 1, 3, 4), (1, 2, 4, 3)]))
    def exchange(self, dollars: int, euros: int, sides: tuple[int, int, int, int]) -> None:
        signed = (-dollars, dollars, -euros, euros)
        legs = tuple(Leg(self.ids[i], amount) for i, amount in zip(sides, signed, strict=True))
        self.post(legs, None)

    @rule(index=indexes, external_id=external_ids)
    def reverse(self, index: int, external_id: str | None) -> None:
        if not self.model.posted:
            return
        original = list(self.model.posted)[index % len(self.model.posted)]
        entries = tuple(Leg(id, -amount) for id, amount in self.model.posted[original])
        if original in self.model.reversed_by.values():
            expected = "reversal_not_reversible"
        elif original in self.model.reversed_by:
            expected = "transaction_already_reversed"
        else:
            expected = self.model.find_error(entries, external_id)
        request = ReversalRequest(MERCHANT, original, external_id=external_id)
        reversal = self.expect(expected, lambda app: app.journal.reverse(request))
        if reversal:
            self.model.post(reversal, entries, external_id)
            self.model.reversed_by[original] = reversal

    @rule(transfers=transfers, is_atomic=st.booleans())
    def batch(self, transfers: list[tuple[int, int, int, bool]], is_atomic: bool) -> None:
        requests = [
            NewJournalTransaction(
                MERCHANT,
                (Leg(self.ids[debited], -amount), Leg(self.ids[credited], amount)),
                is_pending=is_pending,
            )
            for debited, credited, amount, is_pending in transfers
        ]
        batch = TransactionBatch(MERCHANT, requests, is_atomic)
        model = deepcopy(self.model)
        expected = [self.apply(model, UUID(int=number), new) for number, new in enumerate(requests)]

        def post(app: Application) -> object:
            preview = [describe_outcome(row) for row in app.journal.preview_batch(batch)]
            posted = [describe_outcome(row) for row in app.journal.post_batch(batch)]
            assert [_get_code(row) for row in preview] == [_get_code(row) for row in posted]
            return posted

        outcomes = self.call_both(post)
        first_error = next((code for code in expected if code), None)
        if is_atomic and first_error:
            assert isinstance(outcomes, tuple)
            assert outcomes[0] == first_error
            return
        assert isinstance(outcomes, list)
        assert [_get_code(outcome) for outcome in outcomes] == expected
        for outcome, new in zip(outcomes, requests, strict=True):
            if not _get_code(outcome):
                [(id, *_), *_] = outcome
                assert self.apply(self.model, id, new) is None

    def apply(self, model: Model, id: UUID, new: NewJournalTransaction) -> str | None:
        """Apply a transaction to the model, or return the code of its error."""
        error = model.find_error(new.entries, None)
        if error is None and new.is_pending:
            model.reserve(id, new.entries, None)
        elif error is None:
            model.post(id, new.entries, None)
        return error

    def post(self, entries: tuple[Leg, ...], external_id: str | None) -> None:
        new_transaction = NewJournalTransaction(MERCHANT, entries, external_id=external_id)
        expected = self.model.find_error(entries, external_id)
        self.expect(expected, lambda app: app.journal.preview(new_transaction))
        posted = self.expect(expected, lambda app: app.journal.post(new_transaction))
        if posted:
            self.model.post(posted, entries, external_id)

    def expect(self, code: str | None, call: Callable[[Application], object]) -> UUID | None:
        """The id of the result. Asserts that the call fails with this code, or does not fail."""
        outcome = self.call_both(call)
        assert isinstance(outcome, tuple)
        if len(outcome) == 2:
            assert outcome[0] == code
            return None
        assert code is None
        [(id, *_), *_] = outcome
        return id

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        for id in self.ids if hasattr(self, "ids") else []:
            owner = self.model.accounts[id].owner
            balance = self.call_both(lambda app, i=id, o=owner: app.accounts.get(o, i).balance)
            assert balance == self.model.balances.get(id, 0)
            pending = self.call_both(lambda app, i=id, o=owner: app.accounts.get(o, i).pending)
            assert pending == self.model.get_reserved(id)

    @invariant()
    def sums_are_those_of_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        expected = self.model.sum_by_type()

        def sum_by_type(app: Application) -> object:
            trial = app.balances.get_trial_balance(MERCHANT, TimeAxis.POSTED, FAR_FUTURE)
            nets = {(row.type, row.currency): row.credit - row.debit for row in trial.rows}
            return {key: net for key, net in nets.items() if net}

        assert self.call_both(sum_by_type) == expected
        currencies = sorted(set(CURRENCIES))
        balances = self.call_both(
            lambda app: [
                (row.currency, row.balance)
                for row in app.accounts.get_subtree_balances(MERCHANT, None).items
            ]
        )
        assert balances == [
            (currency, sum(net for (_, other), net in expected.items() if other == currency))
            for currency in currencies
        ]

    @invariant()
    def transactions_are_those_of_the_model(self) -> None:
        for id, entries in list(self.model.posted.items())[-3:] if hasattr(self, "model") else []:
            found = self.applications[0].journal.get(MERCHANT, id)
            posted = [
                Leg(entry.account_id, entry.posted_amount)
                for entry in found.entries
                if entry.posted_amount
            ]
            assert sorted(posted) == sorted(entries)
            assert found.reversed_by_id == self.model.reversed_by.get(id)
            self.call_both(lambda app, i=id: app.journal.get(MERCHANT, i))
            self.call_both(lambda app, i=id: app.journal.get(STRANGER, i))

    @invariant()
    def lists_are_the_same(self) -> None:
        for account_id in [None, *self.ids[:2]] if hasattr(self, "ids") else []:
            filters = JournalFilter(account_id=account_id)

            def list_ids(app: Application, filters: JournalFilter = filters) -> object:
                page = app.journal.list(MERCHANT, filters, None, 100)
                return [describe(transaction) for transaction in page.items]

            listed = self.call_both(list_ids)
            assert isinstance(listed, list)
            assert [names[0] for names, *_ in listed] == [
                id
                for id, entries in reversed(self.model.requested.items())
                if account_id is None or account_id in dict(entries)
            ][:100]

    @invariant()
    def ledger_is_clean(self) -> None:
        if hasattr(self, "applications"):
            report = self.call_both(lambda app: app.ledger.verify())
            assert not getattr(report, "findings", None)


@pytest.fixture
def comparison(
    database_url: str, emptying: Emptying, settings_for: Callable[..., Settings]
) -> Iterator[type[RuleBasedStateMachine]]:
    JournalComparison.emptying = emptying
    JournalComparison.url = database_url
    JournalComparison.postgres = PostgresStore(Connections(settings_for(database_url)))
    yield JournalComparison
    JournalComparison.postgres.close()


def test_both_stores_post_what_the_model_expects(
    comparison: type[RuleBasedStateMachine],
) -> None:
    run_state_machine_as_test(
        comparison, settings=settings(max_examples=15, stateful_step_count=20, deadline=None)
    )
