"""What checking the books finds, on both stores: each rule is broken once and must be named."""

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
class Scene:
    """Three settled payments (one declined) and one that waits."""

    account_id: UUID
    succeeded: UUID
    declined: UUID
    waiting: UUID


@pytest.fixture
def scene(store: Store) -> Scene:
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    account_id = open_account(store.begin, merchant_id)
    succeeded = application.payments.record(build_payment(merchant_id, 700))
    application.payments.record(build_payment(merchant_id, 300))
    declined = application.payments.record(build_payment(merchant_id, source="tok_chargeDeclined"))
    application.settlement.settle()
    waiting = application.payments.record(build_payment(merchant_id))
    return Scene(account_id, succeeded.id, declined.id, waiting.id)


def findings(store: Store) -> set[tuple[LedgerCheck, str]]:
    with store.begin() as work:
        report = work.ledger.verify()
    assert report.is_clean == (not report.findings)
    return {(finding.check, finding.subject) for finding in report.findings}


def test_unchanged_ledger_is_clean_and_counted(store: Store, scene: Scene) -> None:
    with store.begin() as work:
        report = work.ledger.verify()
    assert report.is_clean
    assert (report.accounts, report.transactions) == (3, 2)
    assert (report.entries, report.payments) == (4, 4)


def test_empty_ledger_is_clean(store: Store) -> None:
    assert findings(store) == set()


def test_changed_balance_is_found(store: Store, scene: Scene) -> None:
    store.tampering.set_balance(scene.account_id, 1_001)
    assert findings(store) == {
        (LedgerCheck.BALANCE_IS_SUM, str(scene.account_id)),
        (LedgerCheck.TIP_IS_LAST_ENTRY, str(scene.account_id)),
    }


def test_changed_entry_is_found_by_every_affected_check(store: Store, scene: Scene) -> None:
    store.tampering.set_entry_amount(scene.account_id, 1, 701)
    found = findings(store)
    assert (LedgerCheck.CURRENCY_BALANCED, "USD") in found
    assert (LedgerCheck.BALANCE_IS_SUM, str(scene.account_id)) in found
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert (LedgerCheck.PAYMENT_POSTED, str(scene.succeeded)) in found
    assert LedgerCheck.TRANSACTION_BALANCED in {check for check, _ in found}


def test_changed_hash_breaks_chain_there_and_at_next_entry(store: Store, scene: Scene) -> None:
    store.tampering.set_entry_hash(scene.account_id, 1, bytes(32))
    assert findings(store) == {
        (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#1"),
        (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#2"),
    }


@pytest.mark.parametrize("sequence", [1, 2])
def test_missing_entry_is_found(store: Store, scene: Scene, sequence: int) -> None:
    store.tampering.delete_entry(scene.account_id, sequence)
    found = findings(store)
    assert (LedgerCheck.BALANCE_IS_SUM, str(scene.account_id)) in found
    tip = (LedgerCheck.TIP_IS_LAST_ENTRY, str(scene.account_id))
    gap = (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#2")
    assert (tip in found, gap in found) == (sequence == 2, sequence == 1)


def test_transaction_without_entries_is_found(store: Store, scene: Scene) -> None:
    transaction_id = IDS.new_id()
    store.tampering.add_empty_transaction(transaction_id, scene.declined)
    assert findings(store) == {
        (LedgerCheck.TRANSACTION_BALANCED, str(transaction_id)),
        (LedgerCheck.PAYMENT_POSTED, str(scene.declined)),
    }


@pytest.mark.parametrize(
    ("falsify", "who"),
    [
        (lambda tampering, s: tampering.set_status(s.succeeded, Status.FAILED), "succeeded"),
        (lambda tampering, s: tampering.set_status(s.succeeded, Status.PROCESSING), "succeeded"),
        (lambda tampering, s: tampering.set_status(s.declined, Status.SUCCESS), "declined"),
        (lambda tampering, s: tampering.set_status(s.waiting, Status.SUCCESS), "waiting"),
        (lambda tampering, s: tampering.set_amount(s.succeeded, 699), "succeeded"),
    ],
    ids=["posted but failed", "posted but open", "declined but success", "never posted", "amount"],
)
def test_payment_that_disagrees_with_its_posting_is_found(
    store: Store, scene: Scene, falsify: Callable[[Tampering, Scene], None], who: str
) -> None:
    falsify(store.tampering, scene)
    assert findings(store) == {(LedgerCheck.PAYMENT_POSTED, str(getattr(scene, who)))}


def test_world_account_is_verified(store: Store, scene: Scene) -> None:
    world = world_account_id("USD")
    store.tampering.set_balance(world, 1)
    assert (LedgerCheck.BALANCE_IS_SUM, str(world)) in findings(store)


def test_deleted_payment_is_found_by_its_posting(store: Store, scene: Scene) -> None:
    store.tampering.delete_payment(scene.succeeded)
    assert LedgerCheck.PAYMENT_KNOWN in {check for check, _ in findings(store)}


def test_deleted_transaction_is_found_by_its_entries(store: Store, scene: Scene) -> None:
    store.tampering.delete_payment_transaction(scene.succeeded)
    found = findings(store)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert (LedgerCheck.PAYMENT_POSTED, str(scene.succeeded)) in found


def test_posting_moved_to_another_payment_breaks_chain(store: Store, scene: Scene) -> None:
    """A declined payment made the paid one: every sum still agrees, the hash does not."""
    store.tampering.set_amount(scene.declined, 700)
    store.tampering.move_posting(scene.succeeded, scene.declined)
    store.tampering.set_status(scene.succeeded, Status.FAILED)
    store.tampering.set_status(scene.declined, Status.SUCCESS)
    found = findings(store)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert LedgerCheck.PAYMENT_POSTED not in {check for check, _ in found}


def test_changed_account_owner_is_found(store: Store, scene: Scene) -> None:
    thief = add_merchant(store.begin)
    store.tampering.set_owner(scene.account_id, thief)
    found = findings(store)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert (LedgerCheck.PAYMENT_ACCOUNT_FITS, str(scene.waiting)) in found


def test_changed_owner_of_empty_account_is_found(store: Store, scene: Scene) -> None:
    account_id = open_account(store.begin, add_merchant(store.begin))
    store.tampering.set_owner(account_id, add_merchant(store.begin))
    assert findings(store) == {(LedgerCheck.TIP_IS_LAST_ENTRY, str(account_id))}


@pytest.mark.parametrize("amount", [2**63 - 1, -(2**63 - 1)])
def test_entry_at_integer_limit_is_found_without_overflow(
    store: Store, scene: Scene, amount: int
) -> None:
    store.tampering.set_entry_amount(scene.account_id, 2, amount)
    assert (LedgerCheck.CHAIN_UNBROKEN, f"{scene.account_id}#2") in findings(store)
