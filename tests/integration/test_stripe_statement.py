"""Stripe's records beside the ledger, with localstripe: the same to the cent, and what was changed
there is named."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_adapters.networks.stripe import statement as stripe_statement
from atomic_adapters.networks.stripe.disputes import StripeDisputes
from atomic_adapters.networks.stripe.statement import PAUSES, StripeStatement
from atomic_core.application import Application
from atomic_core.domain.errors import NetworkUnavailable
from atomic_core.domain.network_events import NetworkEvent
from atomic_core.domain.payments import CaptureMethod, Payment, Status
from atomic_core.domain.reconciliation import Difference, DifferenceKind, ReconciliationReport
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CaptureRequest
from stripe_disputes import FEE as DISPUTE_FEE
from stripe_rules import DECLINED_SOURCE, SECRET_KEY, Fault, RecordingProxy, no_fault
from support import NOW, add_merchant, build_application, build_payment


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def statement(proxy: RecordingProxy, pauses: list[float]) -> Iterator[StripeStatement]:
    settings = StripeSettings(SECRET_KEY, proxy.url, 1)
    with closing(StripeStatement(settings, pauses.append)) as statement:
        yield statement


@pytest.fixture
def disputes(proxy: RecordingProxy) -> Iterator[StripeDisputes]:
    with closing(StripeDisputes(StripeSettings(SECRET_KEY, proxy.url, 1))) as disputes:
        yield disputes


class AheadClock:
    """Stripe counts whole seconds: what it has just processed lies before this clock's present."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=2)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(AheadClock())


@pytest.fixture
def application(
    store: MemoryStore,
    network: StripeCardNetwork,
    statement: StripeStatement,
    disputes: StripeDisputes,
) -> Application:
    return build_application(
        store.begin,
        card_networks={"stripe": network},
        statements={"stripe": statement},
        dispute_networks={"stripe": disputes},
        default_network="stripe",
        lease=NOW,
    )


@pytest.fixture
def merchant_id(store: MemoryStore) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture(autouse=True)
def _begin_with_an_empty_statement(proxy: RecordingProxy) -> None:
    lines = proxy.list_all("balance_transactions")
    proxy.former_lines = frozenset(line["id"] for line in lines)


def pay(application: Application, merchant_id: UUID, amount: int, **changes: object) -> Payment:
    new_payment = replace(build_payment(merchant_id, amount, source="pm_card_visa"), **changes)
    payment = application.payments.record(new_payment)
    application.settlement.settle()
    return payment


def refund(application: Application, payment: Payment, amount: int) -> None:
    application.refunds.create(NewRefund(payment.merchant_id, payment.id, amount))
    application.settlement.settle()


def reconcile(application: Application) -> ReconciliationReport:
    now = datetime.now(UTC)
    begin, end = now - timedelta(days=1), now + timedelta(seconds=1)
    return application.reconciliation.run("stripe", begin, end)


def get_only_difference(report: ReconciliationReport) -> Difference:
    [difference] = report.differences
    return difference


def test_records_agree_to_the_cent(
    application: Application,
    merchant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
    proxy: RecordingProxy,
) -> None:
    monkeypatch.setattr(stripe_statement, "PAGE", 2)
    paid = pay(application, merchant_id, 5_000)
    held = pay(application, merchant_id, 7_000, capture=CaptureMethod.MANUAL)
    pay(application, merchant_id, 900, source=DECLINED_SOURCE)
    application.payments.capture(CaptureRequest(merchant_id, held.id, 3_000))
    application.settlement.settle()
    refund(application, paid, 2_000)
    before = len(proxy.requests)
    report = reconcile(application)
    assert report.differences == ()
    assert (report.is_clean, report.lines, report.matched) == (True, 3, 3)
    routes = proxy.list_routes()[before:]
    assert routes == ["GET /v1/balance_transactions"] * 2, "two pages, and no look-up"


def test_what_changed_at_stripe_is_named(
    application: Application, merchant_id: UUID, proxy: RecordingProxy
) -> None:
    paid = pay(application, merchant_id, 5_000)
    pay(application, merchant_id, 4_000)
    reference = application.payments.get(merchant_id, paid.id).network_reference
    proxy.ask("POST", "/v1/refunds", payment_intent=reference, amount=1)
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.payment_id) == (DifferenceKind.AMOUNT, paid.id)
    assert (difference.there, difference.here) == (4_999, 5_000)
    assert difference.reference == reference


def test_second_charge_of_a_payment_is_named(
    application: Application, merchant_id: UUID, proxy: RecordingProxy
) -> None:
    payment = pay(application, merchant_id, 5_000)
    [request] = [request for request in proxy.requests if request.route.startswith("POST")]
    # As if Stripe had forgotten the key.
    answer = proxy.answer(replace(request, key="another"), None)
    assert answer.data["status"] == "succeeded"
    difference = get_only_difference(reconcile(application))
    assert (difference.payment_id, difference.there) == (payment.id, 10_000)


def test_charge_without_a_payment_is_missing_here(
    application: Application, proxy: RecordingProxy
) -> None:
    intent = proxy.ask(
        "POST",
        "/v1/payment_intents",
        amount=700,
        currency="usd",
        confirm="true",
        capture_method="automatic",
        payment_method="pm_card_visa",
    )
    difference = get_only_difference(reconcile(application))
    assert (difference.kind, difference.there) == (DifferenceKind.MISSING_HERE, 700)
    assert difference.reference == intent["id"]


def test_lost_answer_is_in_doubt_and_resolved(
    application: Application, merchant_id: UUID, proxy: RecordingProxy
) -> None:
    proxy.plan = lambda request: Fault.REPLY_DROPPED if request.method == "POST" else None
    payment = pay(application, merchant_id, 5_000)
    report = reconcile(application)
    difference = get_only_difference(report)
    assert (difference.kind, difference.there, difference.here) == (
        DifferenceKind.IN_DOUBT,
        5_000,
        0,
    )
    proxy.plan = no_fault
    assert application.reconciliation.resolve_in_doubt(report) == [payment.id]
    application.settlement.settle()
    assert application.payments.get(merchant_id, payment.id).status is Status.SUCCESS
    assert reconcile(application).differences == ()


def process_dispute(application: Application, reference: str) -> None:
    """As after an event that names it."""
    with application.disputes.process.begin() as work:
        id = f"evt_{work.now().timestamp()}"
        work.network_events.add(
            NetworkEvent("stripe", id, "charge.dispute.x", None, dispute_reference=reference)
        )
        work.commit()
    assert application.disputes.process("stripe")


def test_lines_of_disputes_are_matched(
    application: Application, merchant_id: UUID, proxy: RecordingProxy
) -> None:
    payments = [pay(application, merchant_id, 5_000) for _ in range(2)]
    refund(application, payments[0], 2_000)
    disputed = [
        proxy.open_dispute(
            application.payments.get(merchant_id, payment.id).network_reference or ""
        )
        for payment in payments
    ]
    assert [dispute["amount"] for dispute in disputed] == [3_000, 5_000]
    won, lost = (dispute["id"] for dispute in disputed)
    for reference in (won, lost):
        process_dispute(application, reference)
    report = reconcile(application)
    assert (report.differences, report.lines, report.matched) == ((), 5, 5)
    assert (report.other, report.fees) == ({}, {})
    proxy.disputes.decide(won, "won")
    proxy.disputes.decide(lost, "lost")
    assert get_only_difference(reconcile(application)).payment_id == payments[0].id
    for reference in (won, lost):
        process_dispute(application, reference)
    before = len(proxy.requests)
    report = reconcile(application)
    assert (report.differences, report.lines, report.matched) == ((), 6, 6)
    assert proxy.list_routes()[before:] == ["GET /v1/balance_transactions"], "no look-up"


def test_dispute_that_atomic_does_not_know_is_named(
    application: Application, merchant_id: UUID, proxy: RecordingProxy
) -> None:
    payment = pay(application, merchant_id, 5_000)
    reference = application.payments.get(merchant_id, payment.id).network_reference
    proxy.open_dispute(reference or "")
    difference = get_only_difference(reconcile(application))
    assert (difference.payment_id, difference.here) == (payment.id, 5_000)
    assert difference.there == -DISPUTE_FEE


def test_reading_is_repeated_after_a_pause(
    application: Application, proxy: RecordingProxy, pauses: list[float]
) -> None:
    faults = iter([Fault.RATE_LIMITED, Fault.GARBAGE, Fault.RESET_BEFORE])
    proxy.plan = lambda request: next(faults, None)
    assert reconcile(application).is_clean
    assert pauses == [1.0, 2.0, 4.0]


def test_silence_ends_the_run_after_bounded_repetitions(
    application: Application, proxy: RecordingProxy, pauses: list[float]
) -> None:
    proxy.plan = lambda request: Fault.RESET_BEFORE
    with pytest.raises(NetworkUnavailable):
        reconcile(application)
    assert pauses == list(PAUSES)
    assert application.reconciliation.list(1) == []
