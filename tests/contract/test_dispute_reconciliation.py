"""The lines of disputes in a card network's statement beside the ledger, on both stores."""

from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.disputes import DisputeStatus, NetworkDispute
from atomic_core.domain.network_events import NetworkEvent
from atomic_core.domain.payments import Payment
from atomic_core.domain.reconciliation import DifferenceKind
from contract.test_reconciliation import DAY, get_only_difference, reconcile
from dispute_scenarios import FEE, ControlledDisputes
from statement_network import StatementNetwork
from support import NOW, Store, add_merchant, build_application, build_payment

AMOUNT, DISPUTED = 5_000, 3_000


@pytest.fixture
def network() -> StatementNetwork:
    return StatementNetwork()


@pytest.fixture
def disputes() -> ControlledDisputes:
    return ControlledDisputes()


@pytest.fixture
def application(
    store: Store, network: StatementNetwork, disputes: ControlledDisputes
) -> Application:
    return build_application(
        store.begin,
        card_networks={"stripe": network},
        statements={"stripe": network},
        dispute_networks={"stripe": disputes},
        default_network="stripe",
        lease=NOW,
    )


@pytest.fixture
def payment(application: Application, store: Store) -> Payment:
    payment = application.payments.record(build_payment(add_merchant(store.begin), AMOUNT))
    application.settlement.settle()
    return payment


def dispute(disputes: ControlledDisputes, payment_id: UUID, status: DisputeStatus) -> None:
    """At the network."""
    disputes.disputes["dp_1"] = NetworkDispute(
        "dp_1", payment_id, status, DISPUTED, "USD", FEE, 0, "fraudulent"
    )


def process_event(application: Application, id: str = "evt_1") -> None:
    with application.disputes.process.begin() as work:
        work.network_events.add(
            NetworkEvent("stripe", id, "charge.dispute.x", None, dispute_reference="dp_1")
        )
        work.commit()
    assert application.disputes.process("stripe")


def test_withdrawal_and_return_are_matched(
    application: Application,
    network: StatementNetwork,
    disputes: ControlledDisputes,
    payment: Payment,
) -> None:
    dispute(disputes, payment.id, DisputeStatus.NEEDS_RESPONSE)
    process_event(application)
    network.add_dispute_line(payment.id, -DISPUTED - FEE, "dp_1")
    report = reconcile(application)
    assert (report.differences, report.is_clean, report.matched) == ((), True, 2)
    disputes.change("dp_1", status=DisputeStatus.WON)
    process_event(application, "evt_2")
    network.add_dispute_line(payment.id, DISPUTED, "dp_1")
    report = reconcile(application)
    assert (report.differences, report.lines, report.matched) == ((), 3, 3)
    assert network.measured == [], "nothing needs a look-up"


def test_dispute_that_is_not_recorded_is_named(
    application: Application, network: StatementNetwork, payment: Payment
) -> None:
    line = network.add_dispute_line(payment.id, -DISPUTED - FEE, "dp_1")
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.payment_id) == (DifferenceKind.AMOUNT, payment.id)
    assert (difference.there, difference.here) == (AMOUNT - DISPUTED - FEE, AMOUNT)
    assert difference.line_id == line.id


def test_dispute_without_a_line_is_named(
    application: Application,
    network: StatementNetwork,
    disputes: ControlledDisputes,
    payment: Payment,
) -> None:
    dispute(disputes, payment.id, DisputeStatus.NEEDS_RESPONSE)
    process_event(application)
    difference = get_only_difference(reconcile(application))
    assert difference.payment_id == payment.id
    assert (difference.there, difference.here) == (AMOUNT, AMOUNT - DISPUTED - FEE)


def test_other_fee_than_the_posted_one_is_named(
    application: Application,
    network: StatementNetwork,
    disputes: ControlledDisputes,
    payment: Payment,
) -> None:
    dispute(disputes, payment.id, DisputeStatus.NEEDS_RESPONSE)
    process_event(application)
    network.add_dispute_line(payment.id, -DISPUTED - FEE - 1, "dp_1")
    difference = get_only_difference(reconcile(application))
    assert difference.there == difference.here - 1


def test_money_of_a_lost_dispute_that_comes_back_is_named(
    application: Application,
    network: StatementNetwork,
    disputes: ControlledDisputes,
    payment: Payment,
) -> None:
    dispute(disputes, payment.id, DisputeStatus.LOST)
    process_event(application)
    network.add_dispute_line(payment.id, -DISPUTED - FEE, "dp_1")
    assert reconcile(application).is_clean
    line = network.add_dispute_line(payment.id, DISPUTED, "dp_1")
    difference = get_only_difference(reconcile(application))
    assert (difference.line_id, difference.there) == (line.id, AMOUNT - FEE)
    assert difference.here == AMOUNT - DISPUTED - FEE


def test_two_disputes_of_a_payment_are_not_taken_for_each_other(
    application: Application,
    network: StatementNetwork,
    disputes: ControlledDisputes,
    payment: Payment,
) -> None:
    dispute(disputes, payment.id, DisputeStatus.NEEDS_RESPONSE)
    process_event(application)
    network.add_dispute_line(payment.id, -DISPUTED - FEE, "dp_1")
    line = network.add_dispute_line(payment.id, -DISPUTED - FEE, "dp_2")
    difference = get_only_difference(reconcile(application))
    assert difference.line_id == line.id


def test_line_of_a_dispute_before_the_period_is_no_difference(
    application: Application,
    network: StatementNetwork,
    disputes: ControlledDisputes,
    payment: Payment,
) -> None:
    dispute(disputes, payment.id, DisputeStatus.NEEDS_RESPONSE)
    process_event(application)
    line = network.add_dispute_line(payment.id, -DISPUTED - FEE, "dp_1")
    network.lines[-1] = line._replace(created_at=line.created_at - 2 * DAY)
    assert reconcile(application).is_clean
    assert network.measured == [payment.id]
