"""An operator's retry, at the very moment that settlers are at work."""

from functools import partial
from typing import Final
from uuid import UUID

from atomic_core.application import Application
from atomic_core.domain.errors import Conflict
from atomic_core.domain.payments import Status
from atomic_core.domain.refunds import NewRefund
from support import Store, add_merchant, application_over, at_once, order

ROUNDS: Final = 100


def retry(application: Application, id: UUID) -> bool:
    """Whether it was still open."""
    try:
        application.retry(id)
    except Conflict:
        return False
    return True


def test_a_payment_hastened_while_it_is_settled_is_posted_once(postgres_store: Store) -> None:
    applications = [application_over(postgres_store.begin) for _ in range(4)]
    merchant_id = add_merchant(postgres_store.begin)
    application = applications[0]
    payments = [application.accept_payment(order(merchant_id, n + 1)) for n in range(ROUNDS)]
    for payment in payments:
        at_once(
            [
                applications[0].settle_payments,
                partial(retry, applications[1], payment.id),
                applications[2].settle_payments,
                partial(retry, applications[3], payment.id),
            ]
        )
    application.settle_payments()
    settled = application.all_payments(1_000)
    assert {payment.status for payment in settled} == {Status.SUCCESS}
    account = application.get_account(merchant_id, payments[0].account_id)
    assert account.balance == sum(range(1, ROUNDS + 1))
    report = application.verify_ledger()
    assert (report.clean, report.transactions) == (True, ROUNDS)


def test_a_refund_hastened_while_it_is_settled_is_given_back_once(postgres_store: Store) -> None:
    application, other = (application_over(postgres_store.begin) for _ in range(2))
    merchant_id = add_merchant(postgres_store.begin)
    payment = application.accept_payment(order(merchant_id, ROUNDS))
    application.settle_payments()
    for _ in range(ROUNDS):
        with application.refund_payment.begin() as work:
            refund = application.refund_payment.within(work, NewRefund(merchant_id, payment.id, 1))
            work.commit()
        at_once(
            [
                application.settle_payments,
                partial(retry, application, refund.id),
                other.settle_payments,
                partial(retry, other, refund.id),
            ]
        )
    application.settle_payments()
    assert application.get_account(merchant_id, payment.account_id).balance == 0
    file = application.open_payment_file(payment.id)
    assert {each.refund.status for each in file.refunds} == {Status.SUCCESS}
    report = application.verify_ledger()
    assert (report.clean, report.transactions) == (True, 1 + ROUNDS)
