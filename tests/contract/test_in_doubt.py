"""Operators decide steps that the card network has left open, on both stores."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import DOUBT_TYPES, EventFilter, EventType
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import CaptureMethod, Payment, Status, Step
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.in_doubt import RESOLVED_BY_OPERATOR, Resolution
from bookkeeping_network import NOT_FOUND, NOT_SENT, PENDING, UNKNOWN, BookkeepingNetwork
from contract.test_network_faults import (
    get_balance,
    get_payment,
    get_refund,
    hold,
    pay,
    settle_again,
)
from support import IDS, NOW, Store, add_merchant, build_application, run_concurrently

ADA = Origin(ActorType.OPERATOR, operator="Ada")


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def network() -> BookkeepingNetwork:
    """Every answer is lost."""
    return BookkeepingNetwork(fault=lambda method, claim: UNKNOWN)


@pytest.fixture
def application(store: Store, network: BookkeepingNetwork) -> Application:
    return build_application(store.begin, card_network=network)


def resolve(application: Application, id: UUID, *, is_success: bool) -> None:
    application.admin.resolve_step(Resolution(id, is_success, "seen in its records", ADA))


def hold_and_end(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork, step: Step
) -> Payment:
    """A hold whose capture or void is in doubt."""
    silence, network.fault = network.fault, lambda method, claim: None
    payment = hold(application, merchant_id)
    network.fault = silence
    if step is Step.CAPTURE:
        application.payments.capture(CaptureRequest(merchant_id, payment.id, 3_000))
    else:
        application.payments.cancel(CancelRequest(merchant_id, payment.id))
    application.settlement.settle()
    return payment


def test_open_steps_are_listed_with_the_longest_open_first(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    network.fault = lambda method, claim: None
    paid = pay(application, merchant_id)
    network.fault = lambda method, claim: UNKNOWN
    payments = [pay(application, merchant_id) for _ in range(3)]
    refund = application.refunds.create(NewRefund(merchant_id, paid.id, 7))
    application.settlement.settle()
    steps = application.admin.list_unresolved(10)
    assert [step.id for step in steps] == [*(payment.id for payment in payments), refund.id]
    assert [step.step for step in steps] == ["charge"] * 3 + ["refund"]
    assert (steps[-1].payment_id, steps[-1].amount) == (paid.id, 7)
    assert steps[-1].faults >= 1
    assert application.admin.list_unresolved(2) == steps[:2]


def test_money_of_open_steps_is_added_up_by_network_state_and_currency(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    silence, network.fault = network.fault, lambda method, claim: None
    paid = pay(application, merchant_id)
    network.fault = silence
    captured = hold_and_end(application, merchant_id, network, Step.CAPTURE)
    payments = [pay(application, merchant_id) for _ in range(2)]
    network.fault = lambda method, claim: NOT_SENT
    application.refunds.create(NewRefund(merchant_id, paid.id, 7))
    application.settlement.settle()
    not_sent, unknown = application.admin.sum_unresolved()
    assert not_sent[:5] == ("sandbox", "not_sent", "USD", 1, 7)
    amount = sum(payment.money.amount for payment in payments) + 3_000
    assert unknown[:5] == ("sandbox", "unknown", "USD", 3, amount)
    assert (unknown.overdue_steps, unknown.overdue_amount) == (0, 0)
    [first, *_] = application.admin.list_unresolved(1)
    assert unknown.oldest_since == first.unresolved_since
    with application.payments.record.begin() as work:
        [_, all_overdue] = work.admin_queries.sum_unresolved(timedelta())
    assert (all_overdue.overdue_steps, all_overdue.overdue_amount) == (3, amount)
    resolve(application, captured.id, is_success=True)
    [_, left] = application.admin.sum_unresolved()
    assert left.steps == 2


@pytest.mark.parametrize(
    ("is_success", "status", "reason", "balance"),
    [(True, Status.SUCCESS, None, 5_000), (False, Status.FAILED, RESOLVED_BY_OPERATOR, 0)],
)
def test_operator_ends_a_charge(
    application: Application,
    merchant_id: UUID,
    is_success: bool,
    status: Status,
    reason: str | None,
    balance: int,
) -> None:
    payment = pay(application, merchant_id)
    resolve(application, payment.id, is_success=is_success)
    done = get_payment(application, payment)
    assert (done.status, done.failure_reason, done.network_state) == (status, reason, None)
    assert get_balance(application, payment) == (balance, 0, 0)
    events = application.payments.get_timeline(merchant_id, payment.id).events
    assert EventType.RESOLVED in [event.event.type for event in events]
    [audit_event], _ = application.merchants.list_audit_events(merchant_id, None, 10)
    assert audit_event.type == "payment_resolved"
    assert audit_event.details["paymentId"] == str(payment.id)
    assert (audit_event.actor, audit_event.details["operator"]) == ("operator", "Ada")
    assert application.ledger.verify().is_clean


@pytest.mark.parametrize("is_success", [True, False])
def test_operator_ends_a_refund(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork, is_success: bool
) -> None:
    silence, network.fault = network.fault, lambda method, claim: None
    payment = pay(application, merchant_id)
    network.fault = silence
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 2_000))
    application.settlement.settle()
    resolve(application, refund.id, is_success=is_success)
    done = get_refund(application, refund)
    assert done.status is (Status.SUCCESS if is_success else Status.FAILED)
    assert get_balance(application, payment) == (3_000 if is_success else 5_000, 0, 0)
    assert application.ledger.verify().is_clean


def test_operator_ends_a_capture(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = hold_and_end(application, merchant_id, network, Step.CAPTURE)
    resolve(application, payment.id, is_success=True)
    assert get_payment(application, payment).status is Status.SUCCESS
    assert get_balance(application, payment) == (3_000, 0, 0)


def test_capture_that_an_operator_fails_is_reversed_first(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = hold_and_end(application, merchant_id, network, Step.CAPTURE)
    resolve(application, payment.id, is_success=False)
    reversing = get_payment(application, payment)
    assert (reversing.status, reversing.step) == (Status.PROCESSING, Step.REVERSE)
    network.fault = lambda method, claim: None
    application.settlement.settle()
    done = get_payment(application, payment)
    assert (done.status, done.failure_reason) == (Status.FAILED, RESOLVED_BY_OPERATOR)
    assert network.get_record(payment.id).net == 0


def test_void_cannot_be_resolved_as_failed(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = hold_and_end(application, merchant_id, network, Step.VOID)
    with pytest.raises(Conflict):
        resolve(application, payment.id, is_success=False)
    resolve(application, payment.id, is_success=True)
    assert get_payment(application, payment).status is Status.CANCELED
    assert get_balance(application, payment) == (0, 0, 0)


def test_only_an_open_step_can_be_resolved(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = pay(application, merchant_id)
    resolve(application, payment.id, is_success=False)
    with pytest.raises(Conflict):
        resolve(application, payment.id, is_success=True)
    network.fault = lambda method, claim: None
    held = pay(application, merchant_id, CaptureMethod.MANUAL)
    with pytest.raises(Conflict):
        resolve(application, held.id, is_success=True)
    with pytest.raises(NotFound):
        resolve(application, IDS.new_id(), is_success=True)
    assert get_balance(application, payment) == (0, 5_000, 0)


@pytest.mark.parametrize("text", ["", "  ", "x" * 501])
def test_reason_is_required(application: Application, merchant_id: UUID, text: str) -> None:
    payment = pay(application, merchant_id)
    with pytest.raises(ValidationFailed):
        application.admin.resolve_step(Resolution(payment.id, True, text, ADA))
    assert get_payment(application, payment).status is Status.PROCESSING


def test_answer_that_arrives_after_the_decision_changes_nothing(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = pay(application, merchant_id)
    application.admin.retry_payment(payment.id)

    class DecidedMeanwhile(BookkeepingNetwork):
        def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
            resolve(application, payment.id, is_success=False)
            return super().authorize(claims)

    late = build_application(application.payments.record.begin, card_network=DecidedMeanwhile())
    late.settlement.settle()
    assert get_payment(application, payment).failure_reason == RESOLVED_BY_OPERATOR
    assert get_balance(application, payment) == (0, 0, 0)
    assert application.ledger.verify().is_clean


def list_doubt_events(store: Store, merchant_id: UUID) -> list[tuple[EventType, UUID | None]]:
    """Those in the stream, with the ids of their refunds."""
    with store.begin() as work:
        stream = work.events.list_stream(merchant_id, EventFilter(), 100, is_oldest_first=True)
    events = [event.event for event in stream]
    return [(event.type, event.refund_id) for event in events if event.type in DOUBT_TYPES]


def test_long_doubt_is_reported_once_until_it_ends(
    store: Store, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    application = build_application(store.begin, card_network=network, in_doubt_alarm=NOW)
    network.fault = lambda method, claim: None
    paid = pay(application, merchant_id)
    network.fault = lambda method, claim: NOT_SENT
    unsent = pay(application, merchant_id)
    responses = {unsent.id: NOT_SENT}
    # Those of the others and of the refund, which may be due again at any time, stay the same.
    network.fault = lambda method, claim: responses.get(claim.id, UNKNOWN)
    payment = pay(application, merchant_id)
    refund = application.refunds.create(NewRefund(merchant_id, paid.id, 7))
    application.settlement.settle()
    reported = application.settlement.report_doubts()
    assert [doubt.id for doubt in reported] == [payment.id, refund.id]
    assert reported[0].unresolved_since == get_payment(application, payment).in_doubt_since
    expected = [(EventType.IN_DOUBT, None), (EventType.REFUND_IN_DOUBT, refund.id)]
    assert list_doubt_events(store, merchant_id) == expected
    for response in (UNKNOWN, PENDING, UNKNOWN):
        responses[payment.id] = response
        settle_again(application, payment.id)
        assert application.settlement.report_doubts() == []
    timeline = application.payments.get_timeline(merchant_id, payment.id).events
    doubts = [event.event for event in timeline if event.event.type is EventType.IN_DOUBT]
    assert [doubt.attempt for doubt in doubts].count(None) == 1
    # The network has no record of it: the doubt has ended, and the next one is another.
    responses[payment.id] = NOT_FOUND
    settle_again(application, payment.id)
    assert get_payment(application, payment).in_doubt_since is None
    responses[payment.id] = UNKNOWN
    settle_again(application, payment.id)
    assert [doubt.id for doubt in application.settlement.report_doubts()] == [payment.id]
    assert get_payment(application, unsent).in_doubt_since is None


def test_doubt_begins_with_the_request_that_got_no_answer(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    network.fault = lambda method, claim: NOT_SENT
    payment = pay(application, merchant_id)
    unsent = get_payment(application, payment)
    network.fault = lambda method, claim: UNKNOWN
    settle_again(application, payment.id)
    in_doubt = get_payment(application, payment)
    assert unsent.unresolved_since
    assert in_doubt.in_doubt_since
    assert in_doubt.in_doubt_since > unsent.unresolved_since
    settle_again(application, payment.id)
    assert get_payment(application, payment).in_doubt_since == in_doubt.in_doubt_since


def test_concurrent_reports_of_a_doubt_are_one(
    store: Store, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    application = build_application(store.begin, card_network=network, in_doubt_alarm=NOW)
    for _ in range(5):
        pay(application, merchant_id)
    run_concurrently([application.settlement.report_doubts] * 4)
    assert len(list_doubt_events(store, merchant_id)) == 5
    assert application.settlement.report_doubts() == []
    # Not for as long as the alarm by default.
    pay(application, merchant_id)
    assert build_application(store.begin).settlement.report_doubts() == []
