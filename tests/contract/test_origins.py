"""What a command writes has the origin of its request, on both stores."""

from dataclasses import replace
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.audit_log import RecordedAuditEvent
from atomic_core.domain.errors import Conflict
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Caller
from atomic_core.domain.money import Money
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.in_doubt import Resolution
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from bookkeeping_network import UNKNOWN, BookkeepingNetwork
from support import (
    IDS,
    Store,
    add_merchant,
    build_application,
    build_payment,
    build_request,
    open_account,
)

KEY = Origin(ActorType.KEY, IDS.new_id(), "192.0.2.1", "order-7", IDS.new_id())
OTHER_KEY = Origin(ActorType.KEY, IDS.new_id(), "2001:db8::1", None, IDS.new_id())
SESSION = Origin(ActorType.SESSION, IDS.new_id(), None, "r" * 128, IDS.new_id())
ADA = Origin(ActorType.OPERATOR, server_request_id=IDS.new_id(), operator="Ada")
NAMELESS = Origin(ActorType.OPERATOR)

ORIGINS = pytest.mark.parametrize(
    "origin", [KEY, OTHER_KEY, SESSION, ADA, NAMELESS, replace(ADA, operator="é" * 100), None]
)


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    return merchant_id


@pytest.fixture
def application(store: Store) -> Application:
    return build_application(store.begin)


def find_event(application: Application, payment: Payment, event_type: EventType) -> Event:
    timeline = application.payments.get_timeline(payment.merchant_id, payment.id)
    [event] = [row.event for row in timeline.events if row.event.type is event_type]
    return event


def authorize(application: Application, merchant_id: UUID) -> Payment:
    new_payment = replace(build_payment(merchant_id), capture=CaptureMethod.MANUAL, origin=KEY)
    payment = application.payments.record(new_payment)
    application.settlement.settle()
    return payment


def list_audit_events(application: Application, merchant_id: UUID) -> list[RecordedAuditEvent]:
    events, _ = application.merchants.list_audit_events(merchant_id, None, 10)
    return list(events)


@ORIGINS
def test_payment_and_its_first_event_have_the_origin(
    application: Application, merchant_id: UUID, origin: Origin | None
) -> None:
    payment = application.payments.record(replace(build_payment(merchant_id), origin=origin))
    assert payment.origin == origin
    assert application.payments.get(merchant_id, payment.id).origin == origin
    assert find_event(application, payment, EventType.CREATED).origin == origin
    application.settlement.settle()
    assert application.payments.get(merchant_id, payment.id).origin == origin
    assert find_event(application, payment, EventType.SUCCEEDED).origin is None


def test_payments_of_one_statement_keep_their_own_origins(
    application: Application, merchant_id: UUID
) -> None:
    origins = [KEY, None, OTHER_KEY, SESSION]
    items = [
        BatchItem(replace(build_payment(merchant_id), origin=origin), build_request(merchant_id, k))
        for origin, k in zip(origins, "abcd", strict=True)
    ]
    created: list[UUID] = []

    def render(payment_id: UUID, *_: object) -> StoredResponse:
        created.append(payment_id)
        return StoredResponse(202, b"{}")

    application.payments.create_batch(PaymentBatch(merchant_id, items, render))
    found = [application.payments.get(merchant_id, id).origin for id in created]
    assert found == origins


def test_replay_keeps_the_first_origin(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin, payment_store=store.payment_store)
    key = application.api_keys.issue(merchant_id, "till").key
    caller = Caller(key.id, merchant_id)

    def render(payment_id: UUID, *_: object) -> StoredResponse:
        return StoredResponse(202, str(payment_id).encode())

    def create(origin: Origin) -> tuple[UUID, bool]:
        new_payment = replace(build_payment(merchant_id), origin=origin)
        result = application.payments.create(
            caller, new_payment, build_request(merchant_id), render
        )
        return UUID(result.response.body.decode()), result.replayed

    payment_id, is_replayed = create(KEY)
    assert not is_replayed
    assert create(OTHER_KEY) == (payment_id, True)
    assert application.payments.get(merchant_id, payment_id).origin == KEY


@ORIGINS
def test_capture_has_its_own_origin(
    application: Application, merchant_id: UUID, origin: Origin | None
) -> None:
    payment = authorize(application, merchant_id)
    application.payments.capture(CaptureRequest(merchant_id, payment.id, 1_000, origin))
    with pytest.raises(Conflict):
        application.payments.capture(CaptureRequest(merchant_id, payment.id, 1_000, SESSION))
    assert find_event(application, payment, EventType.CAPTURE_REQUESTED).origin == origin
    assert find_event(application, payment, EventType.CREATED).origin == KEY


@ORIGINS
def test_cancel_has_its_own_origin(
    application: Application, merchant_id: UUID, origin: Origin | None
) -> None:
    payment = authorize(application, merchant_id)
    application.payments.cancel(CancelRequest(merchant_id, payment.id, origin=origin))
    assert find_event(application, payment, EventType.CANCEL_REQUESTED).origin == origin


@ORIGINS
def test_refund_and_its_event_have_the_origin(
    application: Application, merchant_id: UUID, origin: Origin | None
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 1, origin=origin))
    assert refund.origin == origin
    application.settlement.settle()
    assert application.refunds.get(merchant_id, refund.id).origin == origin
    assert find_event(application, payment, EventType.REFUND_CREATED).origin == origin
    assert find_event(application, payment, EventType.REFUND_SUCCEEDED).origin is None


def test_each_retry_is_an_event_with_its_operator(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    operators = [replace(ADA, server_request_id=IDS.new_id()) for _ in range(2)]
    for operator in operators:
        application.admin.retry_payment(payment.id, operator)
    application.settlement.settle()
    with pytest.raises(Conflict):
        application.admin.retry_payment(payment.id, ADA)
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 1))
    application.admin.retry_payment(refund.id, ADA)
    timeline = application.payments.get_timeline(merchant_id, payment.id)
    retries = [row.event for row in timeline.events if row.event.type is EventType.RETRY_REQUESTED]
    assert [event.origin for event in retries] == [*operators, ADA]
    assert [event.refund_id for event in retries] == [None, None, refund.id]
    assert {event.status for event in retries} == {Status.PENDING}


def test_resolution_has_its_operator_in_event_and_audit_log(
    store: Store, merchant_id: UUID
) -> None:
    network = BookkeepingNetwork(fault=lambda *_: UNKNOWN)
    application = build_application(store.begin, card_network=network)
    payment = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    application.admin.resolve_step(Resolution(payment.id, True, "in its report", ADA))
    assert find_event(application, payment, EventType.RESOLVED).origin == ADA
    [audited] = list_audit_events(application, merchant_id)
    assert audited.server_request_id == ADA.server_request_id
    assert audited.details["operator"] == "Ada"


def test_opened_account_is_audited_with_its_key(
    application: Application, merchant_id: UUID
) -> None:
    account = application.accounts.open(NewAccount(merchant_id, "Till", "EUR", KEY))
    [event] = list_audit_events(application, merchant_id)
    assert (event.type, event.actor, event.actor_id) == ("account_opened", "key", KEY.actor_id)
    assert (event.address, event.request_id) == (KEY.address, KEY.request_id)
    assert event.server_request_id == KEY.server_request_id
    assert event.details == {"accountId": str(account.id), "currency": "EUR"}


def test_account_opened_by_the_first_payment_in_a_currency_is_audited(
    application: Application, merchant_id: UUID
) -> None:
    new_payment = NewPayment(merchant_id, Money(1, "KWD"), "tok_visa", origin=SESSION)
    payment = application.payments.record(new_payment)
    application.payments.record(new_payment)
    [event] = list_audit_events(application, merchant_id)
    assert (event.type, event.actor_id) == ("account_opened", SESSION.actor_id)
    assert event.details == {"accountId": str(payment.account_id), "currency": "KWD"}
