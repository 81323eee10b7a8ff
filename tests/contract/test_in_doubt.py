"""Operators decide steps that the card network has left open, on both stores."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import EventType
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import CaptureMethod, Payment, Status, Step
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.in_doubt import RESOLVED_BY_OPERATOR, Resolution
from bookkeeping_network import NOT_SENT, UNKNOWN, BookkeepingNetwork
from contract.test_network_faults import get_balance, get_payment, get_refund, hold, pay
from support import IDS, Store, add_merchant, build_application

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
    payments = [pay(application, merchant_id) for _ in range(3)]
    network.fault = lambda method, claim: None
    paid = pay(application, merchant_id)
    network.fault = lambda method, claim: UNKNOWN
    refund = application.refunds.create(NewRefund(merchant_id, paid.id, 7))
    application.settlement.settle()
    steps = application.admin.list_unresolved(10)
    assert [step.id for step in steps] == [*(payment.id for payment in payments), refund.id]
    assert [step.step for step in steps] == ["charge"] * 3 + ["refund"]
    assert (steps[-1].payment_id, steps[-1].amount, steps[-1].faults) == (paid.id, 7, 1)
    assert application.admin.list_unresolved(2) == steps[:2]


def test_money_of_open_steps_is_added_up_by_network_state_and_currency(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payments = [pay(application, merchant_id) for _ in range(2)]
    captured = hold_and_end(application, merchant_id, network, Step.CAPTURE)
    network.fault = lambda method, claim: None
    paid = pay(application, merchant_id)
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
