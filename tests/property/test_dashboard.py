"""A dashboard's totals are those of the ledger, whatever was captured, refunded and charged."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from atomic_core.application import Application
from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.credentials import Credentials
from atomic_core.domain.errors import Conflict
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from support import DEPTH, NOW, Store, add_merchant, build_application, open_account

CURRENCIES = ["USD", "EUR"]

amounts = st.one_of(st.integers(1, 1_000), st.sampled_from([MAX_AMOUNT - 1, MAX_AMOUNT]))
sources = st.sampled_from(
    ["tok_visa"] * 6
    + ["tok_chargeDeclined", "tok_captureDeclined", "tok_refundDeclined", "tok_slow"]
)
terms = st.sampled_from([FeeTerms(), FeeTerms(290, 30), FeeTerms(10_000, 0), FeeTerms(0, 300)])


@dataclass(frozen=True)
class Case:
    """A payment and what follows. Whatever is not possible is refused, and changes nothing."""

    currency: str
    amount: int
    source: str
    terms: FeeTerms
    captured_amount: int | None
    """None: automatic capture. 0: cancel. Above `amount`: leave it authorized."""
    refunds: list[int]
    settles_at_once: bool


cases = st.builds(
    Case,
    currency=st.sampled_from(CURRENCIES),
    amount=amounts,
    source=sources,
    terms=terms,
    captured_amount=st.one_of(st.none(), st.integers(0, 1_100)),
    refunds=st.lists(st.one_of(st.integers(1, 600), st.just(MAX_AMOUNT)), max_size=3),
    settles_at_once=st.booleans(),
)


class Sums(NamedTuple):
    captured: int
    refunded: int
    fees: int
    net: int


@dataclass
class Shop:
    store: Store
    application: Application
    merchant_id: UUID

    @classmethod
    def open(cls, store: Store) -> "Shop":
        merchant_id = add_merchant(store.begin)
        account_id = open_account(store.begin, merchant_id)
        email = f"{merchant_id}@shop.example"
        with store.begin() as work:
            work.sessions.add_credentials(Credentials(merchant_id, email, "$argon2id$", account_id))
            work.commit()
        return cls(store, build_application(store.begin, lease=NOW), merchant_id)

    def run(self, case: Case) -> UUID:
        application, merchant_id = self.application, self.merchant_id
        application.fees.set(merchant_id, case.currency, case.terms)
        is_manual = case.captured_amount is not None
        capture = CaptureMethod.MANUAL if is_manual else CaptureMethod.AUTOMATIC
        money = Money(case.amount, case.currency)
        id = application.payments.record(
            NewPayment(merchant_id, money, case.source, capture=capture)
        ).id
        self.settle(case)
        if case.captured_amount is not None:
            self.resolve(case, id, case.captured_amount)
        for amount in case.refunds:
            payment = application.payments.get(merchant_id, id)
            if payment.status is Status.SUCCESS and payment.amount_refundable:
                refunded = min(amount, payment.amount_refundable)
                application.refunds.create(NewRefund(merchant_id, id, refunded))
                self.settle(case)
        return id

    def resolve(self, case: Case, id: UUID, amount: int) -> None:
        payments = self.application.payments
        try:
            if amount == 0:
                payments.cancel(CancelRequest(self.merchant_id, id))
            elif amount <= case.amount:
                payments.capture(CaptureRequest(self.merchant_id, id, amount))
        except Conflict:
            return
        self.settle(case)

    def settle(self, case: Case) -> None:
        if case.settles_at_once:
            self.application.settlement.settle()

    def sum_ledger(self, payment_ids: list[UUID]) -> dict[str, Sums]:
        """By currency, from the entries alone."""
        sums = Counter[tuple[str, str]]()
        with self.store.begin() as work:
            for payment_id in payment_ids:
                for transaction in work.ledger.list_by_payment(payment_id):
                    for entry in transaction.entries:
                        self._add(sums, transaction.kind.value, entry.account_id, entry.amount)
        return {
            currency: Sums(*(sums[currency, name] for name in Sums._fields))
            for currency in CURRENCIES
        }

    @staticmethod
    def _add(sums: Counter[tuple[str, str]], kind: str, account_id: UUID, amount: int) -> None:
        currencies = {world_account_id(code): code for code in CURRENCIES}
        fee_accounts = {fee_account_id(code): code for code in CURRENCIES}
        if account_id in currencies:
            currency = currencies[account_id]
            sums[currency, "captured" if kind == "payment" else "refunded"] += abs(amount)
            sums[currency, "net"] -= amount
        elif account_id in fee_accounts:
            sums[fee_accounts[account_id], "fees"] += amount
            sums[fee_accounts[account_id], "net"] -= amount


def test_totals_are_those_of_the_ledger(store: Store) -> None:
    @settings(max_examples=20 * DEPTH, deadline=None)
    @given(st.lists(cases, max_size=6))
    def check(cases: list[Case]) -> None:
        shop = Shop.open(store)
        payment_ids = [shop.run(case) for case in cases]
        dashboard = shop.application.merchants.get_dashboard(shop.merchant_id)
        balances = dict.fromkeys(CURRENCIES, 0)
        for account in dashboard.accounts:
            balances[account.currency] += account.balance
        ledger = shop.sum_ledger(payment_ids)
        for totals in (dashboard.today, dashboard.last_30_days):
            for currency in CURRENCIES:
                own = [total for total in totals if total.currency == currency]
                found = Sums(*(sum(getattr(total, name) for total in own) for name in Sums._fields))
                expected = Sums(*(min(amount, MAX_AMOUNT) for amount in ledger[currency]))
                assert found == expected
                assert found.net == balances[currency]
            assert sum(total.count for total in totals) == len(cases)
        report = shop.application.ledger.verify()
        assert report.is_clean, report.findings

    check()
