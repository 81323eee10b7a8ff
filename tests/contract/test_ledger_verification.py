"""What checking the books finds, on both stores: each rule is broken once and must be named."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.ledger_verification import Check
from atomic_core.domain.payments import Status
from support import IDS, Books, Store, add_merchant, application_over, open_account, order


@dataclass(frozen=True)
class Scene:
    """Three settled payments (one declined) and one that waits."""

    account_id: UUID
    succeeded: UUID
    declined: UUID
    waiting: UUID


@pytest.fixture
def scene(store: Store) -> Scene:
    application = application_over(store.begin)
    merchant_id = add_merchant(store.begin)
    account_id = open_account(store.begin, merchant_id)
    succeeded = application.payments.accept(order(merchant_id, 700))
    application.payments.accept(order(merchant_id, 300))
    declined = application.payments.accept(order(merchant_id, source="tok_chargeDeclined"))
    application.settlement.settle()
    waiting = application.payments.accept(order(merchant_id))
    return Scene(account_id, succeeded.id, declined.id, waiting.id)


def findings(store: Store) -> set[tuple[Check, str]]:
    with store.begin() as work:
        report = work.ledger.check()
    assert report.clean == (not report.findings)
    return {(finding.check, finding.subject) for finding in report.findings}


def test_honest_books_are_clean_and_counted(store: Store, scene: Scene) -> None:
    with store.begin() as work:
        report = work.ledger.check()
    assert report.clean
    assert (report.accounts, report.transactions) == (3, 2)
    assert (report.entries, report.payments) == (4, 4)


def test_empty_books_are_clean(store: Store) -> None:
    assert findings(store) == set()


def test_a_balance_changed_by_hand_is_named(store: Store, scene: Scene) -> None:
    store.books.set_balance(scene.account_id, 1_001)
    assert findings(store) == {
        (Check.BALANCE_IS_SUM, str(scene.account_id)),
        (Check.TIP_IS_LAST_ENTRY, str(scene.account_id)),
    }


def test_a_changed_entry_is_named_everywhere_it_shows(store: Store, scene: Scene) -> None:
    store.books.set_entry_amount(scene.account_id, 1, 701)
    found = findings(store)
    assert (Check.CURRENCY_BALANCED, "USD") in found
    assert (Check.BALANCE_IS_SUM, str(scene.account_id)) in found
    assert (Check.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert (Check.PAYMENT_POSTED, str(scene.succeeded)) in found
    assert Check.TRANSACTION_BALANCED in {check for check, _ in found}


def test_a_changed_hash_breaks_the_chain_there_and_after(store: Store, scene: Scene) -> None:
    store.books.set_entry_hash(scene.account_id, 1, bytes(32))
    assert findings(store) == {
        (Check.CHAIN_UNBROKEN, f"{scene.account_id}#1"),
        (Check.CHAIN_UNBROKEN, f"{scene.account_id}#2"),
    }


@pytest.mark.parametrize("sequence", [1, 2])
def test_a_missing_entry_is_named(store: Store, scene: Scene, sequence: int) -> None:
    store.books.delete_entry(scene.account_id, sequence)
    found = findings(store)
    assert (Check.BALANCE_IS_SUM, str(scene.account_id)) in found
    tip = (Check.TIP_IS_LAST_ENTRY, str(scene.account_id))
    gap = (Check.CHAIN_UNBROKEN, f"{scene.account_id}#2")
    assert (tip in found, gap in found) == (sequence == 2, sequence == 1)


def test_a_transaction_without_entries_is_named(store: Store, scene: Scene) -> None:
    transaction_id = IDS.new_id()
    store.books.add_empty_transaction(transaction_id, scene.declined)
    assert findings(store) == {
        (Check.TRANSACTION_BALANCED, str(transaction_id)),
        (Check.PAYMENT_POSTED, str(scene.declined)),
    }


@pytest.mark.parametrize(
    ("falsify", "who"),
    [
        (lambda books, s: books.set_status(s.succeeded, Status.FAILED), "succeeded"),
        (lambda books, s: books.set_status(s.succeeded, Status.PROCESSING), "succeeded"),
        (lambda books, s: books.set_status(s.declined, Status.SUCCESS), "declined"),
        (lambda books, s: books.set_status(s.waiting, Status.SUCCESS), "waiting"),
        (lambda books, s: books.set_amount(s.succeeded, 699), "succeeded"),
    ],
    ids=["posted but failed", "posted but open", "declined but success", "never posted", "amount"],
)
def test_a_payment_that_disagrees_with_its_posting_is_named(
    store: Store, scene: Scene, falsify: Callable[[Books, Scene], None], who: str
) -> None:
    falsify(store.books, scene)
    assert findings(store) == {(Check.PAYMENT_POSTED, str(getattr(scene, who)))}


def test_the_world_is_checked_like_any_account(store: Store, scene: Scene) -> None:
    world = world_account_id("USD")
    store.books.set_balance(world, 1)
    assert (Check.BALANCE_IS_SUM, str(world)) in findings(store)


def test_a_deleted_payment_is_named_by_its_posting(store: Store, scene: Scene) -> None:
    store.books.delete_payment(scene.succeeded)
    assert Check.PAYMENT_KNOWN in {check for check, _ in findings(store)}


def test_a_deleted_ledger_transaction_leaves_entries_that_show_it(
    store: Store, scene: Scene
) -> None:
    store.books.delete_transaction_of(scene.succeeded)
    found = findings(store)
    assert (Check.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert (Check.PAYMENT_POSTED, str(scene.succeeded)) in found


def test_a_posting_moved_to_another_payment_breaks_the_chain(store: Store, scene: Scene) -> None:
    """A declined payment made the paid one: every sum still agrees, the hash does not."""
    store.books.set_amount(scene.declined, 700)
    store.books.move_posting(scene.succeeded, scene.declined)
    store.books.set_status(scene.succeeded, Status.FAILED)
    store.books.set_status(scene.declined, Status.SUCCESS)
    found = findings(store)
    assert (Check.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert Check.PAYMENT_POSTED not in {check for check, _ in found}


def test_an_account_that_changed_hands_is_named(store: Store, scene: Scene) -> None:
    thief = add_merchant(store.begin)
    store.books.set_owner(scene.account_id, thief)
    found = findings(store)
    assert (Check.CHAIN_UNBROKEN, f"{scene.account_id}#1") in found
    assert (Check.PAYMENT_ACCOUNT_FITS, str(scene.waiting)) in found


def test_an_empty_account_that_changed_hands_is_named_too(store: Store, scene: Scene) -> None:
    account_id = open_account(store.begin, add_merchant(store.begin))
    store.books.set_owner(account_id, add_merchant(store.begin))
    assert findings(store) == {(Check.TIP_IS_LAST_ENTRY, str(account_id))}


@pytest.mark.parametrize("amount", [2**63 - 1, -(2**63 - 1)])
def test_a_monstrous_entry_is_named_and_does_not_stop_the_check(
    store: Store, scene: Scene, amount: int
) -> None:
    store.books.set_entry_amount(scene.account_id, 2, amount)
    assert (Check.CHAIN_UNBROKEN, f"{scene.account_id}#2") in findings(store)
