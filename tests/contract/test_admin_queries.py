"""What operators see and may hasten, on both stores."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from atomic_adapters.memory.services import MemoryJobQueue
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.accounts import AccountType, fee_account_id, world_account_id
from atomic_core.domain.admin_queries import AdminPayment, AdminRefund
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import Event
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Capture, NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.ledger import NewAccount
from support import HOUR, IDS, NOW, Store, add_merchant, application_over, order

FAULTY = "tok_chargeDeclinedProcessingError"


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def application(store: Store) -> Application:
    return application_over(store.begin)


def seen(application: Application, payment: Payment) -> Payment:
    return application.payments.get(payment.merchant_id, payment.id)


def refunded(application: Application, payment: Payment, amount: int = 100) -> Refund:
    new = NewRefund(payment.merchant_id, payment.id, amount, "damaged")
    with application.refunds.create.begin() as work:
        refund = application.refunds.create.within(work, new)
        work.commit()
    return refund


def test_merchants_are_listed_newest_first_up_to_a_limit(
    store: Store, application: Application
) -> None:
    made = [add_merchant(store.begin, f"Shop {n}") for n in range(4)]
    assert [each.id for each in application.admin.list_merchants(3)] == made[:0:-1]
    assert [each.name for each in application.admin.list_merchants(1)] == ["Shop 3"]


def test_accounts_of_everybody_or_of_one(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    other = add_merchant(store.begin)
    opened = [
        application.accounts.open(NewAccount(owner, "Shop", currency)).id
        for owner, currency in [(merchant_id, "USD"), (other, "USD"), (merchant_id, "JPY")]
    ]
    listed = [account.id for account in application.admin.list_accounts(10)]
    assert listed == opened[::-1], "newest first, and none of the house's"
    assert [each.id for each in application.admin.list_accounts(2)] == opened[:0:-1]
    assert [each.id for each in application.admin.list_accounts(9, other)] == [opened[1]]
    assert [each.id for each in application.admin.list_accounts(9, None, "USD")] == [
        opened[1],
        opened[0],
    ]
    assert [each.id for each in application.admin.list_accounts(9, merchant_id, "JPY")] == [
        opened[2]
    ]
    assert application.admin.list_accounts(9, other, "JPY") == []
    with pytest.raises(NotFound):
        application.admin.list_accounts(9, IDS.new_id())
    with pytest.raises(ValidationFailed):
        application.admin.list_accounts(9, None, "usd")


def test_the_house_has_two_accounts_in_a_currency_from_its_first_use_on(
    application: Application, merchant_id: UUID
) -> None:
    assert application.admin.get_system_accounts() == {}
    application.accounts.open(NewAccount(merchant_id, "Shop", "KWD"))
    application.accounts.open_system_accounts(["BHD"])
    house = application.admin.get_system_accounts()
    assert list(house) == ["BHD", "KWD"]
    for currency, own in house.items():
        assert own.world
        assert own.fees
        assert (own.world.id, own.world.type) == (world_account_id(currency), AccountType.ASSET)
        assert (own.fees.id, own.fees.type) == (fee_account_id(currency), AccountType.REVENUE)


def test_an_account_is_shown_with_its_last_entries(
    application: Application, merchant_id: UUID
) -> None:
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0))
    payments = [application.payments.accept(order(merchant_id, amount)) for amount in (1, 200)]
    application.settlement.settle()
    file = application.admin.get_account(payments[0].account_id, 1)
    assert file.account.balance == 199
    assert [(each.payment_id, each.amount) for each in file.entries] == [(payments[1].id, 198)]
    world = application.admin.get_account(world_account_id("USD"), 10)
    assert [entry.amount for entry in world.entries] == [-200, -1]
    with pytest.raises(NotFound):
        application.admin.get_account(IDS.new_id(), 1)


def test_payments_of_everybody_by_status(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    other = add_merchant(store.begin)
    good, bad, held = (
        application.payments.accept(order(merchant_id)),
        application.payments.accept(order(other, source="tok_chargeDeclined")),
        application.payments.accept(
            NewPayment(other, Money(1, "USD"), "tok_visa", capture=Capture.MANUAL)
        ),
    )
    application.settlement.settle()
    fresh = application.payments.accept(order(merchant_id))

    def ids(*wanted: object) -> list[UUID]:
        return [each.id for each in application.admin.list_payments(10, *wanted)]  # pyright: ignore[reportArgumentType]

    assert ids() == [fresh.id, held.id, bad.id, good.id]
    assert [each.id for each in application.admin.list_payments(1)] == [fresh.id]
    assert ids(None, Status.PENDING) == [fresh.id]
    assert ids(None, Status.PROCESSING) == []
    assert ids(None, Status.AUTHORIZED) == [held.id]
    assert ids(None, Status.FAILED) == [bad.id]
    assert ids(None, Status.SUCCESS) == [good.id]
    assert ids(merchant_id) == [fresh.id, good.id]
    assert ids(other, Status.FAILED) == [bad.id]
    assert application.admin.list_payments(1, None, Status.AUTHORIZED)[0] == seen(application, held)
    with pytest.raises(NotFound):
        ids(IDS.new_id())


def test_a_payments_file_holds_all_that_is_kept_of_it(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.accept(order(merchant_id))
    application.settlement.settle()
    first, second = refunded(application, payment), refunded(application, payment, 50)
    file = application.admin.get_payment(payment.id)
    assert file.overseen.payment == seen(application, payment)
    assert file.overseen.progress.faults == 0
    assert file.overseen.progress.leased_until is None
    assert [each.refund for each in file.refunds] == [second, first]
    assert [each.event.event for each in file.told] == [
        Event.CREATED,
        Event.PROCESSING,
        Event.SUCCEEDED,
        Event.REFUND_CREATED,
        Event.REFUND_CREATED,
    ]
    with pytest.raises(NotFound):
        application.admin.get_payment(first.id)


def test_a_merchants_file_holds_accounts_fees_and_keys(
    application: Application, merchant_id: UUID
) -> None:
    opened = [
        application.accounts.open(NewAccount(merchant_id, "Shop", currency)).id
        for currency in ("USD", "JPY")
    ]
    application.fees.set(merchant_id, "JPY", FeeTerms(1, 2))
    issued = application.api_keys.issue(merchant_id, "till")
    file = application.admin.get_merchant(merchant_id, 10)
    assert file.merchant.id == merchant_id
    assert [account.id for account in file.accounts] == opened
    assert [(fee.currency, fee.terms) for fee in file.fees] == [("JPY", FeeTerms(1, 2))]
    assert [key.id for key in file.keys] == [issued.key.id]
    with pytest.raises(NotFound):
        application.admin.get_merchant(IDS.new_id(), 10)


def test_a_back_off_can_be_ended(store: Store, merchant_id: UUID) -> None:
    queue = MemoryJobQueue()
    application = application_over(store.begin, queue=queue)
    payment = application.payments.accept(order(merchant_id, source=FAULTY))
    assert application.settlement.settle() == 1
    assert application.settlement.settle() == 0, "its back-off runs"
    queue.clear(Job.SETTLE)

    before = application.admin.retry_payment(payment.id)

    assert isinstance(before, AdminPayment)
    assert (before.payment.attempt, before.progress.faults) == (1, 1)
    assert before.progress.due_at > before.payment.updated_at
    assert queue.ringing == {Job.SETTLE}
    after = application.admin.get_payment(payment.id).overseen
    assert (after.payment.attempt, after.progress.faults) == (1, 1)
    assert application.settlement.settle() == 1
    again = application.admin.get_payment(payment.id).overseen
    assert (again.payment.attempt, again.progress.faults) == (2, 2), "faults still count"
    application.admin.retry_payment(payment.id)
    application.settlement.settle()
    assert seen(application, payment).failure_reason == "processing_error"


def test_a_refunds_back_off_can_be_ended(application: Application, merchant_id: UUID) -> None:
    payment = application.payments.accept(order(merchant_id, source="tok_refundProcessingError"))
    application.settlement.settle()
    refund = refunded(application, payment)
    assert application.settlement.settle() == 1
    assert application.settlement.settle() == 0
    before = application.admin.retry_payment(refund.id)
    assert isinstance(before, AdminRefund)
    assert (before.refund.status, before.refund.attempt) == (Status.PROCESSING, 1)
    assert application.settlement.settle() == 1
    [overseen] = application.admin.get_payment(payment.id).refunds
    assert (overseen.refund.attempt, overseen.progress.faults) == (2, 2)
    assert application.ledger.verify().clean


def test_a_lease_can_be_ended_also_that_of_one_who_is_present(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.accept(order(merchant_id))
    with store.begin() as work:
        [stuck] = work.payments.claim(10, HOUR, NOW, store.appear().worker_id())
        work.commit()
    assert application.settlement.settle() == 0, "somebody has it"

    application.admin.retry_payment(payment.id)

    with store.begin() as work:
        assert work.payments.hold([stuck]) == {payment.id}, "they may still finish it"
    assert application.settlement.settle() == 1
    with store.begin() as work:
        assert work.payments.hold([stuck]) == frozenset(), "but not any more"
    assert seen(application, payment).attempt == 2
    assert application.ledger.verify().transactions == 1


class Overtaken(SandboxCardNetwork):
    """While it is asked the first time, an operator hastens the payment and somebody else settles
    it."""

    def __init__(self, other: Application) -> None:
        super().__init__()
        self.other = other

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        for claim in claims:
            self.other.admin.retry_payment(claim.id)
        assert self.other.settlement.settle() == len(claims)
        return super().authorize(claims)


def test_whoever_was_overtaken_changes_nothing(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    slow = application_over(store.begin, network=Overtaken(application))
    payment = slow.payments.accept(order(merchant_id, 5_000))
    slow.settlement.settle()
    assert seen(application, payment).attempt == 2
    assert application.accounts.get(merchant_id, payment.account_id).balance == 5_000
    report = application.ledger.verify()
    assert (report.clean, report.transactions) == (True, 1)


def test_hastening_what_is_due_changes_nothing(application: Application, merchant_id: UUID) -> None:
    payment = application.payments.accept(order(merchant_id))
    before = application.admin.retry_payment(payment.id)
    assert application.admin.get_payment(payment.id).overseen == before
    assert application.settlement.settle() == 1


@pytest.mark.parametrize("source", ["tok_visa", "tok_chargeDeclined"])
def test_what_is_settled_stays_so(application: Application, merchant_id: UUID, source: str) -> None:
    payment = application.payments.accept(order(merchant_id, source=source))
    application.settlement.settle()
    before = application.admin.get_payment(payment.id)
    with pytest.raises(Conflict, match=f"settled as {before.overseen.payment.status}"):
        application.admin.retry_payment(payment.id)
    assert application.admin.get_payment(payment.id) == before
    assert application.settlement.settle() == 0


def test_neither_a_settled_refund_nor_a_hold_is_retried(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.accept(order(merchant_id))
    held = application.payments.accept(
        NewPayment(merchant_id, Money(1, "USD"), "tok_visa", capture=Capture.MANUAL)
    )
    application.settlement.settle()
    refund = refunded(application, payment)
    application.settlement.settle()
    with pytest.raises(Conflict, match="This refund is settled as SUCCESS"):
        application.admin.retry_payment(refund.id)
    with pytest.raises(Conflict, match="AUTHORIZED: it waits for its capture"):
        application.admin.retry_payment(held.id)
    with pytest.raises(NotFound):
        application.admin.retry_payment(IDS.new_id())
    assert application.settlement.settle() == 0


def test_hastening_without_a_commit_is_undone(
    store: Store, application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.accept(order(merchant_id, source=FAULTY))
    application.settlement.settle()
    with store.begin() as work:
        assert work.payments.hasten(payment.id)
        assert not work.payments.hasten(IDS.new_id())
        assert not work.refunds.hasten(payment.id)
    assert application.settlement.settle() == 0
