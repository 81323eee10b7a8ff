"""Verification of the ledger, on both stores: each rule is violated once and must be found."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.payments import Status
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
    """Three settled payments, one of them declined, and a pending one."""

    account_id: UUID
    succeeded: UUID
    declined: UUID
    pending: UUID


@pytest.fixture
def scenario(store: Store) -> LedgerScenario:
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    account_id = open_account(store.begin, merchant_id)
    succeeded = application.payments.record(build_payment(merchant_id, 700))
    application.payments.record(build_payment(merchant_id, 300))
    declined = application.payments.record(build_payment(merchant_id, source="tok_chargeDeclined"))
    application.settlement.settle()
    pending = application.payments.record(build_payment(merchant_id))
    return LedgerScenario(account_id, succeeded.id, declined.id, pending.id)


def find_violations(store: Store) -> set[tuple[LedgerCheck, str]]:
    with store.begin() as work:
        report = work.ledger.verify()
    assert report.is_clean == (not report.findings)
    # Changed payments do not agree with their totals either: see test_payment_totals.py.
    return {
        (finding.check, finding.subject)
        for finding in report.findings
        if finding.check is not LedgerCheck.TOTAL_IS_SUM
    }


def test_unchanged_ledger_is_clean_and_counted(store: Store, scenario: LedgerScenario) -> None:
    with store.begin() as work:
        report = work.ledger.verify()
    assert report.is_clean
    assert (report.accounts, report.transactions) == (3, 2)
    assert (report.entries, report.payments) == (4, 4)


def test_empty_ledger_is_clean(store: Store) -> None:
    assert find_violations(store) == set()


def test_changed_balance_is_found(store: Store, scenario: LedgerScenario) -> None:
    store.tampering.set_balance(scenario.account_id, 1_001)
    assert find_violations(store) == {
        (LedgerCheck.BALANCE_IS_SUM, str(scenario.account_id)),
        (LedgerCheck.TIP_IS_LAST_ENTRY, str(scenario.account_id)),
    }


def test_changed_entry_is_found_by_every_affected_check(
    store: Store, scenario: LedgerScenario
) -> None:
    store.tampering.set_entry_amount(scenario.account_id, 1, 701)
    found = find_violations(store)
    assert (LedgerCheck.CURRENCY_BALANCED, "USD") in found
    assert (LedgerCheck.BALANCE_IS_SUM, str(scenario.account_id)) in found
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#1") in found
    assert (LedgerCheck.PAYMENT_POSTED, str(scenario.succeeded)) in found
    assert LedgerCheck.TRANSACTION_BALANCED in {check for check, _ in found}


def test_changed_hash_breaks_chain_there_and_at_next_entry(
    store: Store, scenario: LedgerScenario
) -> None:
    store.tampering.set_entry_hash(scenario.account_id, 1, bytes(32))
    assert find_violations(store) == {
        (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#1"),
        (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#2"),
    }


@pytest.mark.parametrize("sequence", [1, 2])
def test_missing_entry_is_found(store: Store, scenario: LedgerScenario, sequence: int) -> None:
    store.tampering.delete_entry(scenario.account_id, sequence)
    found = find_violations(store)
    assert (LedgerCheck.BALANCE_IS_SUM, str(scenario.account_id)) in found
    tip = (LedgerCheck.TIP_IS_LAST_ENTRY, str(scenario.account_id))
    gap = (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#2")
    assert (tip in found, gap in found) == (sequence == 2, sequence == 1)


def test_transaction_without_entries_is_found(store: Store, scenario: LedgerScenario) -> None:
    transaction_id = IDS.new_id()
    store.tampering.add_empty_transaction(transaction_id, scenario.declined)
    assert find_violations(store) == {
        (LedgerCheck.TRANSACTION_BALANCED, str(transaction_id)),
        (LedgerCheck.PAYMENT_POSTED, str(scenario.declined)),
    }


@pytest.mark.parametrize(
    ("tamper", "payment"),
    [
        (
            lambda tampering, scenario: tampering.set_status(scenario.succeeded, Status.FAILED),
            "succeeded",
        ),
        (
            lambda tampering, scenario: tampering.set_status(scenario.succeeded, Status.PROCESSING),
            "succeeded",
        ),
        (
            lambda tampering, scenario: tampering.set_status(scenario.declined, Status.SUCCESS),
            "declined",
        ),
        (
            lambda tampering, scenario: tampering.set_status(scenario.pending, Status.SUCCESS),
            "pending",
        ),
        (lambda tampering, scenario: tampering.set_amount(scenario.succeeded, 699), "succeeded"),
    ],
    ids=["posted but failed", "posted but open", "declined but success", "never posted", "amount"],
)
def test_payment_that_disagrees_with_its_posting_is_found(
    store: Store,
    scenario: LedgerScenario,
    tamper: Callable[[Tampering, LedgerScenario], None],
    payment: str,
) -> None:
    tamper(store.tampering, scenario)
    assert find_violations(store) == {(LedgerCheck.PAYMENT_POSTED, str(getattr(scenario, payment)))}


def test_world_account_is_verified(store: Store, scenario: LedgerScenario) -> None:
    world = world_account_id("USD")
    store.tampering.set_balance(world, 1)
    assert (LedgerCheck.BALANCE_IS_SUM, str(world)) in find_violations(store)


def test_deleted_payment_is_found_by_its_posting(store: Store, scenario: LedgerScenario) -> None:
    store.tampering.delete_payment(scenario.succeeded)
    assert LedgerCheck.PAYMENT_KNOWN in {check for check, _ in find_violations(store)}


def test_deleted_transaction_is_found_by_its_entries(
    store: Store, scenario: LedgerScenario
) -> None:
    store.tampering.delete_payment_transaction(scenario.succeeded)
    found = find_violations(store)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#1") in found
    assert (LedgerCheck.PAYMENT_POSTED, str(scenario.succeeded)) in found


def test_posting_moved_to_another_payment_breaks_chain(
    store: Store, scenario: LedgerScenario
) -> None:
    """All sums are correct, only the hashes are not."""
    store.tampering.set_amount(scenario.declined, 700)
    store.tampering.move_posting(scenario.succeeded, scenario.declined)
    store.tampering.set_status(scenario.succeeded, Status.FAILED)
    store.tampering.set_status(scenario.declined, Status.SUCCESS)
    found = find_violations(store)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#1") in found
    assert LedgerCheck.PAYMENT_POSTED not in {check for check, _ in found}


def test_changed_account_owner_is_found(store: Store, scenario: LedgerScenario) -> None:
    store.tampering.set_owner(scenario.account_id, add_merchant(store.begin))
    found = find_violations(store)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#1") in found
    assert (LedgerCheck.PAYMENT_ACCOUNT_FITS, str(scenario.pending)) in found


def test_changed_owner_of_empty_account_is_found(store: Store, scenario: LedgerScenario) -> None:
    account_id = open_account(store.begin, add_merchant(store.begin))
    store.tampering.set_owner(account_id, add_merchant(store.begin))
    assert find_violations(store) == {(LedgerCheck.TIP_IS_LAST_ENTRY, str(account_id))}


@pytest.mark.parametrize("amount", [2**63 - 1, -(2**63 - 1)])
def test_entry_at_integer_limit_is_found_without_overflow(
    store: Store, scenario: LedgerScenario, amount: int
) -> None:
    store.tampering.set_entry_amount(scenario.account_id, 2, amount)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scenario.account_id}#2") in find_violations(store)
