"""The order of an account's posting times, on both stores, while the clock is set back."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from atomic_adapters.system import SystemIdGenerator
from atomic_core.application import Application
from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.ledger import TransactionKind
from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.lists import AccountEntry, CreatedFilter
from atomic_core.domain.payments import Status
from atomic_core.domain.posting import Leg, Posting, PostingResult, post
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Settlement
from support import (
    HOUR,
    IDS,
    Store,
    add_merchant,
    add_payment,
    build_application,
    build_payment,
    open_account,
    with_use_cases,
)

AT = datetime(2026, 11, 22, 15, 30, 13, 153_001, tzinfo=UTC)
TICK = timedelta(microseconds=1)
WORLD = world_account_id("USD")


class Postings:
    """Posts payments of two merchants at times that a test chooses."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.application: Application = build_application(store.begin)
        self.merchants: dict[UUID, UUID] = {}
        for _ in range(2):
            merchant_id = add_merchant(store.begin)
            self.merchants[open_account(store.begin, merchant_id)] = merchant_id
        self.account_id, self.other_account_id = self.merchants

    def post(self, at: datetime, account_ids: Iterable[UUID] | None = None) -> PostingResult:
        """One payment of each account in one batch."""
        account_ids = list(account_ids or [self.account_id])
        with self.store.begin() as work:
            payments = [
                add_payment(work, build_payment(self.merchants[id], 100)) for id in account_ids
            ]
            accounts = work.accounts.lock([WORLD, *account_ids])
            postings = [
                Posting(
                    IDS.new_id(),
                    payment.id,
                    TransactionKind.PAYMENT,
                    (Leg(WORLD, -100), Leg(payment.account_id, 100)),
                )
                for payment in payments
            ]
            result = post(accounts, postings, at)
            work.ledger.save(result)
            # A posting and the success that it stands for: neither is accepted alone.
            successes = [
                Settlement(payment.id, Status.SUCCESS, None, 0, None) for payment in payments
            ]
            work.payments.settle(successes, HOUR)
            work.commit()
        return result

    def list_entries(self, account_id: UUID, filter: CreatedFilter) -> list[AccountEntry]:
        merchant_id = self.merchants[account_id]
        page = self.application.accounts.list_entries(merchant_id, account_id, filter, None, 100)
        return list(page.items)

    def get_times(self, account_id: UUID) -> list[datetime]:
        """Oldest entry first."""
        entries = self.list_entries(account_id, CreatedFilter())
        return [entry.posted_at for entry in reversed(entries)]

    def find_time_findings(self) -> set[str]:
        with self.store.begin() as work:
            findings = work.ledger.verify().findings
        return {
            finding.subject for finding in findings if finding.check is LedgerCheck.TIMES_IN_ORDER
        }


@pytest.fixture
def postings(store: Store) -> Postings:
    return Postings(store)


def test_posting_time_does_not_fall_when_the_clock_is_set_back(postings: Postings) -> None:
    for at in (AT, AT - HOUR, AT - TICK, AT + TICK):
        postings.post(at)
    assert postings.get_times(postings.account_id) == [AT, AT, AT, AT + TICK]
    assert postings.find_time_findings() == set()


def test_list_by_time_skips_no_entry_after_the_clock_was_set_back(postings: Postings) -> None:
    for minutes in (0, 1, 2, -60, -59, -58, 3):
        postings.post(AT + timedelta(minutes=minutes))
    entries = postings.list_entries(postings.account_id, CreatedFilter())
    assert len(entries) == 7
    for bound in {entry.posted_at for entry in entries} | {AT - HOUR, AT + HOUR}:
        for filter in (CreatedFilter(created_from=bound), CreatedFilter(created_to=bound)):
            matching = [entry for entry in entries if filter.includes_time(entry.posted_at)]
            assert postings.list_entries(postings.account_id, filter) == matching


def test_batch_is_posted_at_the_latest_time_of_its_accounts(postings: Postings) -> None:
    """All transactions of a batch share World, so they share a time too."""
    postings.post(AT, [postings.other_account_id])
    postings.post(AT - HOUR, [postings.account_id, postings.other_account_id])
    assert postings.get_times(postings.account_id) == [AT]
    assert postings.get_times(postings.other_account_id) == [AT, AT]
    assert postings.find_time_findings() == set()


def test_locked_account_has_the_time_of_its_last_entry(postings: Postings) -> None:
    with postings.store.begin() as work:
        accounts = work.accounts.lock([WORLD, postings.account_id])
    assert {account.last_posted_at for account in accounts.values()} == {None}
    postings.post(AT)
    postings.post(AT - HOUR, [postings.other_account_id])
    ids = [WORLD, postings.account_id, postings.other_account_id]
    with postings.store.begin() as work:
        for accounts in (work.accounts.lock(ids), work.accounts.lock_available(ids)):
            assert [accounts[id].last_posted_at for id in ids] == [AT, AT, AT]
        found = work.accounts.get(postings.merchants[postings.account_id], postings.account_id)
        assert found == accounts[postings.account_id]


def test_settlement_posts_in_order_of_time(
    store: Store, postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    application, merchant_id = postings.application, postings.merchants[postings.account_id]
    application.fees.set(merchant_id, "USD", FeeTerms(fixed=1))
    for offset in (HOUR, -HOUR, timedelta(0)):
        monkeypatch.setattr(
            "atomic_core.use_cases.settlement_posting.post",
            lambda accounts, batch, now, offset=offset: post(accounts, batch, now + offset),
        )
        for _ in range(3):
            application.payments.record(build_payment(merchant_id))
        application.settlement.settle()
    assert len(set(postings.get_times(postings.account_id))) == 1
    with store.begin() as work:
        assert work.ledger.verify().is_clean
    with store.begin() as work:
        accounts = work.accounts.lock([WORLD, fee_account_id("USD"), postings.account_id])
    assert len({account.last_posted_at for account in accounts.values()}) == 1


class DescendingIds(SystemIdGenerator):
    """Time-ordered ids of a process whose clock is set back before each of them."""

    def __init__(self) -> None:
        self.last = 1 << 100

    def new_id(self) -> UUID:
        self.last -= 1
        return UUID(int=self.last)

    def new_ids(self, count: int) -> Sequence[UUID]:
        return [self.new_id() for _ in range(count)]


def test_payment_is_listed_before_refunds_with_its_posting_time(
    postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = replace(postings.application.settlement.settle, ids=DescendingIds())
    application = with_use_cases(postings.application, {"settlement.settle": settle})
    merchant_id = postings.merchants[postings.account_id]
    payment = application.payments.record(build_payment(merchant_id, 100))
    monkeypatch.setattr(
        "atomic_core.use_cases.settlement_posting.post",
        lambda accounts, batch, now: post(accounts, batch, AT),
    )
    for _ in range(3):
        application.settlement.settle()
        application.refunds.create(NewRefund(merchant_id, payment.id, 10))
    with postings.store.begin() as work:
        transactions = work.ledger.list_by_payment(payment.id)
    assert [transaction.kind for transaction in transactions] == ["payment", "refund", "refund"]
    assert {transaction.posted_at for transaction in transactions} == {AT}


def test_store_refuses_a_posting_time_that_falls(postings: Postings) -> None:
    postings.post(AT)
    with postings.store.begin() as work:
        payment = add_payment(work, build_payment(postings.merchants[postings.account_id], 100))
        work.commit()
    with pytest.raises(StorageRefused) as refusal, postings.store.begin() as work:
        accounts = work.accounts.lock([WORLD, postings.account_id])
        legs = (Leg(WORLD, -100), Leg(postings.account_id, 100))
        posting = Posting(IDS.new_id(), payment.id, TransactionKind.PAYMENT, legs)
        result = post(accounts, [posting], AT)
        work.ledger.save(set_posting_time(result, AT - TICK))
        work.commit()
    # Not only because the payment did not succeed, which would be refused last.
    assert "ledger_transactions_of_payment" not in str(refusal.value)
    assert postings.get_times(postings.account_id) == [AT]


@pytest.mark.parametrize("sequence", [2, 3])
def test_falling_posting_time_is_found(postings: Postings, sequence: int) -> None:
    results = [postings.post(AT + timedelta(minutes=minute)) for minute in range(3)]
    [transaction] = results[sequence - 1].transactions
    postings.store.tampering.set_posted_at(transaction.id, AT - TICK)
    expected = {f"{id}#{sequence}" for id in (WORLD, postings.account_id)}
    assert postings.find_time_findings() == expected


def test_time_of_account_after_its_last_entry_is_found(postings: Postings) -> None:
    """All later entries would get this time."""
    postings.post(AT)
    postings.store.tampering.set_last_posted_at(postings.account_id, AT + HOUR)
    assert postings.find_time_findings() == {f"{postings.account_id}#1"}


def set_posting_time(result: PostingResult, at: datetime) -> PostingResult:
    return replace(
        result,
        transactions=[row._replace(posted_at=at) for row in result.transactions],
        accounts=[replace(account, last_posted_at=at) for account in result.accounts],
    )
