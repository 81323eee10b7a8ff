"""A merchant with funded accounts, for tests of journal transactions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from atomic_core.application import Application
from atomic_core.domain.accounts import Account
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.domain.lists import JournalFilter
from atomic_core.domain.money import Money
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import NewPayment
from atomic_core.domain.posting import Leg
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.use_cases.journal import ReversalRequest
from atomic_core.use_cases.journal_batches import BatchOutcome, TransactionBatch
from atomic_core.use_cases.pending_transactions import PostPendingRequest, VoidRequest
from support import add_merchant, build_application, open_account

FUNDS = 1_000


@dataclass
class Books:
    """A merchant whose account `funded` has 1,000, and `other` and `third` nothing. `euros` has
    1,000 EUR, and `other_euros` nothing."""

    begin: UnitOfWorkFactory
    application: Application = field(init=False)
    merchant_id: UUID = field(init=False)
    funded: UUID = field(init=False)
    other: UUID = field(init=False)
    third: UUID = field(init=False)
    euros: UUID = field(init=False)
    other_euros: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.application = build_application(self.begin)
        self.merchant_id = add_merchant(self.begin)
        self.funded = open_account(self.begin, self.merchant_id)
        self.other = open_account(self.begin, self.merchant_id)
        self.third = open_account(self.begin, self.merchant_id)
        self.euros = open_account(self.begin, self.merchant_id, "EUR")
        self.other_euros = open_account(self.begin, self.merchant_id, "EUR")
        for currency in ("USD", "EUR"):
            self.fund(FUNDS, currency)

    def fund(self, amount: int, currency: str = "USD") -> None:
        payment = NewPayment(self.merchant_id, Money(amount, currency), "tok_visa")
        self.application.payments.record(payment)
        self.application.settlement.settle()

    def build(self, *entries: tuple[UUID, int], **details: Any) -> NewJournalTransaction:
        legs = tuple(Leg(*entry) for entry in entries)
        return NewJournalTransaction(self.merchant_id, legs, **details)

    def post(self, *entries: tuple[UUID, int], **details: Any) -> JournalTransaction:
        return self.application.journal.post(self.build(*entries, **details))

    def post_batch(
        self, *transactions: NewJournalTransaction, is_atomic: bool = False
    ) -> Sequence[BatchOutcome]:
        batch = TransactionBatch(self.merchant_id, transactions, is_atomic)
        return self.application.journal.post_batch(batch)

    def transfer(self, amount: int, **details: Any) -> JournalTransaction:
        """From `funded` to `other`."""
        return self.post((self.funded, -amount), (self.other, amount), **details)

    def reserve(self, amount: int, **details: Any) -> JournalTransaction:
        """A pending transfer from `funded` to `other`."""
        return self.transfer(amount, is_pending=True, **details)

    def post_pending(
        self,
        transaction: JournalTransaction,
        entries: tuple[tuple[UUID, int], ...] | None = None,
        **details: Any,
    ) -> JournalTransaction:
        legs = None if entries is None else tuple(Leg(*entry) for entry in entries)
        request = PostPendingRequest(self.merchant_id, transaction.id, entries=legs, **details)
        return self.application.journal.post_pending(request)

    def void(
        self, transaction: JournalTransaction, origin: Origin | None = None
    ) -> JournalTransaction:
        request = VoidRequest(self.merchant_id, transaction.id, origin)
        return self.application.journal.void(request)

    def begin_and_add(self, transaction: JournalTransaction) -> None:
        """Insert a transaction without the checks of the use cases."""
        with self.begin() as work:
            work.accounts.lock([entry.account_id for entry in transaction.entries])
            work.journal.add([transaction])
            work.commit()

    def reverse(self, transaction: JournalTransaction, **details: Any) -> JournalTransaction:
        request = ReversalRequest(self.merchant_id, transaction.id, **details)
        return self.application.journal.reverse(request)

    def get(self, transaction: JournalTransaction) -> JournalTransaction:
        return self.application.journal.get(self.merchant_id, transaction.id)

    def list_ids(self, limit: int = 100, **filters: Any) -> list[UUID]:
        """The ids of the listed transactions."""
        journal_filter = JournalFilter(**filters)
        page = self.application.journal.list(self.merchant_id, journal_filter, None, limit)
        return [transaction.id for transaction in page.items]

    def get_account(self, account_id: UUID) -> Account:
        return self.application.accounts.get(self.merchant_id, account_id)

    def get_balances(self) -> list[int]:
        ids = (self.funded, self.other, self.third, self.euros, self.other_euros)
        return [self.get_account(id).balance for id in ids]

    def assert_ledger_is_clean(self) -> None:
        report = self.application.ledger.verify()
        assert report.is_clean, report.findings
