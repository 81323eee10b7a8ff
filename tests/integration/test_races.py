"""Concurrent requests for one payment have one winner: each race many times, on PostgreSQL."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import Conflict
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from support import add_merchant, build_application, build_request, open_account

ROUNDS: Final = 60
"""Enough that the winner differs; each wrong lock that tests/mutants tries is found within them."""

RACERS: Final = 10

HALF: Final = FeeTerms(basis_points=5_000)


@dataclass
class Track:
    """A shop, and racers who start at one signal."""

    application: Application
    merchant_id: UUID
    account_id: UUID
    threads: ThreadPoolExecutor
    settlers: Sequence[Application] = field(default_factory=list)

    def race(self, *racers: Callable[[], object]) -> list[object]:
        """What each came back with, or the Conflict it met."""
        start = threading.Barrier(len(racers))

        def run(racer: Callable[[], object]) -> object:
            start.wait(60)
            try:
                return racer()
            except Conflict as conflict:
                return conflict

        runs = [self.threads.submit(run, racer) for racer in racers]
        return [each.result(30) for each in runs]

    def payment(self, amount: int, capture: CaptureMethod = CaptureMethod.AUTOMATIC) -> Payment:
        """One that is settled: a success, or authorized."""
        order = NewPayment(self.merchant_id, Money(amount, "USD"), "tok_visa", capture=capture)
        payment = self.application.payments.record(order)
        self.application.settlement.settle()
        return self.now(payment)

    def now(self, payment: Payment) -> Payment:
        return self.application.payments.get(self.merchant_id, payment.id)

    def capture(self, payment: Payment, amount: int | None = None) -> Payment:
        return self.application.payments.capture(
            CaptureRequest(self.merchant_id, payment.id, amount)
        )

    def cancel(self, payment: Payment) -> Payment:
        return self.application.payments.cancel(CancelRequest(self.merchant_id, payment.id))

    def refund(self, payment: Payment, amount: int) -> Refund:
        order = NewRefund(self.merchant_id, payment.id, amount)
        return self.application.refunds.create(order)

    def assert_ledger_is_clean(self) -> None:
        report = self.application.ledger.verify()
        assert report.is_clean, report.findings
        assert report.holds == 0


@pytest.fixture
def track(
    database_url: str, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Track]:
    # Settlers that meet put each other off: not for half a second each time.
    monkeypatch.setattr("atomic_core.domain.card_networks.BACK_OFF_BASE", timedelta(0))
    # A connection for each racer and settler: they race for locks, not for connections.
    settings = settings_for(database_url, DATABASE_POOL=str(RACERS + 2))
    store = PostgresStore(Connections(settings))
    begin = store.begin
    merchant_id = add_merchant(begin)
    account_id = open_account(begin, merchant_id)
    application = build_application(begin, hold_period=timedelta(0))
    # Two to a batch, of which one is a refund: what comes together is settled apart.
    settlers = [build_application(begin, batch_size=2) for _ in range(2)]
    with ThreadPoolExecutor(RACERS) as threads:
        yield Track(application, merchant_id, account_id, threads, settlers)
    store.close()


def test_concurrent_capture_cancel_and_expiry_have_one_winner(track: Track) -> None:
    winners: Counter[str] = Counter()
    for _ in range(ROUNDS):
        held = track.payment(100, CaptureMethod.MANUAL)
        assert held.status is Status.AUTHORIZED
        captured, canceled, expired = track.race(
            lambda held=held: track.capture(held),
            lambda held=held: track.cancel(held),
            track.application.settlement.expire_holds,
        )
        # Passed over while another held it, it expires later: unless that one has won.
        expired = expired or (
            isinstance(captured, Conflict)
            and isinstance(canceled, Conflict)
            and track.application.settlement.expire_holds()
        )
        won = {
            "capture": isinstance(captured, Payment),
            "cancel": isinstance(canceled, Payment),
            "expire": expired == 1,
        }
        assert sum(won.values()) == 1, won
        for loser in (captured, canceled):
            if isinstance(loser, Conflict):
                assert loser.details
                assert loser.details["status"] == ["PROCESSING"]
        track.application.settlement.settle()
        [winner] = [name for name, has_won in won.items() if has_won]
        winners[winner] += 1
        ended = track.now(held)
        assert ended.status is (Status.SUCCESS if winner == "capture" else Status.CANCELED)
        assert (ended.cancellation_reason == "expired") is (winner == "expire")
    account = track.application.accounts.get(track.merchant_id, track.account_id)
    assert account.balance == 100 * winners["capture"]
    assert account.pending == (0, 0)
    assert len(winners) > 1, "one that always wins is no race"
    track.assert_ledger_is_clean()


def test_concurrent_refunds_never_exceed_the_payment(track: Track) -> None:
    paid: list[Payment] = []
    for _ in range(ROUNDS):
        payment = track.payment(100)
        outcomes = track.race(*[lambda p=payment: track.refund(p, 30)] * RACERS)
        accepted = [each for each in outcomes if isinstance(each, Refund)]
        assert len(accepted) == 3, outcomes
        assert sum(isinstance(each, Conflict) for each in outcomes) == RACERS - 3
        paid.append(payment)
    track.application.settlement.settle()
    assert {track.now(payment).amount_refunded for payment in paid} == {90}
    account = track.application.accounts.get(track.merchant_id, track.account_id)
    assert account.balance == 10 * ROUNDS
    track.assert_ledger_is_clean()


def test_concurrent_captures_with_different_keys_have_one_winner(track: Track) -> None:
    def capture(held: Payment, key: str, amount: int) -> Callable[[], object]:
        request = build_request(track.merchant_id, key, f"/payments/{held.id}/capture")
        order = CaptureRequest(track.merchant_id, held.id, amount)
        answer = StoredResponse(202, b"")
        return lambda: track.application.idempotency.perform_once(
            request, track.application.payments.capture, order, lambda _: answer
        )

    taken = 0
    for number in range(ROUNDS):
        held = track.payment(100, CaptureMethod.MANUAL)
        outcomes = track.race(
            capture(held, f"{number}-one", 40), capture(held, f"{number}-two", 70)
        )
        assert sum(isinstance(each, Conflict) for each in outcomes) == 1, outcomes
        track.application.settlement.settle()
        ended = track.now(held)
        assert ended.amount_captured == (70 if isinstance(outcomes[0], Conflict) else 40)
        taken += ended.amount_captured
    account = track.application.accounts.get(track.merchant_id, track.account_id)
    assert account.balance == taken
    track.assert_ledger_is_clean()


def test_refunds_that_together_exceed_the_balance_do_not_both_succeed(track: Track) -> None:
    track.application.fees.set(track.merchant_id, "USD", HALF)
    for _ in range(ROUNDS):
        # The fee is half of each payment, so the balance covers one of them.
        one, other = track.payment(100), track.payment(100)
        account = track.application.accounts.get(track.merchant_id, track.account_id)
        assert account.balance == 100
        asked = track.race(lambda p=one: track.refund(p, 100), lambda p=other: track.refund(p, 100))
        refunds = [each for each in asked if isinstance(each, Refund)]
        assert len(refunds) == 2, "each is within its payment"
        track.race(*[settler.settlement.settle for settler in track.settlers])
        for _ in range(RACERS):
            track.application.settlement.settle()
        ends = Counter(
            (now.status, now.failure_reason)
            for refund in refunds
            for now in [track.application.refunds.get(track.merchant_id, refund.id)]
        )
        assert ends == {(Status.SUCCESS, None): 1, (Status.FAILED, "insufficient_balance"): 1}
        account = track.application.accounts.get(track.merchant_id, track.account_id)
        assert (account.balance, account.available) == (0, 0)
    track.assert_ledger_is_clean()
