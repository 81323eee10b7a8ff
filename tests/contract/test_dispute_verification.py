"""Verification of disputes, on both stores: each rule is violated once and must be found."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.disputes import Dispute, DisputeStatus, NetworkDispute
from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.money import Money
from atomic_core.domain.network_events import NetworkEvent
from atomic_core.domain.payments import Status
from dispute_scenarios import FEE, ControlledDisputes
from support import NOW, Store, Tampering, add_merchant, build_application, build_payment

AMOUNT, DISPUTED, FEE_RETURNED = 1_000, 400, 5
STATUSES = {
    "open": DisputeStatus.NEEDS_RESPONSE,
    "lost": DisputeStatus.LOST,
    "won": DisputeStatus.WON,
}


@dataclass(frozen=True)
class Disputes:
    """One of each payment of 1000: 400 of it are disputed."""

    open: Dispute
    lost: Dispute
    won: Dispute


@pytest.fixture
def disputes(store: Store) -> Disputes:
    network = ControlledDisputes()
    application = build_application(
        store.begin, lease=NOW, dispute_networks={DEFAULT_NETWORK: network}
    )
    merchant_id = add_merchant(store.begin)
    for name, status in STATUSES.items():
        payment = application.payments.record(build_payment(merchant_id, AMOUNT))
        application.settlement.settle()
        returned = FEE_RETURNED if name == "won" else 0
        network.disputes[name] = NetworkDispute(
            name, payment.id, status, DISPUTED, "USD", FEE, returned, "fraudulent"
        )
        with store.begin() as work:
            event = NetworkEvent(DEFAULT_NETWORK, name, "x", None, dispute_reference=name)
            work.network_events.add(event)
            work.commit()
        assert application.disputes.process(DEFAULT_NETWORK)
    with store.begin() as work:
        found = [work.disputes.lock_by_reference(DEFAULT_NETWORK, name) for name in STATUSES]
    recorded = [dispute for dispute in found if dispute]
    assert [dispute.status for dispute in recorded] == list(STATUSES.values())
    return Disputes(*recorded)


def find_violations(store: Store) -> set[str]:
    """The subjects of the check of disputes."""
    with store.begin() as work:
        report = work.ledger.verify()
    return {each.subject for each in report.findings if each.check is LedgerCheck.DISPUTE_POSTED}


def test_unchanged_disputes_are_clean(store: Store, disputes: Disputes) -> None:
    with store.begin() as work:
        report = work.ledger.verify()
    assert report.is_clean, report.findings


def change(name: str, **changes: Any) -> Callable[[Tampering, Disputes], None]:
    return lambda tampering, disputes: tampering.change_dispute(
        replace(getattr(disputes, name), **changes)
    )


WON, LOST = DisputeStatus.WON, DisputeStatus.LOST

FALSIFICATIONS: dict[str, tuple[str, Callable[[Tampering, Disputes], None]]] = {
    "amount": ("open", change("open", money=Money(DISPUTED + 1, "USD"))),
    "fee": ("lost", change("lost", fee=FEE + 1)),
    "amount and fee exchanged": (
        "won",
        change("won", money=Money(DISPUTED - 1, "USD"), fee=FEE + 1),
    ),
    "returned fee": ("won", change("won", fee_returned=FEE_RETURNED - 1)),
    "won without a reversal": ("open", change("open", status=WON)),
    "lost with a reversal": ("won", change("won", status=LOST, fee_returned=0)),
    "open with a reversal": (
        "won",
        change("won", status=DisputeStatus.UNDER_REVIEW, fee_returned=0),
    ),
    "merchant": ("open", change("open", merchant_id=UUID(int=5))),
    "account": ("open", change("open", account_id=UUID(int=5))),
    "network": ("open", change("open", network="stripe")),
    "unknown payment": ("open", change("open", payment_id=UUID(int=5))),
    "payment that failed": (
        "open",
        lambda tampering, disputes: tampering.set_status(disputes.open.payment_id, Status.FAILED),
    ),
    "more than was captured": (
        "open",
        lambda tampering, disputes: tampering.set_amount(disputes.open.payment_id, DISPUTED - 1),
    ),
}


@pytest.mark.parametrize("name", FALSIFICATIONS)
def test_violated_rule_is_found(store: Store, disputes: Disputes, name: str) -> None:
    subject, falsify = FALSIFICATIONS[name]
    falsify(store.tampering, disputes)
    assert find_violations(store) == {str(getattr(disputes, subject).id)}


def test_two_disputes_above_what_was_captured_are_found(store: Store, disputes: Disputes) -> None:
    """Both of one payment, of which they dispute 1,200 of 1,000 minor units."""
    payment_id = disputes.open.payment_id
    for dispute in (disputes.open, disputes.lost):
        money = Money(DISPUTED + 200, "USD")
        store.tampering.change_dispute(replace(dispute, payment_id=payment_id, money=money))
    assert find_violations(store) == {str(disputes.open.id), str(disputes.lost.id)}


def test_won_dispute_does_not_count_against_what_was_captured(
    store: Store, disputes: Disputes
) -> None:
    store.tampering.set_amount(disputes.won.payment_id, DISPUTED - 1)
    assert find_violations(store) == set()
