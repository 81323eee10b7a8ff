"""A merchant whose payments and journal transactions are posted at times that a test chooses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from atomic_core.application import Application
from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.balances import TimeAxis
from atomic_core.domain.journal import JournalEntry, JournalStatus, JournalTransaction
from atomic_core.domain.journal_posting import JournalPosting, post_journal
from atomic_core.domain.ledger import TransactionKind
from atomic_core.domain.payments import Status
from atomic_core.domain.posting import Leg, Posting, post
from atomic_core.domain.settlement import Settlement
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.use_cases.journal_saving import record_posting
from support import (
    HOUR,
    IDS,
    add_merchant,
    add_payment,
    build_application,
    build_payment,
    open_account,
)

WORLD = world_account_id("USD")


@dataclass
class TimedBooks:
    """`main` receives payments; journal transactions move money between it and the others."""

    begin: UnitOfWorkFactory
    application: Application = field(init=False)
    merchant_id: UUID = field(init=False)
    main: UUID = field(init=False)
    other: UUID = field(init=False)
    third: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.application = build_application(self.begin)
        self.merchant_id = add_merchant(self.begin)
        self.main, self.other, self.third = (
            open_account(self.begin, self.merchant_id) for _ in range(3)
        )

    def pay(self, at: datetime, amount: int = 100) -> None:
        """A payment into `main`, posted at this time."""
        with self.begin() as work:
            payment = add_payment(work, build_payment(self.merchant_id, amount))
            accounts = work.accounts.lock([WORLD, payment.account_id])
            legs = (Leg(WORLD, -amount), Leg(payment.account_id, amount))
            posting = Posting(IDS.new_id(), payment.id, TransactionKind.PAYMENT, legs)
            work.ledger.save(post(accounts, [posting], at))
            settlement = Settlement(payment.id, Status.SUCCESS, None, 0, None)
            work.payments.settle([settlement], HOUR)
            work.commit()

    def post(
        self, at: datetime, legs: Sequence[tuple[UUID, int]], effective_at: datetime | None = None
    ) -> JournalTransaction:
        """A journal transaction, posted at this time. Without the checks of the use case."""
        id, entries = IDS.new_id(), tuple(Leg(*leg) for leg in legs)
        with self.begin() as work:
            accounts = work.accounts.lock([account_id for account_id, _ in entries])
            result = post_journal(accounts, [JournalPosting(id, entries, effective_at)], at)
            assert not result.refusals
            requested = [
                JournalEntry(account_id, "USD", amount, None, None, 0)
                for account_id, amount in entries
            ]
            pending = JournalTransaction(
                id,
                self.merchant_id,
                JournalStatus.PENDING,
                requested,
                None,
                {},
                None,
                effective_at,
                result.posted_at,
                None,
            )
            transaction = record_posting(
                pending, result.get_entries()[pending.id], result.posted_at
            )
            work.journal.add([transaction])
            work.ledger.save(result.posted)
            work.commit()
        return transaction

    def move(
        self, at: datetime, amount: int = 10, effective_at: datetime | None = None
    ) -> JournalTransaction:
        """From `main` to `other`."""
        return self.post(at, [(self.main, -amount), (self.other, amount)], effective_at)

    def get_balance(
        self, account_id: UUID, before: datetime | None, axis: TimeAxis = TimeAxis.POSTED
    ) -> int:
        get = self.application.balances.get
        return get(self.merchant_id, account_id, axis, before).balance

    def take_snapshots(self) -> int:
        """Until there are no more to take."""
        total = 0
        while count := self.application.balances.take_snapshots():
            total += count
        return total

    def assert_ledger_is_clean(self) -> None:
        report = self.application.ledger.verify()
        assert report.is_clean, report.findings
