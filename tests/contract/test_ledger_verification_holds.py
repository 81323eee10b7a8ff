"""What checking the books finds of holds, refunds and fees, on both stores: each rule is broken
once and must be named."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status
from atomic_core.domain.refunds import NewRefund
from support import Store, Tampering, add_merchant, build_application, build_payment, open_account


@dataclass(frozen=True)
class Scene:
    """A payment of 1000 with a fee of 10, two refunds of 100 that succeeded and one that waits;
    and one of 500 that is held."""

    account: UUID
    paid: UUID
    held: UUID
    refunded: UUID
    refunded_too: UUID
    waiting: UUID


@pytest.fixture
def scene(store: Store) -> Scene:
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    account_id = open_account(store.begin, merchant_id)
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0))
    paid = application.payments.record(build_payment(merchant_id, 1_000)).id
    plain = build_payment(merchant_id, 500)
    asked = NewPayment(merchant_id, plain.money, plain.source, capture=CaptureMethod.MANUAL)
    held = application.payments.record(asked).id
    application.settlement.settle()
    one, other = (application.refunds.create(NewRefund(merchant_id, paid, 100)) for _ in range(2))
    application.settlement.settle()
    waiting = application.refunds.create(NewRefund(merchant_id, paid, 50)).id
    return Scene(account_id, paid, held, one.id, other.id, waiting)


def findings(store: Store) -> set[tuple[LedgerCheck, str]]:
    with store.begin() as work:
        report = work.ledger.verify()
    return {(finding.check, finding.subject) for finding in report.findings}


def test_unchanged_ledger_is_clean_and_counted(store: Store, scene: Scene) -> None:
    with store.begin() as work:
        report = work.ledger.verify()
    assert report.is_clean, report.findings
    assert (report.payments, report.refunds, report.holds) == (2, 3, 1)
    assert (report.transactions, report.entries) == (3, 7)


BROKEN: dict[str, tuple[Callable[[Tampering, Scene], None], set[tuple[LedgerCheck, str]]]] = {
    "a hold that is forgotten": (
        lambda tampering, s: tampering.delete_hold(s.held),
        {(LedgerCheck.HOLD_FITS, "held"), (LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "a hold of another amount": (
        lambda tampering, s: tampering.set_hold_amount(s.held, 499),
        {(LedgerCheck.HOLD_FITS, "held"), (LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "a held payment that failed": (
        lambda tampering, s: tampering.set_status(s.held, Status.FAILED),
        {(LedgerCheck.HOLD_FITS, "held")},
    ),
    "pending sums that no hold explains": (
        lambda tampering, s: tampering.set_pending(s.account, 501, 0),
        {(LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "promises that no hold explains": (
        lambda tampering, s: tampering.set_pending(s.account, 500, 1),
        {(LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "a fee that was not taken": (
        lambda tampering, s: tampering.set_fee(s.paid, 11),
        {(LedgerCheck.PAYMENT_POSTED, "paid")},
    ),
    "a posted refund that failed": (
        lambda tampering, s: tampering.set_refund_status(s.refunded, Status.FAILED),
        {(LedgerCheck.REFUND_POSTED, "refunded"), (LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
    "a refund that succeeded without a posting": (
        lambda tampering, s: tampering.set_refund_status(s.waiting, Status.SUCCESS),
        {(LedgerCheck.REFUND_POSTED, "waiting"), (LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
    "a refunded sum that no refund explains": (
        lambda tampering, s: tampering.set_refunded(s.paid, 201, 250),
        {(LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
    "a reserved sum that no refund explains": (
        lambda tampering, s: tampering.set_refunded(s.paid, 200, 251),
        {(LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_violated_rule_is_found(store: Store, scene: Scene, name: str) -> None:
    falsify, expected = BROKEN[name]
    falsify(store.tampering, scene)
    named = {(check, str(getattr(scene, who))) for check, who in expected}
    found = findings(store)
    # World shares in what is pending, and is named with the account.
    assert {each for each in found if each[0] is not LedgerCheck.PENDING_IS_SUM} == {
        each for each in named if each[0] is not LedgerCheck.PENDING_IS_SUM
    }
    assert named <= found


def test_swapped_refund_postings_break_chain(store: Store, scene: Scene) -> None:
    """Of the same amount: every sum still agrees, the hash does not."""
    store.tampering.swap_refund_postings(scene.paid, scene.refunded, scene.refunded_too)
    assert {check for check, _ in findings(store)} == {LedgerCheck.CHAIN_UNBROKEN}
