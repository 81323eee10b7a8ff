"""Frozen and closed accounts, on both stores: what is refused, and what must be posted still."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from account_scenarios import CLOSED, FROZEN, OPEN, change, open_with_terms
from atomic_core.domain.accounts import AccountStatus, AccountType, world_account_id
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.disputes import DisputeStatus
from atomic_core.domain.errors import (
    AccountClosed,
    AccountFrozen,
    AccountNotEmpty,
    NotFound,
    StorageRefused,
    TransactionRefused,
)
from atomic_core.domain.events import EventFilter, EventType
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.journal import JournalStatus
from atomic_core.domain.journal_posting import JournalPosting, post_journal
from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.money import Money
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from dispute_scenarios import FEE, ControlledDisputes, DisputeScenario
from journal_scenarios import FUNDS, Books
from payment_scenarios import PaymentScenario
from support import NOW, Store, Tampering, add_merchant, build_application

KEY = Origin(ActorType.KEY, UUID(int=7), "198.51.100.7", "r-1", UUID(int=8))
DAY = timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store.begin)


@pytest.fixture
def disputes(
    store: Store, scenario: PaymentScenario, monkeypatch: pytest.MonkeyPatch
) -> DisputeScenario:
    monkeypatch.setattr("atomic_core.use_cases.dispute_processing.POSTPONEMENT", NOW)
    network = ControlledDisputes()
    application = build_application(
        store.begin,
        card_network=scenario.network,
        lease=NOW,
        dispute_networks={DEFAULT_NETWORK: network},
    )
    return DisputeScenario(
        application, scenario.network, scenario.merchant_id, scenario.account_id, network
    )


def set_status(books: Books, account_id: UUID, status: AccountStatus) -> None:
    change(books.application, books.merchant_id, account_id, status=status)


def set_status_of(scenario: PaymentScenario, status: AccountStatus) -> None:
    change(scenario.application, scenario.merchant_id, scenario.account_id, status=status)


def expect_refusal(reason: str, post: Callable[[], object], entry: int = 1) -> None:
    with pytest.raises(TransactionRefused) as error:
        post()
    assert error.value.details == {f"entries.{entry}": [reason]}


def list_account_events(books: Books, account_id: UUID) -> list[EventType]:
    with books.begin() as work:
        events = work.events.list_stream(
            books.merchant_id, EventFilter(), 100, is_oldest_first=True
        )
    return [
        event.event.type
        for event in events
        if event.event.data and event.event.data["id"] == str(account_id)
    ]


def test_change_is_stored_with_event_and_audit(books: Books) -> None:
    changed = change(
        books.application,
        books.merchant_id,
        books.other,
        name="Tills",
        metadata={"a": "b"},
        status=FROZEN,
        origin=KEY,
    )
    assert (changed.name, changed.metadata, changed.status) == ("Tills", {"a": "b"}, FROZEN)
    assert changed.status_changed_at
    assert books.get_account(books.other) == changed
    set_status(books, books.other, OPEN)
    set_status(books, books.other, CLOSED)
    assert list_account_events(books, books.other) == [
        EventType.ACCOUNT_CREATED,
        EventType.ACCOUNT_UPDATED,
        EventType.ACCOUNT_FROZEN,
        EventType.ACCOUNT_REOPENED,
        EventType.ACCOUNT_CLOSED,
    ]
    audited, _ = books.application.merchants.list_audit_events(books.merchant_id, None, 10)
    assert [event.type for event in audited] == ["account_status_changed", "account_updated"]


def test_change_to_what_it_is_has_no_effect(books: Books) -> None:
    before = books.get_account(books.other)
    same = change(
        books.application,
        books.merchant_id,
        books.other,
        name=before.name,
        metadata={},
        status=OPEN,
    )
    assert same == before == books.get_account(books.other)
    assert list_account_events(books, books.other) == [EventType.ACCOUNT_CREATED]


def test_account_of_another_merchant_is_not_found(books: Books, store: Store) -> None:
    for id in (books.other, UUID(int=404)):
        with pytest.raises(NotFound):
            change(books.application, add_merchant(store.begin), id, status=FROZEN)
    assert books.get_account(books.other).status == OPEN


@pytest.mark.parametrize(
    ("status", "reason"), [(FROZEN, "account_frozen"), (CLOSED, "account_closed")]
)
def test_ledger_transactions_are_refused(books: Books, status: AccountStatus, reason: str) -> None:
    posted = books.transfer(5)
    books.post((books.other, -5), (books.funded, 5))
    set_status(books, books.other, status)
    expect_refusal(reason, lambda: books.transfer(1))
    expect_refusal(reason, lambda: books.reserve(1))
    expect_refusal(reason, lambda: books.post((books.other, -1), (books.funded, 1)), entry=0)
    expect_refusal(reason, lambda: books.reverse(posted))
    outcomes = books.post_batch(
        books.build((books.funded, -1), (books.other, 1)),
        books.build((books.funded, -1), (books.third, 1)),
    )
    assert [isinstance(outcome, TransactionRefused) for outcome in outcomes] == [True, False]
    set_status(books, books.other, OPEN)
    books.transfer(1)
    assert books.get_balances()[:3] == [FUNDS - 2, 1, 1]
    books.assert_ledger_is_clean()


def test_pending_transaction_of_a_frozen_account_can_only_be_released(books: Books) -> None:
    first, second, third = books.reserve(1), books.reserve(2), books.reserve(3)
    set_status(books, books.funded, FROZEN)
    expect_refusal("account_frozen", lambda: books.post_pending(first), entry=0)
    assert books.get(first).status is JournalStatus.PENDING
    assert books.void(second).status is JournalStatus.VOIDED
    assert books.get_account(books.funded).pending_out == 4
    set_status(books, books.funded, OPEN)
    books.post_pending(first)
    books.void(third)
    books.assert_ledger_is_clean()


def test_only_an_empty_account_is_closed(books: Books) -> None:
    with pytest.raises(AccountNotEmpty) as error:
        set_status(books, books.funded, CLOSED)
    assert error.value.details == {"balance": [f"Is {FUNDS}, and must be 0."]}
    pending = books.reserve(5)
    with pytest.raises(AccountNotEmpty) as error:
        set_status(books, books.other, CLOSED)
    assert error.value.details == {"pending.in": ["Is 5, and must be 0."]}
    set_status(books, books.other, FROZEN)
    with pytest.raises(AccountNotEmpty):
        set_status(books, books.other, CLOSED)
    books.void(pending)
    set_status(books, books.other, CLOSED)
    books.assert_ledger_is_clean()


def test_store_refuses_to_close_an_account_with_a_balance(books: Books) -> None:
    with pytest.raises(StorageRefused), books.begin() as work:
        account = work.accounts.lock([books.funded])[books.funded]
        work.accounts.update(replace(account, status=CLOSED))
        work.commit()
    assert books.get_account(books.funded).status == OPEN


def test_store_refuses_to_post_to_a_frozen_account(books: Books) -> None:
    set_status(books, books.other, FROZEN)
    new = books.build((books.funded, -1), (books.other, 1))
    transaction = books.application.journal.preview(
        books.build((books.funded, -1), (books.third, 1))
    )
    with pytest.raises(StorageRefused), books.begin() as work:
        accounts = dict(work.accounts.lock([books.funded, books.other]))
        accounts[books.other] = replace(accounts[books.other], status=OPEN)
        result = post_journal(accounts, [JournalPosting(transaction.id, new.entries)], work.now())
        entries = [
            entry._replace(account_id=leg.account_id)
            for entry, leg in zip(transaction.entries, new.entries, strict=True)
        ]
        work.journal.add([replace(transaction, entries=entries)])
        work.ledger.save(result.posted)
        work.commit()
    assert books.get_balances()[:2] == [FUNDS, 0]


@pytest.mark.parametrize(("status", "error"), [(FROZEN, AccountFrozen), (CLOSED, AccountClosed)])
def test_payment_is_refused_at_acceptance(
    scenario: PaymentScenario, status: AccountStatus, error: type[AccountFrozen]
) -> None:
    set_status_of(scenario, status)
    new_payment = NewPayment(scenario.merchant_id, Money(5, "USD"), "tok_visa")
    with pytest.raises(error) as refusal:
        scenario.application.payments.record(new_payment)
    assert refusal.value.facts == {"creditedAccountId": str(scenario.account_id)}
    batch = PaymentBatch(scenario.merchant_id, [BatchItem(new_payment)], _render)
    with pytest.raises(error) as refusal:
        scenario.application.payments.create_batch(batch)
    assert list(refusal.value.details or {}) == ["payments.0.currency"]
    set_status_of(scenario, OPEN)
    assert scenario.pay(5).status is Status.SUCCESS


def _render(payment_id: UUID, *_: object) -> StoredResponse:
    return StoredResponse(202, str(payment_id).encode())


def test_repeated_request_gets_its_first_response_although_the_account_is_frozen(
    scenario: PaymentScenario,
) -> None:
    new_payment = NewPayment(scenario.merchant_id, Money(5, "USD"), "tok_visa")
    request = IdempotentRequest(scenario.merchant_id, "k", "POST", "/payments", bytes(32), DAY)
    batch = PaymentBatch(scenario.merchant_id, [BatchItem(new_payment, request)], _render)
    [first] = scenario.application.payments.create_batch(batch)
    set_status_of(scenario, FROZEN)
    [second] = scenario.application.payments.create_batch(batch)
    assert (second.response, second.replayed) == (first.response, True)


def test_charge_is_reversed_at_the_network_if_its_account_was_frozen_meanwhile(
    scenario: PaymentScenario,
) -> None:
    new_payment = NewPayment(scenario.merchant_id, Money(5, "USD"), "tok_visa")
    for status, reason in ((FROZEN, "account_frozen"), (CLOSED, "account_closed")):
        payment = scenario.application.payments.record(new_payment)
        set_status_of(scenario, status)
        settled = scenario.settle(payment)
        assert (settled.status, settled.failure_reason) == (Status.FAILED, reason)
        assert ("reverse", payment.id) in scenario.network.calls
        set_status_of(scenario, OPEN)
    assert scenario.account.balance == 0
    scenario.assert_ledger_is_clean()


def test_authorization_is_reversed_if_its_account_was_frozen_meanwhile(
    scenario: PaymentScenario,
) -> None:
    new_payment = NewPayment(
        scenario.merchant_id, Money(5, "USD"), "tok_visa", capture=CaptureMethod.MANUAL
    )
    payment = scenario.application.payments.record(new_payment)
    set_status_of(scenario, FROZEN)
    settled = scenario.settle(payment)
    assert (settled.status, settled.failure_reason) == (Status.FAILED, "account_frozen")
    assert scenario.account.is_empty
    scenario.assert_ledger_is_clean()


def test_hold_of_a_frozen_account_is_captured_or_canceled(scenario: PaymentScenario) -> None:
    captured, canceled = (scenario.pay(n, capture=CaptureMethod.MANUAL) for n in (5, 7))
    set_status_of(scenario, FROZEN)
    scenario.capture(captured, 4)
    scenario.cancel(canceled)
    assert scenario.settle(captured).status is Status.SUCCESS
    assert scenario.settle(canceled).status is Status.CANCELED
    assert (scenario.account.balance, scenario.account.pending_in) == (4, 0)
    scenario.assert_ledger_is_clean()


def test_refund_is_posted_if_it_was_reserved_before_the_freeze(scenario: PaymentScenario) -> None:
    payment = scenario.pay(10)
    refund = scenario.create_refund(payment, 4)
    scenario.network.failing_call = "refund"
    with pytest.raises(KeyboardInterrupt):
        scenario.application.settlement.settle()
    set_status_of(scenario, FROZEN)
    scenario.settle(payment)
    assert scenario.application.refunds.get(scenario.merchant_id, refund.id).status == "SUCCESS"
    assert scenario.refund_and_settle(payment, 1) == (Status.FAILED, "account_frozen")
    assert scenario.account.balance == 6
    scenario.assert_ledger_is_clean()


def test_dispute_is_posted_to_a_frozen_account(disputes: DisputeScenario) -> None:
    payment = disputes.pay(1_000)
    set_status_of(disputes, FROZEN)
    disputes.open(payment, 700)
    disputes.update(status=DisputeStatus.WON, fee_returned=FEE)
    assert disputes.account.balance == 1_000
    disputes.assert_ledger_is_clean()


def test_dispute_is_posted_to_a_closed_account(disputes: DisputeScenario) -> None:
    payment = disputes.pay(1_000)
    disputes.refund_and_settle(payment, 1_000)
    set_status_of(disputes, CLOSED)
    disputes.open(payment, 700)
    assert (disputes.account.balance, disputes.account.status) == (-700 - FEE, CLOSED)
    disputes.assert_ledger_is_clean()
    disputes.update(status=DisputeStatus.WON, fee_returned=FEE)
    assert disputes.account.balance == 0
    disputes.assert_ledger_is_clean()


def test_dispute_takes_an_account_below_its_minimum(disputes: DisputeScenario) -> None:
    account_id = open_with_terms(disputes.application, disputes.merchant_id, min_balance=-100)
    change(disputes.application, disputes.merchant_id, disputes.account_id, status=CLOSED)
    disputes.account_id = account_id
    payment = disputes.pay(50)
    disputes.refund_and_settle(payment)
    disputes.open(payment, 50)
    assert disputes.account.balance == -50 - FEE
    payment = disputes.pay(90)
    disputes.refund_and_settle(payment)
    disputes.open(payment, 90, "dp_2")
    assert disputes.account.balance == -140 - 2 * FEE
    refund = disputes.refund_and_settle(disputes.pay(1), 1)
    assert refund == (Status.FAILED, "insufficient_balance")
    disputes.assert_ledger_is_clean()


def test_won_dispute_takes_an_account_above_its_maximum(disputes: DisputeScenario) -> None:
    capped = open_with_terms(disputes.application, disputes.merchant_id, max_balance=1_000)
    change(disputes.application, disputes.merchant_id, disputes.account_id, status=CLOSED)
    disputes.account_id = capped
    payment = disputes.pay(1_000)
    disputes.open(payment, 700)
    held = disputes.pay(600, capture=CaptureMethod.MANUAL)
    assert held.status is Status.AUTHORIZED
    disputes.update(status=DisputeStatus.WON)
    assert (disputes.account.balance, disputes.account.pending_in) == (1_000 - FEE, 600)
    refused = disputes.pay(1)
    assert (refused.status, refused.failure_reason) == (Status.FAILED, "balance_limit_exceeded")
    # What was reserved is captured, and money goes out.
    disputes.capture(held)
    assert disputes.settle(held).status is Status.SUCCESS
    assert disputes.account.balance == 1_600 - FEE
    assert disputes.refund_and_settle(held, 100) == (Status.SUCCESS, None)
    disputes.assert_ledger_is_clean()


def test_pending_transaction_is_posted_above_a_maximum_that_it_had_reserved(
    disputes: DisputeScenario,
) -> None:
    capped = open_with_terms(disputes.application, disputes.merchant_id, max_balance=1_000)
    change(disputes.application, disputes.merchant_id, disputes.account_id, status=CLOSED)
    source = open_with_terms(
        disputes.application, disputes.merchant_id, type=AccountType.ASSET, min_balance=None
    )
    disputes.account_id = capped
    payment = disputes.pay(1_000)
    disputes.open(payment, 500)
    books = Books.__new__(Books)
    books.application, books.merchant_id = disputes.application, disputes.merchant_id
    pending = books.post((source, -400), (capped, 400), is_pending=True)
    disputes.update(status=DisputeStatus.WON)
    assert books.post_pending(pending).status is JournalStatus.POSTED
    expect_refusal("balance_limit_exceeded", lambda: books.post((source, -1), (capped, 1)))
    books.post((source, 300), (capped, -300))
    assert disputes.account.balance == 1_100 - FEE
    disputes.assert_ledger_is_clean()


FALSIFICATIONS: dict[str, tuple[LedgerCheck, Callable[[Tampering, Books], UUID]]] = {}


def falsification(check: LedgerCheck) -> Callable[..., Callable[[Tampering, Books], UUID]]:
    def add(falsify: Callable[[Tampering, Books], UUID]) -> Callable[[Tampering, Books], UUID]:
        FALSIFICATIONS[falsify.__name__] = (check, falsify)
        return falsify

    return add


@falsification(LedgerCheck.STATUS_KEPT)
def closed_with_a_balance(store: Tampering, books: Books) -> UUID:
    store.set_account_status(books.funded, CLOSED, datetime.now(UTC))
    return books.funded


@falsification(LedgerCheck.STATUS_KEPT)
def posted_to_while_frozen(store: Tampering, books: Books) -> UUID:
    store.set_account_status(books.other, FROZEN, LONG_AGO)
    return books.other


@falsification(LedgerCheck.STATUS_KEPT)
def charged_while_frozen(store: Tampering, books: Books) -> UUID:
    store.set_account_status(books.funded, FROZEN, LONG_AGO)
    return books.funded


@falsification(LedgerCheck.STATUS_KEPT)
def closed_with_pending_amounts(store: Tampering, books: Books) -> UUID:
    store.set_account_status(books.third, CLOSED, datetime.now(UTC))
    return books.third


@falsification(LedgerCheck.BALANCE_IS_SUM)
def above_its_maximum(store: Tampering, books: Books) -> UUID:
    store.set_limits(books.funded, 0, 1)
    return books.funded


@falsification(LedgerCheck.BALANCE_IS_SUM)
def below_its_minimum(store: Tampering, books: Books) -> UUID:
    id = open_with_terms(books.application, books.merchant_id, min_balance=-5)
    books.post((id, -5), (books.other, 5))
    store.set_limits(id, -4, None)
    return id


@falsification(LedgerCheck.PENDING_IS_SUM)
def reserves_more_than_its_minimum_allows(store: Tampering, books: Books) -> UUID:
    id = open_with_terms(books.application, books.merchant_id, min_balance=-5)
    books.post((id, -5), (books.other, 5), is_pending=True)
    store.set_limits(id, -4, None)
    return id


@pytest.mark.parametrize("name", FALSIFICATIONS)
def test_verification_finds_falsified_accounts(store: Store, books: Books, name: str) -> None:
    books.transfer(5)
    books.post((books.funded, -1), (books.third, 1), is_pending=True)
    books.assert_ledger_is_clean()
    check, falsify = FALSIFICATIONS[name]
    subject = falsify(store.tampering, books)
    findings = books.application.ledger.verify().findings
    assert (check, str(subject)) in {(finding.check, finding.subject) for finding in findings}


def test_verification_finds_a_payment_debited_from_an_asset_of_the_merchant(
    store: Store, scenario: PaymentScenario
) -> None:
    """Instead of from World, which is an asset too."""
    payment = scenario.pay(5)
    asset = open_with_terms(
        scenario.application, scenario.merchant_id, type=AccountType.ASSET, min_balance=None
    )
    world = world_account_id("USD")
    store.tampering.move_entry(world, 1, asset)
    findings = scenario.application.ledger.verify().findings
    subjects = {(finding.check, finding.subject) for finding in findings}
    assert (LedgerCheck.PAYMENT_POSTED, str(payment.id)) in subjects
