"""What operators change is in the audit log with their names, on both stores."""

from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.audit_log import RecordedAuditEvent
from atomic_core.domain.errors import Conflict, ValidationFailed
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.refunds import NewRefund
from bookkeeping_network import UNKNOWN, BookkeepingNetwork
from support import Store, add_merchant, build_application, build_payment

ADA = Origin(ActorType.OPERATOR, operator="Ada")


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def application(store: Store) -> Application:
    network = BookkeepingNetwork(fault=lambda method, _: UNKNOWN if method == "refund" else None)
    return build_application(store.begin, card_network=network)


def list_events(application: Application, merchant_id: UUID) -> list[RecordedAuditEvent]:
    events, _ = application.merchants.list_audit_events(merchant_id, None, 10)
    return list(events)


def test_change_of_fees_is_audited_with_the_terms_before(
    application: Application, merchant_id: UUID
) -> None:
    application.fees.set(merchant_id, "USD", FeeTerms(290, 30), ADA)
    application.fees.set(merchant_id, "EUR", FeeTerms(1, 2), ADA)
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0), ADA)
    with pytest.raises(ValidationFailed):
        application.fees.set(merchant_id, "USD", FeeTerms(-1, 0), ADA)
    newest, _, first = list_events(application, merchant_id)
    assert (newest.type, newest.actor) == ("fees_set", "operator")
    assert newest.details == {
        "operator": "Ada",
        "currency": "USD",
        "basisPoints": "100",
        "fixed": "0",
        "previousBasisPoints": "290",
        "previousFixed": "30",
    }
    assert (first.details["previousBasisPoints"], first.details["previousFixed"]) == ("0", "0")


def test_retry_is_audited(application: Application, merchant_id: UUID) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    application.admin.retry_payment(payment.id, ADA)
    [event] = list_events(application, merchant_id)
    assert (event.type, event.actor) == ("payment_retried", "operator")
    assert event.details == {"operator": "Ada", "paymentId": str(payment.id)}
    application.settlement.settle()
    with pytest.raises(Conflict):
        application.admin.retry_payment(payment.id, ADA)
    assert len(list_events(application, merchant_id)) == 1, "a refused retry changes nothing"
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 1))
    application.admin.retry_payment(refund.id, ADA)
    newest, _ = list_events(application, merchant_id)
    assert newest.details["refundId"] == str(refund.id)
    assert newest.details["paymentId"] == str(payment.id)
