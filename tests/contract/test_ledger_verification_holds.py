"""Verification of holds, refunds and fees, on both stores: each rule is violated once and must be
found."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.payments import CaptureMethod, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CaptureRequest
from bookkeeping_network import UNKNOWN, BookkeepingNetwork
from support import (
    IDS,
    Store,
    Tampering,
    add_merchant,
    build_application,
    build_payment,
    open_account,
)


@dataclass(frozen=True)
class LedgerScenario:
    """A payment of 1000 with a fee of 10, two successful refunds of 100 and a pending one of 50;
    and an authorized payment of 500."""

    account: UUID
    paid: UUID
    held: UUID
    first_refund: UUID
    second_refund: UUID
    pending_refund: UUID


@pytest.fixture
def scenario(store: Store) -> LedgerScenario:
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    account_id = open_account(store.begin, merchant_id)
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0))
    paid = application.payments.record(build_payment(merchant_id, 1_000)).id
    manual = replace(build_payment(merchant_id, 500), capture=CaptureMethod.MANUAL)
    held = application.payments.record(manual).id
    application.settlement.settle()
    first, second = (
        application.refunds.create(NewRefund(merchant_id, paid, 100)) for _ in range(2)
    )
    application.settlement.settle()
    pending_refund = application.refunds.create(NewRefund(merchant_id, paid, 50)).id
    return LedgerScenario(account_id, paid, held, first.id, second.id, pending_refund)


def find_violations(store: Store) -> set[tuple[LedgerCheck, str]]:
    with store.begin() as work:
        report = work.ledger.verify()
    # Changed payments do not agree with their totals either: see test_payment_totals.py.
    return {
        (finding.check, finding.subject)
        for finding in report.findings
        if finding.check is not LedgerCheck.TOTAL_IS_SUM
    }


def test_unchanged_ledger_is_clean_and_counted(store: Store, scenario: LedgerScenario) -> None:
    with store.begin() as work:
        report = work.ledger.verify()
    assert report.is_clean, report.findings
    assert (report.payments, report.refunds, report.holds) == (2, 3, 1)
    assert (report.transactions, report.entries) == (3, 7)


VIOLATIONS: dict[
    str, tuple[Callable[[Tampering, LedgerScenario], None], set[tuple[LedgerCheck, str]]]
] = {
    "hold without row": (
        lambda tampering, scenario: tampering.delete_hold(scenario.held),
        {(LedgerCheck.HOLD_FITS, "held"), (LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "hold of another amount": (
        lambda tampering, scenario: tampering.set_hold_amount(scenario.held, 499),
        {(LedgerCheck.HOLD_FITS, "held"), (LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "failed payment with hold": (
        lambda tampering, scenario: tampering.set_status(scenario.held, Status.FAILED),
        {(LedgerCheck.HOLD_FITS, "held")},
    ),
    "incoming amount without hold": (
        lambda tampering, scenario: tampering.set_pending(scenario.account, 501, 0),
        {(LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "outgoing amount without hold": (
        lambda tampering, scenario: tampering.set_pending(scenario.account, 500, 1),
        {(LedgerCheck.PENDING_IS_SUM, "account")},
    ),
    "fee without entry": (
        lambda tampering, scenario: tampering.set_fee(scenario.paid, 11),
        {(LedgerCheck.PAYMENT_POSTED, "paid")},
    ),
    "failed refund with posting": (
        lambda tampering, scenario: tampering.set_refund_status(
            scenario.first_refund, Status.FAILED
        ),
        {(LedgerCheck.REFUND_POSTED, "first_refund"), (LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
    "successful refund without posting": (
        lambda tampering, scenario: tampering.set_refund_status(
            scenario.pending_refund, Status.SUCCESS
        ),
        {(LedgerCheck.REFUND_POSTED, "pending_refund"), (LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
    "refunded amount without refund": (
        lambda tampering, scenario: tampering.set_refunded(scenario.paid, 201, 250),
        {(LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
    "reserved amount without refund": (
        lambda tampering, scenario: tampering.set_refunded(scenario.paid, 200, 251),
        {(LedgerCheck.REFUNDS_SUMMED, "paid")},
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violated_rule_is_found(store: Store, scenario: LedgerScenario, name: str) -> None:
    tamper, affected = VIOLATIONS[name]
    tamper(store.tampering, scenario)
    expected = {(check, str(getattr(scenario, attribute))) for check, attribute in affected}
    found = find_violations(store)
    # PENDING_IS_SUM also finds the World account, the hold's other side.
    assert {
        (check, subject) for check, subject in found if check is not LedgerCheck.PENDING_IS_SUM
    } == {
        (check, subject) for check, subject in expected if check is not LedgerCheck.PENDING_IS_SUM
    }
    assert expected <= found


def test_swapped_refund_postings_break_chain(store: Store, scenario: LedgerScenario) -> None:
    """Both have the same amount: all sums are correct, only the hashes are not."""
    store.tampering.swap_refund_postings(
        scenario.paid, scenario.first_refund, scenario.second_refund
    )
    assert {check for check, _ in find_violations(store)} == {LedgerCheck.CHAIN_UNBROKEN}


def test_step_that_a_network_left_open_fits_the_ledger(store: Store) -> None:
    network = BookkeepingNetwork()
    application = build_application(store.begin, card_network=network)
    merchant_id = add_merchant(store.begin)
    payments = [application.payments.record(build_payment(merchant_id)) for _ in range(2)]
    manual = replace(build_payment(merchant_id, 500), capture=CaptureMethod.MANUAL)
    held = application.payments.record(manual)
    application.settlement.settle()
    network.fault = lambda method, claim: UNKNOWN
    charge = application.payments.record(build_payment(merchant_id))
    refunds = [application.refunds.create(NewRefund(merchant_id, each.id, 7)) for each in payments]
    application.payments.capture(CaptureRequest(merchant_id, held.id))
    application.settlement.settle()
    assert sum(total.steps for total in application.admin.sum_unresolved()) == 4
    assert find_violations(store) == set()
    store.tampering.delete_hold(held.id)
    store.tampering.add_empty_transaction(IDS.new_id(), charge.id)
    found = {subject for check, subject in find_violations(store) if check == "unresolved_fits"}
    assert found == {str(held.id), str(charge.id)}
    assert {str(refund.id) for refund in refunds}.isdisjoint(found)
