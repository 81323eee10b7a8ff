"""An operator's retry, at the very moment that settlers are at work."""

from functools import partial
from typing import Final
from uuid import UUID

from atomic_core.application import Application
from atomic_core.domain.errors import Conflict
from atomic_core.domain.payments import Status
from atomic_core.domain.refunds import NewRefund
from support import Store, add_merchant, build_application, build_payment, run_concurrently

ROUNDS: Final = 100


def retry(application: Application, id: UUID) -> bool:
    """Whether it was still open."""
    try:
        application.admin.retry_payment(id)
    except Conflict:
        return False
    return True


def test_payment_made_due_during_settlement_is_posted_once(postgres_store: Store) -> None:
    applications = [build_application(postgres_store.begin) for _ in range(4)]
    merchant_id = add_merchant(postgres_store.begin)
    application = applications[0]
    payments = [
        application.payments.record(build_payment(merchant_id, n + 1)) for n in range(ROUNDS)
    ]
    for payment in payments:
        run_concurrently(
            [
                applications[0].settlement.settle,
                partial(retry, applications[1], payment.id),
                applications[2].settlement.settle,
                partial(retry, applications[3], payment.id),
            ]
        )
    application.settlement.settle()
    settled = application.admin.list_payments(1_000).items
    assert {payment.status for payment in settled} == {Status.SUCCESS}
    account = application.accounts.get(merchant_id, payments[0].account_id)
    assert account.balance == sum(range(1, ROUNDS + 1))
    report = application.ledger.verify()
    assert (report.is_clean, report.transactions) == (True, ROUNDS)


def test_refund_made_due_during_settlement_is_posted_once(postgres_store: Store) -> None:
    application, other = (build_application(postgres_store.begin) for _ in range(2))
    merchant_id = add_merchant(postgres_store.begin)
    payment = application.payments.record(build_payment(merchant_id, ROUNDS))
    application.settlement.settle()
    for _ in range(ROUNDS):
        with application.refunds.create.begin() as work:
            refund = application.refunds.create.execute(work, NewRefund(merchant_id, payment.id, 1))
            work.commit()
        run_concurrently(
            [
                application.settlement.settle,
                partial(retry, application, refund.id),
                other.settlement.settle,
                partial(retry, other, refund.id),
            ]
        )
    application.settlement.settle()
    assert application.accounts.get(merchant_id, payment.account_id).balance == 0
    file = application.admin.get_payment(payment.id)
    assert {each.refund.status for each in file.refunds} == {Status.SUCCESS}
    report = application.ledger.verify()
    assert (report.is_clean, report.transactions) == (True, 1 + ROUNDS)
