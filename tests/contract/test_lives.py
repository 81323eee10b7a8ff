"""The lives of payments beyond a plain charge, on both stores: held, captured, let go, refunded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_adapters.sandbox_card_network import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.accounts import Account, fee_account_id, world_account_id
from atomic_core.domain.errors import Conflict, NotFound, StorageRefused, ValidationFailed
from atomic_core.domain.events import Event
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.lists import RefundFilter
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import Capture, NewPayment, Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settling import Authorization, Claim, Settlement
from atomic_core.use_cases.holds import Cancellation, NewCapture
from atomic_core.use_cases.refunds import MAX_REFUNDS
from atomic_core.use_cases.settling import Batch
from support import HOUR, NOW, Store, add_merchant, application_over, open_account

MANUAL = Capture.MANUAL

MANY_TIMES = 20


class Power(SandboxCardNetwork):
    """Goes away when it is asked for the first time, before or after it did what was asked."""

    def __init__(self) -> None:
        self.fails: str | None = None
        self.asked: list[tuple[str, UUID]] = []

    def capture(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        return self._ask("capture", claims, super().capture(claims))

    def void(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        return self._ask("void", claims, super().void(claims))

    def refund(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        return self._ask("refund", claims, super().refund(claims))

    def _ask(
        self, call: str, claims: Sequence[Claim], answers: Sequence[Authorization]
    ) -> Sequence[Authorization]:
        self.asked += [(call, claim.id) for claim in claims]
        if self.fails == call:
            self.fails = None
            raise KeyboardInterrupt
        return answers


@dataclass
class Shop:
    application: Application
    network: Power
    merchant_id: UUID
    account_id: UUID

    def pay(
        self, amount: int, source: str = "tok_visa", capture: Capture = Capture.AUTOMATIC
    ) -> Payment:
        """A payment as it stands once all is settled."""
        order = NewPayment(self.merchant_id, Money(amount, "USD"), source, capture=capture)
        return self.settled(self.application.accept_payment(order))

    def settled(self, payment: Payment) -> Payment:
        for _ in range(MANY_TIMES):
            if not self.application.settle_payments():
                break
        else:
            pytest.fail("something is never settled")
        return self.application.get_payment(self.merchant_id, payment.id)

    def capture(self, payment: Payment, amount: int | None = None) -> Payment:
        return self.application.capture_payment(NewCapture(self.merchant_id, payment.id, amount))

    def cancel(self, payment: Payment) -> Payment:
        return self.application.cancel_payment(Cancellation(self.merchant_id, payment.id))

    def ask_back(self, payment: Payment, amount: int | None = None) -> Refund:
        return self.application.refund_payment(NewRefund(self.merchant_id, payment.id, amount))

    def give_back(self, payment: Payment, amount: int | None = None) -> tuple[Status, str | None]:
        """What became of a refund."""
        refund = self.ask_back(payment, amount)
        self.settled(payment)
        now = self.application.get_refund(self.merchant_id, refund.id)
        return now.status, now.failure_reason

    def told(self, payment: Payment) -> list[Event]:
        timeline = self.application.get_timeline(self.merchant_id, payment.id)
        return [told.event.event for told in timeline.told]

    @property
    def account(self) -> Account:
        return self.application.get_account(self.merchant_id, self.account_id)

    def check_books(self) -> None:
        report = self.application.verify_ledger()
        assert report.clean, report.findings


@pytest.fixture
def shop(store: Store, monkeypatch: pytest.MonkeyPatch) -> Shop:
    # What is put off, or tried again, is due at once.
    monkeypatch.setattr("atomic_core.domain.settling.BUSY_PAUSE", NOW)
    monkeypatch.setattr("atomic_core.domain.settling.BACK_OFF_BASE", NOW)
    merchant_id, network = add_merchant(store.begin), Power()
    account_id = open_account(store.begin, merchant_id)
    application = application_over(store.begin, network=network, lease=NOW)
    return Shop(application, network, merchant_id, account_id)


def test_a_hold_counts_as_pending_and_is_no_balance(shop: Shop) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.expires_at
    assert held.expires_at - held.created_at > timedelta(days=6, hours=23)
    assert (shop.account.balance, shop.account.pending, shop.account.available) == (0, (700, 0), 0)
    assert shop.application.verify_ledger().holds == 1
    shop.check_books()


@pytest.mark.parametrize(("asked", "taken"), [(None, 700), (700, 700), (1, 1)])
def test_a_capture_takes_what_it_says_and_lets_go_of_the_rest(
    shop: Shop, asked: int | None, taken: int
) -> None:
    held = shop.pay(700, capture=MANUAL)
    capturing = shop.capture(held, asked)
    assert (capturing.status, capturing.step) == (Status.PROCESSING, Step.CAPTURE)
    done = shop.settled(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, taken)
    assert (shop.account.balance, shop.account.pending) == (taken, (0, 0))
    shop.check_books()


@pytest.mark.parametrize("amount", [0, -1, 701])
def test_no_more_than_is_held_is_captured(shop: Shop, amount: int) -> None:
    held = shop.pay(700, capture=MANUAL)
    with pytest.raises(ValidationFailed):
        shop.capture(held, amount)
    assert shop.settled(held) == held


def test_a_void_takes_nothing(shop: Shop) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert shop.cancel(held).step == Step.VOID
    done = shop.settled(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "requested_by_merchant")
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    assert shop.network.asked == [("void", held.id)]
    shop.check_books()


def test_a_hold_does_not_expire_early(shop: Shop) -> None:
    held = shop.pay(700, capture=MANUAL)
    assert shop.application.expire_holds() == 0
    assert shop.settled(held) == held


def test_a_hold_that_has_ended_expires_once(store: Store, shop: Shop) -> None:
    shop.application = application_over(store.begin, network=shop.network, hold_for=NOW)
    held = shop.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert shop.application.expire_holds() == 1
    assert shop.application.expire_holds() == 0
    done = shop.settled(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "expired")
    assert shop.account.pending == (0, 0)
    assert shop.network.asked == [("void", held.id)]
    shop.check_books()


def test_a_hold_is_resolved_once_and_the_second_is_told_the_state(shop: Shop) -> None:
    for first, second in ((shop.capture, shop.cancel), (shop.cancel, shop.capture)):
        held = shop.pay(100, capture=MANUAL)
        first(held)
        with pytest.raises(Conflict) as conflict:
            second(held)
        assert conflict.value.details == {"status": ["PROCESSING"]}
        done = shop.settled(held)
        for late in (shop.capture, shop.cancel):
            with pytest.raises(Conflict) as conflict:
                late(held)
            assert conflict.value.details == {"status": [done.status.value]}
        assert shop.settled(held) == done


def test_what_is_not_held_can_be_neither_captured_nor_canceled(store: Store, shop: Shop) -> None:
    paid, failed = shop.pay(100), shop.pay(100, "tok_chargeDeclined", capture=MANUAL)
    assert failed.failure_reason == "card_declined"
    waiting = shop.application.accept_payment(
        NewPayment(shop.merchant_id, Money(1, "USD"), "tok_visa", capture=MANUAL)
    )
    for payment in (paid, failed, waiting):
        for resolve in (shop.capture, shop.cancel):
            with pytest.raises(Conflict):
                resolve(payment)
    stranger = Shop(shop.application, shop.network, add_merchant(store.begin), shop.account_id)
    held = shop.pay(100, capture=MANUAL)
    for resolve in (stranger.capture, stranger.cancel):
        with pytest.raises(NotFound):
            resolve(held)
    assert shop.settled(held) == held


def test_whoever_authorized_it_and_does_not_know_changes_nothing_later(
    store: Store, shop: Shop
) -> None:
    """A settler whose commit got no answer tries again: by then a capture was asked for."""
    order = NewPayment(shop.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    payment = shop.application.accept_payment(order)
    with store.begin() as work:
        stale = work.payments.claim(10, HOUR, NOW)
        work.commit()
    with store.begin() as work:
        work.payments.settle([Settlement(payment.id, Status.AUTHORIZED, None, 0, None)], HOUR)
        work.commit()
    shop.capture(payment)
    with store.begin() as work:
        assert work.payments.hold(stale) == frozenset()


def test_nothing_ends_while_its_money_is_held(store: Store, shop: Shop) -> None:
    """Nobody would come again to let go of it."""
    held, paid = shop.pay(700, capture=MANUAL), shop.pay(700)
    shop.capture(held)
    refund = shop.ask_back(paid)
    shop.network.fails = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settle_payments()
    for status, reason in ((Status.SUCCESS, None), (Status.FAILED, "processing_error")):
        with pytest.raises(StorageRefused), store.begin() as work:
            work.payments.settle([Settlement(held.id, status, reason, 0, None)], HOUR)
        with pytest.raises(StorageRefused), store.begin() as work:
            ended = Settlement(paid.id, status, reason, 0, None, refund_id=refund.id)
            work.refunds.settle([ended])
    assert shop.settled(held).status is Status.SUCCESS
    assert shop.settled(paid).amount_refunded == 700
    shop.check_books()


@pytest.mark.parametrize("source", ["tok_captureDeclined", "tok_captureProcessingError"])
def test_a_hold_that_cannot_be_captured_is_let_go_of(shop: Shop, source: str) -> None:
    held = shop.pay(700, source, capture=MANUAL)
    shop.capture(held)
    done = shop.settled(held)
    reason = "capture_declined" if source == "tok_captureDeclined" else "processing_error"
    assert (done.status, done.failure_reason) == (Status.FAILED, reason)
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    attempts = 1 if source == "tok_captureDeclined" else 3
    assert shop.network.asked == [("capture", held.id)] * attempts
    shop.check_books()


def test_a_slow_card_is_asked_again_until_it_has_decided(shop: Shop) -> None:
    held = shop.pay(700, "tok_slow", capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.attempt == 3
    shop.capture(held, 500)
    done = shop.settled(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, 500)
    shop.check_books()


def test_what_may_come_in_must_find_room(shop: Shop) -> None:
    full = shop.pay(MAX_AMOUNT, capture=MANUAL)
    for capture in Capture:
        refused = shop.pay(1, capture=capture)
        assert (refused.status, refused.failure_reason) == (Status.FAILED, "balance_overflow")
    shop.capture(full, 1)
    assert shop.settled(full).status is Status.SUCCESS
    assert shop.pay(1).status is Status.SUCCESS
    shop.check_books()


@pytest.mark.parametrize("verb", ["capture", "void", "refund"])
def test_a_settler_that_dies_at_the_network_is_replaced(shop: Shop, verb: str) -> None:
    payment = shop.pay(700, capture=Capture.AUTOMATIC if verb == "refund" else MANUAL)
    ask = {"capture": shop.capture, "void": shop.cancel, "refund": shop.ask_back}[verb]
    ask(payment)
    shop.network.fails = verb
    with pytest.raises(KeyboardInterrupt):
        shop.application.settle_payments()
    shop.check_books()
    if verb == "refund":
        assert shop.account.pending == (0, 700), "promised, and that is kept"
        assert shop.account.available == 0
    done = shop.settled(payment)
    assert len(shop.network.asked) == 2
    left = {"capture": (700, 0), "void": (0, 0), "refund": (0, 700)}[verb]
    assert (shop.account.balance, done.amount_refunded) == left
    assert shop.account.pending == (0, 0)
    shop.check_books()


def test_refunds_never_exceed_what_was_captured(shop: Shop) -> None:
    held = shop.pay(1_000, capture=MANUAL)
    shop.capture(held, 600)
    shop.settled(held)
    assert shop.give_back(held, 250) == (Status.SUCCESS, None)
    for amount in (351, 600, MAX_AMOUNT):
        with pytest.raises(Conflict, match="More than is left"):
            shop.ask_back(held, amount)
    with pytest.raises(ValidationFailed):
        shop.ask_back(held, 0)
    assert shop.give_back(held) == (Status.SUCCESS, None)
    with pytest.raises(Conflict):
        shop.ask_back(held)
    done = shop.settled(held)
    assert (done.amount_captured, done.amount_refunded, done.refundable) == (600, 600, 0)
    assert shop.account.balance == 0
    shop.check_books()


def test_only_a_success_is_refunded(shop: Shop) -> None:
    held = shop.pay(100, capture=MANUAL)
    failed = shop.pay(100, "tok_chargeDeclined")
    for payment in (held, failed):
        with pytest.raises(Conflict) as conflict:
            shop.ask_back(payment)
        assert conflict.value.details == {"status": [payment.status.value]}


def test_a_refund_that_failed_frees_what_it_reserved(shop: Shop) -> None:
    paid = shop.pay(700, "tok_refundDeclined")
    assert shop.give_back(paid) == (Status.FAILED, "refund_declined")
    assert (shop.account.balance, shop.account.pending) == (700, (0, 0))
    assert shop.settled(paid).refundable == 700
    faulty = shop.pay(300, "tok_refundProcessingError")
    assert shop.give_back(faulty) == (Status.FAILED, "processing_error")
    assert [call for call, _ in shop.network.asked] == ["refund"] * 4
    shop.check_books()


def test_the_balance_must_suffice_in_the_order_of_asking(shop: Shop) -> None:
    shop.application.set_fees(shop.merchant_id, "USD", FeeTerms(5_000, 0))
    one, other = shop.pay(100), shop.pay(100)
    refunds = [shop.ask_back(one, 60), shop.ask_back(other, 60), shop.ask_back(one, 40)]
    shop.settled(one)
    ends = [shop.application.get_refund(shop.merchant_id, refund.id) for refund in refunds]
    assert [end.failure_reason for end in ends] == [None, "insufficient_balance", None]
    assert shop.network.asked == [("refund", refunds[0].id), ("refund", refunds[2].id)]
    assert (shop.account.balance, shop.account.available) == (0, 0)
    shop.check_books()


def test_what_a_dead_settler_promised_cannot_be_promised_again(shop: Shop) -> None:
    shop.application.set_fees(shop.merchant_id, "USD", FeeTerms(5_000, 0))
    one, other = shop.pay(100), shop.pay(100)
    promised = shop.ask_back(one)
    shop.network.fails = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settle_payments()
    assert (shop.account.balance, shop.account.available) == (100, 0)
    late = shop.ask_back(other, 1)
    batches: list[Batch] = []
    shop.application.settle_payments(done=batches.append)
    # By the ledger itself: what stands behind it would only put it off.
    assert [id for batch in batches for id, _ in batch.stuck] == []
    ended = shop.application.get_refund(shop.merchant_id, late.id)
    assert ended.failure_reason == "insufficient_balance"
    refund = shop.application.get_refund(shop.merchant_id, promised.id)
    assert refund.status is Status.SUCCESS
    assert (shop.account.balance, shop.account.pending) == (0, (0, 0))
    shop.check_books()


def test_what_is_on_hold_cannot_be_given_back(shop: Shop) -> None:
    shop.application.set_fees(shop.merchant_id, "USD", FeeTerms(10_000, 0))
    paid = shop.pay(100)
    shop.pay(100, capture=MANUAL)
    assert (shop.account.balance, shop.account.pending) == (0, (100, 0))
    assert shop.give_back(paid) == (Status.FAILED, "insufficient_balance")


def test_a_payment_has_a_bound_of_refunds(shop: Shop) -> None:
    paid = shop.pay(MAX_REFUNDS + 1)
    for _ in range(MAX_REFUNDS):
        shop.ask_back(paid, 1)
    with pytest.raises(Conflict, match="the most"):
        shop.ask_back(paid, 1)
    shop.settled(paid)
    page = shop.application.list_refunds.of_payment(
        shop.merchant_id, RefundFilter(payment_id=paid.id), None, MAX_REFUNDS + 1
    )
    assert len(page.items) == MAX_REFUNDS
    timeline = shop.application.get_timeline(shop.merchant_id, paid.id)
    assert len(timeline.told) == 3 + 4 * MAX_REFUNDS
    shop.check_books()


def test_a_refund_is_its_merchants(store: Store, shop: Shop) -> None:
    paid, stranger = shop.pay(100), add_merchant(store.begin)
    refund = shop.ask_back(paid, 1)
    with pytest.raises(NotFound):
        shop.application.get_refund(stranger, refund.id)
    with pytest.raises(NotFound):
        shop.application.refund_payment(NewRefund(stranger, paid.id, 1))
    with pytest.raises(NotFound):
        shop.application.list_refunds.of_payment(
            stranger, RefundFilter(payment_id=paid.id), None, 1
        )
    with pytest.raises(NotFound):
        shop.application.get_timeline(stranger, paid.id)


@pytest.mark.parametrize(
    ("terms", "amount", "fee"),
    [
        (FeeTerms(290, 30), 10_000, 320),
        (FeeTerms(290, 0), 50, 1),  # 1.45
        (FeeTerms(500, 0), 10, 0),  # 0.5: to the even 0
        (FeeTerms(500, 0), 30, 2),  # 1.5: to the even 2
        (FeeTerms(500, 0), 50, 2),  # 2.5: to the even 2
        (FeeTerms(0, 30), 20, 20),  # all of it, and no more
        (FeeTerms(10_000, 0), 7, 7),
        (FeeTerms(0, 0), 7, 0),
        (FeeTerms(10_000, MAX_AMOUNT), MAX_AMOUNT, MAX_AMOUNT),
    ],
)
def test_fees_are_rounded_half_to_even_and_the_legs_sum_to_zero(
    shop: Shop, terms: FeeTerms, amount: int, fee: int
) -> None:
    shop.application.set_fees(shop.merchant_id, "USD", terms)
    paid = shop.pay(amount)
    assert (paid.status, paid.fee) == (Status.SUCCESS, fee)
    assert shop.account.balance == amount - fee
    timeline = shop.application.get_timeline(shop.merchant_id, paid.id)
    posted = timeline.told[-1].posted
    assert posted
    legs = {entry.account_id: entry.amount for entry in posted.entries}
    expected = {
        world_account_id("USD"): -amount,
        shop.account_id: amount - fee,
        fee_account_id("USD"): fee,
    }
    assert legs == {id: leg for id, leg in expected.items() if leg}
    shop.check_books()


def test_a_captured_part_pays_for_that_part_and_a_void_nothing(shop: Shop) -> None:
    shop.application.set_fees(shop.merchant_id, "USD", FeeTerms(1_000, 5))
    held, void = shop.pay(1_000, capture=MANUAL), shop.pay(1_000, capture=MANUAL)
    shop.capture(held, 400)
    shop.cancel(void)
    assert shop.settled(held).fee == 45
    assert shop.settled(void).fee == 0
    assert shop.account.balance == 355
    shop.check_books()


def test_terms_hold_from_now_on_and_for_their_currency(store: Store, shop: Shop) -> None:
    free = shop.pay(100)
    shop.application.set_fees(shop.merchant_id, "EUR", FeeTerms(100, 100))
    shop.application.set_fees(shop.merchant_id, "USD", FeeTerms(100, 1))
    agreed = shop.application.set_fees(shop.merchant_id, "USD", FeeTerms(100, 0))
    assert agreed.terms == FeeTerms(100, 0)
    listed = shop.application.list_fees(shop.merchant_id)
    assert [each.currency for each in listed] == ["EUR", "USD"]
    assert (free.fee, shop.pay(100).fee) == (0, 1)
    for currency, terms in (("XXX", FeeTerms()), ("USD", FeeTerms(-1)), ("USD", FeeTerms(0, -1))):
        with pytest.raises(ValidationFailed):
            shop.application.set_fees(shop.merchant_id, currency, terms)
    with pytest.raises(ValidationFailed):
        shop.application.set_fees(shop.merchant_id, "USD", FeeTerms(10_001))
    with pytest.raises(NotFound):
        shop.application.set_fees(UUID(int=1), "USD", FeeTerms())


def test_the_story_of_a_charge_that_was_tried_again(shop: Shop) -> None:
    failed = shop.pay(100, "tok_chargeDeclinedProcessingError")
    assert shop.told(failed) == [
        Event.CREATED,
        Event.PROCESSING,
        Event.RETRIED,
        Event.RETRIED,
        Event.FAILED,
    ]


def test_the_story_of_a_hold_that_expired(store: Store, shop: Shop) -> None:
    shop.application = application_over(store.begin, hold_for=NOW)
    held = shop.pay(100, capture=MANUAL)
    shop.application.expire_holds()
    shop.settled(held)
    assert shop.told(held) == [
        Event.CREATED,
        Event.PROCESSING,
        Event.AUTHORIZED,
        Event.EXPIRED,
        Event.CANCELED,
    ]


def test_who_waited_for_a_payment_comes_after_what_it_waited_for(store: Store, shop: Shop) -> None:
    """Units of work that began before what they then found."""
    asked = NewPayment(shop.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    held = shop.application.accept_payment(asked)
    with store.begin() as work:
        authorized = shop.settled(held)
        order = NewCapture(shop.merchant_id, held.id)
        captured = shop.application.capture_payment.within(work, order)
        work.commit()
    assert captured.updated_at >= authorized.updated_at
    with store.begin() as work:
        done = shop.settled(held)
        shop.application.refund_payment.within(work, NewRefund(shop.merchant_id, held.id))
        work.commit()
    assert shop.application.get_payment(shop.merchant_id, held.id).updated_at >= done.updated_at
    shop.settled(held)
    assert shop.told(held) == [
        Event.CREATED,
        Event.PROCESSING,
        Event.AUTHORIZED,
        Event.CAPTURE_REQUESTED,
        Event.SUCCEEDED,
        Event.REFUND_CREATED,
        Event.REFUND_PROCESSING,
        Event.REFUND_RESERVED,
        Event.REFUND_SUCCEEDED,
    ]
