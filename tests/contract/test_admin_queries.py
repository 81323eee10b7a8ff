"""Admin queries and retries by operators, on both stores."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from atomic_adapters.memory.services import MemoryJobQueue
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.accounts import AccountType, fee_account_id, world_account_id
from atomic_core.domain.admin_queries import AdminPayment, AdminRefund, WalkedPage
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import EventType
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.ledger import NewAccount
from bookkeeping_network import UNKNOWN, BookkeepingNetwork
from support import HOUR, IDS, NOW, Store, add_merchant, build_application, build_payment

FAULTY = "tok_noAnswer"


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def application(store: Store) -> Application:
    return build_application(store.begin)


def get_payment(application: Application, payment: Payment) -> Payment:
    return application.payments.get(payment.merchant_id, payment.id)


def create_refund(application: Application, payment: Payment, amount: int = 100) -> Refund:
    new_refund = NewRefund(payment.merchant_id, payment.id, amount, "damaged")
    with application.refunds.create.begin() as work:
        refund = application.refunds.create.execute(work, new_refund)
        work.commit()
    return refund


def test_merchants_are_listed_newest_first_up_to_limit(
    store: Store, application: Application
) -> None:
    merchant_ids = [add_merchant(store.begin, f"Shop {n}") for n in range(4)]
    assert [merchant.id for merchant in application.admin.list_merchants(3)] == merchant_ids[:0:-1]
    assert [merchant.name for merchant in application.admin.list_merchants(1)] == ["Shop 3"]


def test_accounts_are_listed_newest_first_by_merchant_and_currency(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    other_id = add_merchant(store.begin)
    account_ids = [
        application.accounts.open(NewAccount(owner, "Shop", currency)).id
        for owner, currency in [(merchant_id, "USD"), (other_id, "USD"), (merchant_id, "JPY")]
    ]

    def list_ids(*filters: Any) -> list[UUID]:
        return [account.id for account in application.admin.list_accounts(*filters)]

    assert list_ids(10) == account_ids[::-1], "without system accounts"
    assert list_ids(2) == account_ids[:0:-1]
    assert list_ids(9, other_id) == [account_ids[1]]
    assert list_ids(9, None, "USD") == [account_ids[1], account_ids[0]]
    assert list_ids(9, merchant_id, "JPY") == [account_ids[2]]
    assert list_ids(9, other_id, "JPY") == []
    with pytest.raises(NotFound):
        application.admin.list_accounts(9, IDS.new_id())
    with pytest.raises(ValidationFailed):
        application.admin.list_accounts(9, None, "usd")


def test_heads_of_all_accounts_are_read_in_pages(
    application: Application, merchant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_core.use_cases.admin_queries.HEADS_PER_READ", 2)
    application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    application.accounts.open(NewAccount(merchant_id, "Shop", "EUR"))
    heads = list(application.admin.list_account_heads())
    assert len(heads) == 2 + 2 * 2, "of the merchant, and the system accounts of two currencies"
    assert [head.id for head in heads] == sorted(head.id for head in heads)
    for id, sequence, head in heads:
        account = application.admin.get_account(id, 1).account
        assert (account.sequence, account.head) == (sequence, head)


def test_currency_has_two_system_accounts_from_first_use(
    application: Application, merchant_id: UUID
) -> None:
    assert application.admin.get_system_accounts() == {}
    application.accounts.open(NewAccount(merchant_id, "Shop", "KWD"))
    application.accounts.open_system_accounts(["BHD"])
    system_accounts = application.admin.get_system_accounts()
    assert list(system_accounts) == ["BHD", "KWD"]
    for currency, accounts in system_accounts.items():
        assert accounts.world
        assert accounts.fees
        assert (accounts.world.id, accounts.world.type) == (
            world_account_id(currency),
            AccountType.ASSET,
        )
        assert (accounts.fees.id, accounts.fees.type) == (
            fee_account_id(currency),
            AccountType.REVENUE,
        )


def test_account_details_contain_latest_entries(
    application: Application, merchant_id: UUID
) -> None:
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0))
    payments = [
        application.payments.record(build_payment(merchant_id, amount)) for amount in (1, 200)
    ]
    application.settlement.settle()
    details = application.admin.get_account(payments[0].account_id, 1)
    assert details.account.balance == 199
    assert [(entry.payment_id, entry.amount) for entry in details.entries] == [
        (payments[1].id, 198)
    ]
    world = application.admin.get_account(world_account_id("USD"), 10)
    assert [entry.amount for entry in world.entries] == [-200, -1]
    with pytest.raises(NotFound):
        application.admin.get_account(IDS.new_id(), 1)


def test_payments_are_listed_by_merchant_and_status(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    other_id = add_merchant(store.begin)
    successful, declined, held = (
        application.payments.record(build_payment(merchant_id)),
        application.payments.record(build_payment(other_id, source="tok_chargeDeclined")),
        application.payments.record(
            NewPayment(other_id, Money(1, "USD"), "tok_visa", capture=CaptureMethod.MANUAL)
        ),
    )
    application.settlement.settle()
    pending = application.payments.record(build_payment(merchant_id))

    def list_ids(*filters: Any) -> list[UUID]:
        return [payment.id for payment in application.admin.list_payments(10, *filters).items]

    assert list_ids() == [pending.id, held.id, declined.id, successful.id]
    assert [payment.id for payment in application.admin.list_payments(1).items] == [pending.id]
    assert list_ids(None, Status.PENDING) == [pending.id]
    assert list_ids(None, Status.PROCESSING) == []
    assert list_ids(None, Status.AUTHORIZED) == [held.id]
    assert list_ids(None, Status.FAILED) == [declined.id]
    assert list_ids(None, Status.SUCCESS) == [successful.id]
    assert list_ids(merchant_id) == [pending.id, successful.id]
    assert list_ids(other_id, Status.FAILED) == [declined.id]
    assert application.admin.list_payments(1, None, Status.AUTHORIZED).items[0] == get_payment(
        application, held
    )
    with pytest.raises(NotFound):
        list_ids(IDS.new_id())


def test_payment_details_contain_refunds_events_and_progress(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    first, second = create_refund(application, payment), create_refund(application, payment, 50)
    details = application.admin.get_payment(payment.id)
    assert details.admin_payment.payment == get_payment(application, payment)
    assert details.admin_payment.progress.faults == 0
    assert details.admin_payment.progress.leased_until is None
    assert [admin_refund.refund for admin_refund in details.refunds] == [second, first]
    assert [event.event.type for event in details.events] == [
        EventType.CREATED,
        EventType.PROCESSING,
        EventType.SUCCEEDED,
        EventType.REFUND_CREATED,
        EventType.REFUND_CREATED,
    ]
    with pytest.raises(NotFound):
        application.admin.get_payment(first.id)


def test_merchant_details_contain_accounts_fees_and_keys(
    application: Application, merchant_id: UUID
) -> None:
    opened = [
        application.accounts.open(NewAccount(merchant_id, "Shop", currency)).id
        for currency in ("USD", "JPY")
    ]
    application.fees.set(merchant_id, "JPY", FeeTerms(1, 2))
    issued = application.api_keys.issue(merchant_id, "till")
    details = application.admin.get_merchant(merchant_id, 10)
    assert details.merchant.id == merchant_id
    assert [account.id for account in details.accounts] == opened
    assert [(fee.currency, fee.terms) for fee in details.fees] == [("JPY", FeeTerms(1, 2))]
    assert [key.id for key in details.keys] == [issued.key.id]
    with pytest.raises(NotFound):
        application.admin.get_merchant(IDS.new_id(), 10)


def test_retry_ends_back_off_of_payment(store: Store, merchant_id: UUID) -> None:
    queue = MemoryJobQueue()
    application = build_application(store.begin, job_queue=queue)
    payment = application.payments.record(build_payment(merchant_id, source=FAULTY))
    assert application.settlement.settle() == 1
    assert application.settlement.settle() == 0, "the back-off has not ended"
    queue.clear(Job.SETTLE)

    before = application.admin.retry_payment(payment.id)

    assert isinstance(before, AdminPayment)
    assert (before.payment.attempt, before.progress.faults) == (1, 1)
    assert before.progress.due_at > before.payment.updated_at
    assert queue.notified_jobs == {Job.SETTLE}
    after = application.admin.get_payment(payment.id).admin_payment
    assert (after.payment.attempt, after.progress.faults) == (1, 1)
    assert application.settlement.settle() == 1
    second = application.admin.get_payment(payment.id).admin_payment
    assert (second.payment.attempt, second.progress.faults) == (2, 2), (
        "retry does not reset the fault count"
    )


def test_retry_ends_back_off_of_refund(store: Store, merchant_id: UUID) -> None:
    network = BookkeepingNetwork(fault=lambda method, _: UNKNOWN if method == "refund" else None)
    application = build_application(store.begin, card_network=network)
    payment = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    refund = create_refund(application, payment)
    assert application.settlement.settle() == 1
    assert application.settlement.settle() == 0
    before = application.admin.retry_payment(refund.id)
    assert isinstance(before, AdminRefund)
    assert (before.refund.status, before.refund.attempt) == (Status.PROCESSING, 1)
    assert application.settlement.settle() == 1
    [admin_refund] = application.admin.get_payment(payment.id).refunds
    assert (admin_refund.refund.attempt, admin_refund.progress.faults) == (2, 2)
    assert application.ledger.verify().is_clean


def test_retry_ends_lease_of_live_worker(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    with store.begin() as work:
        [claim] = work.payments.claim(10, HOUR, NOW, store.start_worker().worker_id())
        work.commit()
    assert application.settlement.settle() == 0, "a live worker holds the claim"

    application.admin.retry_payment(payment.id)

    with store.begin() as work:
        assert work.payments.lock_claims([claim]) == [claim], (
            "the claim is valid until another worker claims the payment"
        )
    assert application.settlement.settle() == 1
    with store.begin() as work:
        assert work.payments.lock_claims([claim]) == []
    assert get_payment(application, payment).attempt == 2
    assert application.ledger.verify().transactions == 1


class OvertakenNetwork(SandboxCardNetwork):
    """During its first call, an operator retries the payment and another worker settles it."""

    def __init__(self, other_application: Application) -> None:
        super().__init__()
        self.other_application = other_application

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        for claim in claims:
            self.other_application.admin.retry_payment(claim.id)
        assert self.other_application.settlement.settle() == len(claims)
        return super().authorize(claims)


def test_worker_whose_claim_was_taken_over_posts_nothing(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    slow = build_application(store.begin, card_network=OvertakenNetwork(application))
    payment = slow.payments.record(build_payment(merchant_id, 5_000))
    slow.settlement.settle()
    assert get_payment(application, payment).attempt == 2
    assert application.accounts.get(merchant_id, payment.account_id).balance == 5_000
    report = application.ledger.verify()
    assert (report.is_clean, report.transactions) == (True, 1)


def test_retry_of_due_payment_changes_nothing(application: Application, merchant_id: UUID) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    before = application.admin.retry_payment(payment.id)
    assert application.admin.get_payment(payment.id).admin_payment == before
    assert application.settlement.settle() == 1


@pytest.mark.parametrize("source", ["tok_visa", "tok_chargeDeclined"])
def test_retry_of_settled_payment_raises_conflict(
    application: Application, merchant_id: UUID, source: str
) -> None:
    payment = application.payments.record(build_payment(merchant_id, source=source))
    application.settlement.settle()
    before = application.admin.get_payment(payment.id)
    with pytest.raises(Conflict, match=f"settled as {before.admin_payment.payment.status}"):
        application.admin.retry_payment(payment.id)
    assert application.admin.get_payment(payment.id) == before
    assert application.settlement.settle() == 0


def test_retry_of_settled_refund_or_hold_raises_conflict(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    held = application.payments.record(
        NewPayment(merchant_id, Money(1, "USD"), "tok_visa", capture=CaptureMethod.MANUAL)
    )
    application.settlement.settle()
    refund = create_refund(application, payment)
    application.settlement.settle()
    with pytest.raises(Conflict, match="This refund is settled as SUCCESS"):
        application.admin.retry_payment(refund.id)
    with pytest.raises(Conflict, match="AUTHORIZED: it waits for its capture"):
        application.admin.retry_payment(held.id)
    with pytest.raises(NotFound):
        application.admin.retry_payment(IDS.new_id())
    assert application.settlement.settle() == 0


def test_make_due_without_commit_is_rolled_back(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id, source=FAULTY))
    application.settlement.settle()
    with store.begin() as work:
        assert work.payments.make_due(payment.id)
        assert not work.payments.make_due(IDS.new_id())
        assert not work.refunds.make_due(payment.id)
    assert application.settlement.settle() == 0


def test_lists_continue_after_an_item(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    other_id = add_merchant(store.begin)
    payments = [
        application.payments.record(build_payment(owner, amount)).id
        for owner, amount in [(merchant_id, 1), (other_id, 2), (merchant_id, 3)]
    ]
    application.settlement.settle()
    refunds = [application.refunds.create(NewRefund(merchant_id, payments[0], 1)).id]
    refunds.append(application.refunds.create(NewRefund(other_id, payments[1], 2)).id)
    admin = application.admin

    def list_ids(page: WalkedPage[Payment] | WalkedPage[Refund]) -> list[UUID]:
        assert page.next_after is None
        return [item.id for item in page.items]

    assert list_ids(admin.list_payments(9, None, None, payments[2])) == payments[1::-1]
    assert list_ids(admin.list_payments(9, merchant_id, None, payments[2])) == [payments[0]]
    assert list_ids(admin.list_refunds(9)) == refunds[::-1]
    assert list_ids(admin.list_refunds(9, None, Status.SUCCESS)) == []
    assert list_ids(admin.list_refunds(9, None, None, refunds[1])) == [refunds[0]]
    assert list_ids(admin.list_refunds(9, other_id)) == [refunds[1]]
    assert admin.list_payments(2).next_after == payments[1]
    assert admin.list_payments(1, merchant_id).next_after == payments[2]
    assert admin.list_refunds(1).next_after == refunds[1]
    assert admin.list_refunds(1, other_id).next_after == refunds[1]
    for status in Status:
        following = admin.list_payments(9, None, status, payments[2])
        assert list_ids(following) == (payments[1::-1] if status is Status.SUCCESS else [])
        pending = refunds[::-1] if status is Status.PENDING else []
        assert list_ids(admin.list_refunds(9, None, status)) == pending
    merchants = [merchant.id for merchant in admin.list_merchants(9)]
    assert [merchant.id for merchant in admin.list_merchants(9, merchants[0])] == merchants[1:]
    accounts = [account.id for account in admin.list_accounts(9)]
    assert [account.id for account in admin.list_accounts(9, None, None, accounts[0])] == (
        accounts[1:]
    )
    # The account of the position has another currency.
    assert admin.list_accounts(9, None, "EUR", accounts[0]) == []
    for list_after in (
        lambda: admin.list_payments(9, None, None, IDS.new_id()),
        lambda: admin.list_refunds(9, None, None, IDS.new_id()),
        lambda: admin.list_accounts(9, None, None, IDS.new_id()),
        lambda: admin.list_merchants(9, IDS.new_id()),
    ):
        with pytest.raises(NotFound):
            list_after()
