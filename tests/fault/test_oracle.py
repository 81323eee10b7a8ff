"""The audits find every kind of inconsistency: a check that never failed proves nothing."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment, Status
from atomic_core.domain.refunds import NewRefund
from fault.auditor import Auditor, audit, run_final_audit
from fault.oracle import Acknowledgement, Merchant, Oracle, PaymentRequest, RefundRequest
from support import IDS, Store, add_merchant, build_application, open_account


@dataclass
class Recorded:
    """A successful and a declined payment, in the database and in the model."""

    store: Store
    oracle: Oracle
    successful: PaymentRequest
    declined: PaymentRequest
    connection: psycopg.Connection[Any]

    def audit(self) -> set[str]:
        """Return the invariants that the final audit finds violated."""
        run_final_audit(self.connection, self.oracle)
        return {violation.split()[2] for violation in self.oracle.violations}


@pytest.fixture
def recorded(postgres_store: Store, database_url: str) -> Iterator[Recorded]:
    oracle = Oracle()
    begin = postgres_store.begin
    merchant_id = add_merchant(begin)
    merchant = Merchant(merchant_id, "", {"USD": open_account(begin, merchant_id)})
    application = build_application(begin)
    requests = [
        PaymentRequest("successful", merchant, 700, "USD", "tok_visa"),
        PaymentRequest("declined", merchant, 300, "USD", "tok_chargeDeclined"),
    ]
    oracle.add_payment_requests(requests)
    for request in requests:
        new_payment = NewPayment(
            merchant_id, Money(request.amount, "USD"), request.source, request.token
        )
        payment = application.payments.record(new_payment)
        request.payment_id = str(payment.id)
        request.acknowledgement = Acknowledgement.ACCEPTED
    application.settlement.settle()
    with psycopg.connect(database_url, autocommit=True) as connection:
        successful, declined = requests
        yield Recorded(postgres_store, oracle, successful, declined, connection)


def test_consistent_ledger_has_no_violation(recorded: Recorded) -> None:
    assert recorded.audit() == set()
    assert {"I1", "I2", "I3", "I4", "I5", "I6", "I9", "time"} <= recorded.oracle.check_counts.keys()


def _delete_acknowledged_payment(recorded: Recorded) -> None:
    recorded.store.tampering.delete_payment(_id(recorded.declined))


def _forget_payment_request(recorded: Recorded) -> None:
    del recorded.oracle.payment_requests["declined"]


def _mark_recorded_payment_refused(recorded: Recorded) -> None:
    recorded.declined.acknowledgement = Acknowledgement.REFUSED


def _change_requested_amount(recorded: Recorded) -> None:
    recorded.declined.amount = 301


def _set_wrong_status(recorded: Recorded) -> None:
    recorded.store.tampering.set_status(_id(recorded.declined), Status.FAILED)


def _leave_payment_open(recorded: Recorded) -> None:
    recorded.store.tampering.set_status(_id(recorded.declined), Status.PENDING)


def _post_failed_payment(recorded: Recorded) -> None:
    recorded.store.tampering.add_empty_transaction(IDS.new_id(), _id(recorded.declined))


def _delete_posting(recorded: Recorded) -> None:
    recorded.store.tampering.delete_payment_transaction(_id(recorded.successful))


def _change_entry_amount(recorded: Recorded) -> None:
    account_id = recorded.successful.merchant.account_ids["USD"]
    recorded.store.tampering.set_entry_amount(account_id, 1, 701)


def _change_balance(recorded: Recorded) -> None:
    recorded.store.tampering.set_balance(recorded.successful.merchant.account_ids["USD"], 699)


def _add_pending_amount_without_hold(recorded: Recorded) -> None:
    recorded.store.tampering.set_pending(recorded.successful.merchant.account_ids["USD"], 1, 0)


def _create_refund_without_request(recorded: Recorded) -> None:
    _create_refund(recorded)


def _omit_accepted_refund(recorded: Recorded) -> None:
    recorded.oracle.add_refund_request(
        RefundRequest("gone", recorded.successful, 100, is_accepted=True)
    )


def _record_refused_refund(recorded: Recorded) -> None:
    recorded.oracle.add_refund_request(
        RefundRequest("back", recorded.successful, 100, is_accepted=False)
    )
    _create_refund(recorded)


def _capture_without_request(recorded: Recorded) -> None:
    recorded.successful.is_manual_capture = True


def _create_refund(recorded: Recorded) -> None:
    application = build_application(recorded.store.begin)
    merchant, payment_id = recorded.successful.merchant, _id(recorded.successful)
    application.refunds.create(NewRefund(merchant.id, payment_id, 100, "back"))
    application.settlement.settle()


def _leave_request_unanswered(recorded: Recorded) -> None:
    recorded.declined.acknowledgement = Acknowledgement.NONE


@pytest.mark.parametrize(
    ("corrupt", "invariant"),
    [
        (_delete_acknowledged_payment, "I9"),
        (_forget_payment_request, "I9"),
        (_mark_recorded_payment_refused, "I9"),
        (_change_requested_amount, "I9"),
        (_set_wrong_status, "I4"),
        (_leave_payment_open, "I4"),
        (_post_failed_payment, "I5"),
        (_delete_posting, "I5"),
        (_change_entry_amount, "I1"),
        (_change_entry_amount, "I6"),
        (_change_balance, "I2"),
        (_leave_request_unanswered, "response"),
        (_add_pending_amount_without_hold, "holds"),
        (_create_refund_without_request, "I9"),
        (_omit_accepted_refund, "I9"),
        (_record_refused_refund, "I9"),
        (_capture_without_request, "I4"),
    ],
)
def test_audit_finds_violation(
    recorded: Recorded, corrupt: Callable[[Recorded], None], invariant: str
) -> None:
    corrupt(recorded)
    assert invariant in recorded.audit()


def test_audit_finds_duplicate_payment(recorded: Recorded) -> None:
    duplicate = NewPayment(
        recorded.successful.merchant.id, Money(700, "USD"), "tok_visa", "successful"
    )
    application = build_application(recorded.store.begin)
    application.payments.record(duplicate)
    application.settlement.settle()
    assert "I5" in recorded.audit()


def test_consistent_refund_has_no_violation(recorded: Recorded) -> None:
    recorded.oracle.add_refund_request(
        RefundRequest("back", recorded.successful, 100, is_accepted=True)
    )
    _create_refund(recorded)
    assert recorded.audit() == set()


def test_audit_during_run_finds_violation(recorded: Recorded) -> None:
    _change_balance(recorded)
    audit(recorded.connection, recorded.oracle)
    assert recorded.oracle.violations


def test_stop_raises_error_that_ended_auditor() -> None:
    def connect() -> psycopg.Connection[Any]:
        connected.set()
        raise ZeroDivisionError

    connected = threading.Event()
    auditor = Auditor(connect, Oracle())
    auditor.start()
    assert connected.wait(60)
    with pytest.raises(ZeroDivisionError):
        auditor.stop()


def test_second_response_with_another_id_is_a_violation(recorded: Recorded) -> None:
    request = replace(recorded.successful, acknowledgement=Acknowledgement.NONE)
    payment = request.body | {"id": "1", "merchantId": str(request.merchant.id)}
    recorded.oracle.record_accepted(request, payment)
    recorded.oracle.record_accepted(request, payment)
    assert not recorded.oracle.violations
    recorded.oracle.record_accepted(request, payment | {"id": "2"})
    assert "I7" in recorded.oracle.format_violations()


def test_change_of_final_status_is_a_violation(recorded: Recorded) -> None:
    payment = recorded.successful.body | {"status": "SUCCESS", "failureReason": None}
    recorded.oracle.check_read(recorded.successful, payment)
    assert not recorded.oracle.violations
    recorded.oracle.check_read(recorded.successful, payment | {"status": "PROCESSING"})
    assert "I4" in recorded.oracle.format_violations()


def _id(request: PaymentRequest) -> UUID:
    return UUID(request.payment_id)
