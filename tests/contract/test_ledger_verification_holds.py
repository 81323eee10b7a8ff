"""What checking the books finds of holds, refunds and fees, on both stores: each rule is broken
once and must be named."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.ledger_verification import Check
from atomic_core.domain.payments import Capture, NewPayment, Status
from atomic_core.domain.refunds import NewRefund
from support import Books, Store, add_merchant, application_over, open_account, order


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
    application = application_over(store.begin)
    merchant_id = add_merchant(store.begin)
    account_id = open_account(store.begin, merchant_id)
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0))
    paid = application.payments.accept(order(merchant_id, 1_000)).id
    plain = order(merchant_id, 500)
    asked = NewPayment(merchant_id, plain.money, plain.source, capture=Capture.MANUAL)
    held = application.payments.accept(asked).id
    application.settlement.settle()
    one, other = (application.refunds.create(NewRefund(merchant_id, paid, 100)) for _ in range(2))
    application.settlement.settle()
    waiting = application.refunds.create(NewRefund(merchant_id, paid, 50)).id
    return Scene(account_id, paid, held, one.id, other.id, waiting)


def findings(store: Store) -> set[tuple[Check, str]]:
    with store.begin() as work:
        report = work.ledger.check()
    return {(finding.check, finding.subject) for finding in report.findings}


def test_honest_books_are_clean_and_counted(store: Store, scene: Scene) -> None:
    with store.begin() as work:
        report = work.ledger.check()
    assert report.clean, report.findings
    assert (report.payments, report.refunds, report.holds) == (2, 3, 1)
    assert (report.transactions, report.entries) == (3, 7)


BROKEN: dict[str, tuple[Callable[[Books, Scene], None], set[tuple[Check, str]]]] = {
    "a hold that is forgotten": (
        lambda books, s: books.forget_hold(s.held),
        {(Check.HOLD_FITS, "held"), (Check.PENDING_IS_SUM, "account")},
    ),
    "a hold of another amount": (
        lambda books, s: books.set_hold_amount(s.held, 499),
        {(Check.HOLD_FITS, "held"), (Check.PENDING_IS_SUM, "account")},
    ),
    "a held payment that failed": (
        lambda books, s: books.set_status(s.held, Status.FAILED),
        {(Check.HOLD_FITS, "held")},
    ),
    "pending sums that no hold explains": (
        lambda books, s: books.set_pending(s.account, 501, 0),
        {(Check.PENDING_IS_SUM, "account")},
    ),
    "promises that no hold explains": (
        lambda books, s: books.set_pending(s.account, 500, 1),
        {(Check.PENDING_IS_SUM, "account")},
    ),
    "a fee that was not taken": (
        lambda books, s: books.set_fee(s.paid, 11),
        {(Check.PAYMENT_POSTED, "paid")},
    ),
    "a posted refund that failed": (
        lambda books, s: books.set_refund_status(s.refunded, Status.FAILED),
        {(Check.REFUND_POSTED, "refunded"), (Check.REFUNDS_SUMMED, "paid")},
    ),
    "a refund that succeeded without a posting": (
        lambda books, s: books.set_refund_status(s.waiting, Status.SUCCESS),
        {(Check.REFUND_POSTED, "waiting"), (Check.REFUNDS_SUMMED, "paid")},
    ),
    "a refunded sum that no refund explains": (
        lambda books, s: books.set_refunded(s.paid, 201, 250),
        {(Check.REFUNDS_SUMMED, "paid")},
    ),
    "a reserved sum that no refund explains": (
        lambda books, s: books.set_refunded(s.paid, 200, 251),
        {(Check.REFUNDS_SUMMED, "paid")},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(store: Store, scene: Scene, name: str) -> None:
    falsify, expected = BROKEN[name]
    falsify(store.books, scene)
    named = {(check, str(getattr(scene, who))) for check, who in expected}
    found = findings(store)
    # World shares in what is pending, and is named with the account.
    assert {each for each in found if each[0] is not Check.PENDING_IS_SUM} == {
        each for each in named if each[0] is not Check.PENDING_IS_SUM
    }
    assert named <= found


def test_refund_postings_that_were_swapped_break_the_chain(store: Store, scene: Scene) -> None:
    """Of the same amount: every sum still agrees, the hash does not."""
    store.books.swap_refund_postings(scene.paid, scene.refunded, scene.refunded_too)
    assert {check for check, _ in findings(store)} == {Check.CHAIN_UNBROKEN}
