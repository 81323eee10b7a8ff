"""The suite finds what is wrong: one that had never failed would prove nothing."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment, Status
from atomic_core.domain.refunds import NewRefund
from fault.auditor import Auditor, audit, last_audit
from fault.oracle import Answer, Book, Order, Return, Shop
from support import IDS, Store, add_merchant, application_over, open_account


@dataclass
class Ground:
    """One good payment and one declined, as the model remembers them and as they are recorded."""

    store: Store
    book: Book
    good: Order
    declined: Order
    connection: psycopg.Connection[Any]

    def rules_broken(self) -> set[str]:
        """By the last audit."""
        last_audit(self.connection, self.book)
        return {violation.split()[2] for violation in self.book.violations}


@pytest.fixture
def ground(postgres_store: Store, database_url: str) -> Iterator[Ground]:
    book = Book()
    begin = postgres_store.begin
    merchant_id = add_merchant(begin)
    shop = Shop(merchant_id, "", {"USD": open_account(begin, merchant_id)})
    application = application_over(begin)
    orders = [
        Order("good", shop, 700, "USD", "tok_visa"),
        Order("bad", shop, 300, "USD", "tok_chargeDeclined"),
    ]
    book.ordered(orders)
    for order in orders:
        asked = NewPayment(merchant_id, Money(order.amount, "USD"), order.source, order.token)
        payment = application.payments.accept(asked)
        order.answer, order.payment_id = Answer.ACCEPTED, str(payment.id)
    application.settlement.settle()
    with psycopg.connect(database_url, autocommit=True) as connection:
        good, declined = orders
        yield Ground(postgres_store, book, good, declined, connection)


def test_honest_books_break_no_rule(ground: Ground) -> None:
    assert ground.rules_broken() == set()
    assert {"I1", "I2", "I3", "I4", "I5", "I6", "I9", "time"} <= ground.book.checks.keys()


def _an_acknowledged_payment_is_missing(ground: Ground) -> None:
    ground.store.books.delete_payment(_id(ground.declined))


def _a_payment_that_nobody_ordered(ground: Ground) -> None:
    del ground.book.orders["bad"]


def _a_refused_payment_is_recorded(ground: Ground) -> None:
    ground.declined.answer = Answer.REFUSED


def _another_amount_is_recorded(ground: Ground) -> None:
    ground.declined.amount = 301


def _a_status_that_is_not_due(ground: Ground) -> None:
    ground.store.books.set_status(_id(ground.declined), Status.FAILED)


def _an_open_payment(ground: Ground) -> None:
    ground.store.books.set_status(_id(ground.declined), Status.PENDING)


def _a_posting_of_a_failed_payment(ground: Ground) -> None:
    ground.store.books.add_empty_transaction(IDS.new_id(), _id(ground.declined))


def _a_success_without_posting(ground: Ground) -> None:
    ground.store.books.delete_transaction_of(_id(ground.good))


def _money_from_nowhere(ground: Ground) -> None:
    ground.store.books.set_entry_amount(ground.good.shop.accounts["USD"], 1, 701)


def _a_wrong_balance(ground: Ground) -> None:
    ground.store.books.set_balance(ground.good.shop.accounts["USD"], 699)


def _pending_that_no_hold_explains(ground: Ground) -> None:
    ground.store.books.set_pending(ground.good.shop.accounts["USD"], 1, 0)


def _a_refund_that_nobody_asked_for(ground: Ground) -> None:
    _refund(ground)


def _a_granted_refund_is_missing(ground: Ground) -> None:
    ground.book.returning(Return("gone", ground.good, 100, granted=True))


def _a_refused_refund_is_recorded(ground: Ground) -> None:
    ground.book.returning(Return("back", ground.good, 100, granted=False))
    _refund(ground)


def _a_payment_that_was_captured_unasked(ground: Ground) -> None:
    ground.good.is_held = True


def _refund(ground: Ground) -> None:
    application = application_over(ground.store.begin)
    shop, payment_id = ground.good.shop, _id(ground.good)
    application.refunds.create(NewRefund(shop.merchant_id, payment_id, 100, "back"))
    application.settlement.settle()


def _an_order_without_an_answer(ground: Ground) -> None:
    ground.declined.answer = Answer.NONE


@pytest.mark.parametrize(
    ("falsify", "rule"),
    [
        (_an_acknowledged_payment_is_missing, "I9"),
        (_a_payment_that_nobody_ordered, "I9"),
        (_a_refused_payment_is_recorded, "I9"),
        (_another_amount_is_recorded, "I9"),
        (_a_status_that_is_not_due, "I4"),
        (_an_open_payment, "I4"),
        (_a_posting_of_a_failed_payment, "I5"),
        (_a_success_without_posting, "I5"),
        (_money_from_nowhere, "I1"),
        (_money_from_nowhere, "I6"),
        (_a_wrong_balance, "I2"),
        (_an_order_without_an_answer, "answer"),
        (_pending_that_no_hold_explains, "holds"),
        (_a_refund_that_nobody_asked_for, "I9"),
        (_a_granted_refund_is_missing, "I9"),
        (_a_refused_refund_is_recorded, "I9"),
        (_a_payment_that_was_captured_unasked, "I4"),
    ],
)
def test_each_rule_is_seen_to_be_broken(
    ground: Ground, falsify: Callable[[Ground], None], rule: str
) -> None:
    falsify(ground)
    assert rule in ground.rules_broken()


def test_a_payment_recorded_twice_is_seen(ground: Ground) -> None:
    again = NewPayment(ground.good.shop.merchant_id, Money(700, "USD"), "tok_visa", "good")
    application = application_over(ground.store.begin)
    application.payments.accept(again)
    application.settlement.settle()
    assert "I5" in ground.rules_broken()


def test_an_honest_refund_breaks_no_rule(ground: Ground) -> None:
    ground.book.returning(Return("back", ground.good, 100, granted=True))
    _refund(ground)
    assert ground.rules_broken() == set()


def test_a_broken_rule_is_seen_while_the_run_goes_on(ground: Ground) -> None:
    _a_wrong_balance(ground)
    audit(ground.connection, ground.book)
    assert ground.book.violations


def test_an_auditor_that_cannot_go_on_does_not_pass_for_one_that_found_nothing() -> None:
    def connect() -> psycopg.Connection[Any]:
        asked.set()
        raise ZeroDivisionError

    asked = threading.Event()
    auditor = Auditor(connect, Book())
    auditor.start()
    assert asked.wait(5)
    with pytest.raises(ZeroDivisionError):
        auditor.stop()


def test_two_answers_of_one_order_must_be_the_same(ground: Ground) -> None:
    order = replace(ground.good, answer=Answer.NONE)
    payment = order.content | {"id": "1", "merchantId": str(order.shop.merchant_id)}
    ground.book.accepted(order, payment)
    ground.book.accepted(order, payment)
    assert not ground.book.violations
    ground.book.accepted(order, payment | {"id": "2"})
    assert "I7" in ground.book.told()


def test_a_payment_that_comes_back_from_its_end_is_seen(ground: Ground) -> None:
    payment = ground.good.content | {"status": "SUCCESS", "failureReason": None}
    ground.book.read(ground.good, payment)
    assert not ground.book.violations
    ground.book.read(ground.good, payment | {"status": "PROCESSING"})
    assert "I4" in ground.book.told()


def _id(order: Order) -> UUID:
    return UUID(order.payment_id)
