"""Disputes, on both stores: what a network has withdrawn is debited once and returned once,
whatever order its events come in."""

from dataclasses import replace
from datetime import timedelta

import pytest

from atomic_adapters.networks.sandbox_disputes import FEE as SANDBOX_FEE
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.disputes import (
    RESPONSE_REFUSED,
    DisputeReport,
    DisputeRequest,
    DisputeResponse,
    DisputeStatus,
    Evidence,
)
from atomic_core.domain.errors import DisputeNotAnswerable, NotFound, RefundExceedsRemaining
from atomic_core.domain.events import EventType
from atomic_core.domain.lists import CreatedFilter, DisputeFilter
from atomic_core.domain.payments import CaptureMethod, Status
from atomic_core.use_cases.disputes import AcceptanceRequest, EvidenceRequest
from dispute_scenarios import FEE, ControlledDisputes, DisputeScenario
from payment_scenarios import FaultyNetwork, PaymentScenario
from support import IDS, NOW, Store, build_application

NEEDS_RESPONSE, UNDER_REVIEW = DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW
WON, LOST = DisputeStatus.WON, DisputeStatus.LOST
EVIDENCE = Evidence(explanation="It was delivered.", shipping_carrier="Example Post")


@pytest.fixture
def shop(
    store: Store, scenario: PaymentScenario, monkeypatch: pytest.MonkeyPatch
) -> DisputeScenario:
    monkeypatch.setattr("atomic_core.use_cases.dispute_processing.POSTPONEMENT", NOW)
    monkeypatch.setattr("atomic_core.use_cases.dispute_processing.MAX_BACK_OFF", NOW)
    disputes = ControlledDisputes()
    application = build_application(
        store.begin,
        card_network=scenario.network,
        lease=NOW,
        dispute_networks={DEFAULT_NETWORK: disputes},
    )
    return DisputeScenario(
        application, scenario.network, scenario.merchant_id, scenario.account_id, disputes
    )


def test_opening_debits_amount_and_fee_and_winning_returns_the_amount(
    shop: DisputeScenario,
) -> None:
    payment = shop.pay(1_000)
    opened = shop.open(payment, 700)
    assert (opened.status, opened.money.amount, opened.fee) == (NEEDS_RESPONSE, 700, FEE)
    assert (opened.payment_id, opened.account_id) == (payment.id, shop.account_id)
    assert shop.account.balance == 300 - FEE
    shop.assert_ledger_is_clean()
    # Again, by the same event, by another, and without any change.
    shop.receive(id="evt_1")
    shop.receive()
    assert shop.process() == []
    assert (len(shop.list_disputes()), shop.account.balance) == (1, 300 - FEE)

    assert shop.update(status=UNDER_REVIEW).status is UNDER_REVIEW
    won = shop.update(status=WON, fee_returned=5)
    assert (won.status, won.fee_returned, won.closed_at is not None) == (WON, 5, True)
    assert shop.account.balance == 1_000 - FEE + 5
    # A closed dispute is final, whatever the network says later.
    assert shop.update(status=LOST) == won
    assert shop.account.balance == 1_000 - FEE + 5
    assert shop.list_stream() == [
        ("dispute.opened", "NEEDS_RESPONSE"),
        ("dispute.updated", "UNDER_REVIEW"),
        ("dispute.won", "WON"),
    ]
    shop.assert_ledger_is_clean()


@pytest.mark.parametrize(("end", "balance"), [(WON, 1_000 - FEE), (LOST, -FEE)])
def test_closed_before_it_is_known_is_posted_in_whole(
    shop: DisputeScenario, end: DisputeStatus, balance: int
) -> None:
    payment = shop.pay(1_000)
    shop.add_dispute(payment, 1_000)
    shop.disputes.change("dp_1", status=end)
    for _ in range(3):
        shop.receive()
    assert shop.process() == []
    assert shop.process() == []
    assert (shop.get().status, shop.account.balance) == (end, balance)
    types = [type for type, _ in shop.list_stream()]
    assert types == ["dispute.opened", f"dispute.{end.value.lower()}"]
    shop.assert_ledger_is_clean()


def test_older_report_changes_nothing(shop: DisputeScenario) -> None:
    shop.open(shop.pay(1_000), 1_000)
    under_review = shop.update(status=UNDER_REVIEW)
    assert shop.update(status=NEEDS_RESPONSE).status is UNDER_REVIEW
    assert shop.get().created_at == under_review.created_at


def test_silent_network_is_asked_again_and_nothing_is_posted_meanwhile(
    shop: DisputeScenario,
) -> None:
    payment = shop.pay(1_000)
    shop.add_dispute(payment, 400)
    shop.disputes.silence = True
    shop.receive()
    for _ in range(3):
        [problem] = shop.process()
        assert "TimeoutError" in problem
    assert shop.list_disputes() == []
    shop.disputes.silence = False
    assert shop.process() == []
    assert shop.account.balance == 600 - FEE
    # Also of one that is recorded.
    shop.disputes.silence = True
    shop.disputes.change("dp_1", status=LOST)
    shop.receive()
    shop.process()
    assert (shop.get().status, shop.get().faults) == (NEEDS_RESPONSE, 1)
    shop.disputes.silence = False
    assert shop.process() == []
    assert shop.get().status is LOST


def test_dispute_that_does_not_fit_is_reported_and_not_posted(shop: DisputeScenario) -> None:
    payment, failed = shop.pay(1_000), shop.pay(1_000, "tok_chargeDeclined")
    shop.add_dispute(payment, 1_001, "dp_above")
    shop.add_dispute(payment, 10, "dp_currency")
    shop.disputes.change("dp_currency", currency="EUR")
    shop.add_dispute(failed, 10, "dp_failed")
    shop.add_dispute(replace(payment, id=IDS.new_id()), 10, "dp_foreign")
    for reference in ("dp_above", "dp_currency", "dp_failed", "dp_foreign", "dp_none"):
        shop.receive(reference)
    problems = shop.process()
    assert sorted(problems) == [
        "1001 is disputed, and 1000 is left to dispute",
        "EUR is disputed of USD",
        "its payment is FAILED",
    ]
    assert (shop.list_disputes(), shop.account.balance) == ([], 1_000)
    # What does not concern Atomic is done with; the rest is looked up again.
    look_ups = shop.disputes.look_ups
    assert len(shop.process()) == 3
    assert shop.disputes.look_ups == look_ups + 3


def test_dispute_waits_until_its_payment_has_succeeded(shop: DisputeScenario) -> None:
    held = shop.pay(1_000, capture=CaptureMethod.MANUAL)
    capturing = shop.capture(held, 800)
    shop.add_dispute(capturing, 800)
    shop.receive()
    assert (shop.process(), shop.list_disputes()) == ([], [])
    shop.settle(capturing)
    assert shop.process() == []
    assert (shop.get().money.amount, shop.account.balance) == (800, -FEE)
    shop.assert_ledger_is_clean()


def test_what_is_disputed_cannot_be_refunded(shop: DisputeScenario) -> None:
    payment = shop.pay(1_000)
    assert shop.refund_and_settle(payment, 100) == (Status.SUCCESS, None)
    shop.open(payment, 600)
    with pytest.raises(
        RefundExceedsRemaining, match=r"300 of 1000 can .*: 600 is disputed"
    ) as error:
        shop.create_refund(payment, 301)
    assert error.value.facts == {"remaining": 300, "captured": 1_000, "disputed": 600}
    assert shop.pay(500).status is Status.SUCCESS
    assert shop.refund_and_settle(payment, 300) == (Status.SUCCESS, None)
    with pytest.raises(RefundExceedsRemaining):
        shop.create_refund(payment)
    # What was won can be refunded again; what was lost cannot.
    shop.update(status=WON)
    assert shop.refund_and_settle(payment, 600) == (Status.SUCCESS, None)
    other = shop.pay(1_000)
    shop.open(other, 1_000, "dp_2")
    shop.update("dp_2", status=LOST)
    with pytest.raises(RefundExceedsRemaining):
        shop.create_refund(other, 1)
    shop.assert_ledger_is_clean()


def test_refund_that_was_not_sent_fails_when_its_amount_is_disputed(
    shop: DisputeScenario,
) -> None:
    payment = shop.pay(1_000)
    refund = shop.create_refund(payment, 300)
    shop.open(payment, 1_000)
    shop.network.calls.clear()
    shop.settle(payment)
    settled = shop.application.refunds.get(shop.merchant_id, refund.id)
    assert (settled.status, settled.failure_reason) == (Status.FAILED, "disputed")
    assert shop.network.calls == []
    assert (shop.account.balance, shop.account.pending_out) == (-FEE, 0)
    shop.assert_ledger_is_clean()


def test_opening_waits_for_a_refund_that_may_have_been_sent(shop: DisputeScenario) -> None:
    payment = shop.pay(1_000)
    shop.create_refund(payment, 300)
    shop.network.failing_call = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    shop.add_dispute(payment, 1_000)
    shop.receive()
    for _ in range(3):
        assert (shop.process(), shop.list_disputes()) == ([], [])
    # The refund succeeds. The network then disputes what is left.
    shop.settle(payment)
    shop.disputes.change("dp_1", amount=700)
    assert shop.process() == []
    assert (shop.get().money.amount, shop.account.balance) == (700, -FEE)
    shop.assert_ledger_is_clean()


def test_wait_for_a_refund_ends_and_the_network_decides(
    shop: DisputeScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_core.use_cases.dispute_processing.MAX_REFUND_WAIT", 2)
    payment = shop.pay(1_000)
    refund = shop.create_refund(payment, 300)
    shop.network.failing_call = "refund"
    with pytest.raises(KeyboardInterrupt):
        shop.application.settlement.settle()
    shop.add_dispute(payment, 1_000)
    shop.receive()
    for _ in range(3):
        assert shop.process() == []
    # The account is below what the refund has reserved of it.
    assert (shop.account.balance, shop.account.pending_out) == (-FEE, 300)
    shop.assert_ledger_is_clean()
    # Sent already, so that only the network's word ends it. It has paid out both.
    shop.settle(payment)
    settled = shop.application.refunds.get(shop.merchant_id, refund.id)
    assert (settled.status, shop.account.balance) == (Status.SUCCESS, -300 - FEE)
    shop.assert_ledger_is_clean()


def test_account_below_zero_takes_credits_only(shop: DisputeScenario) -> None:
    payment, other = shop.pay(1_000), shop.pay(400)
    assert shop.refund_and_settle(payment, 600) == (Status.SUCCESS, None)
    shop.open(payment, 400)
    shop.open(other, 400, "dp_2")
    assert shop.account.balance == -2 * FEE
    last = shop.pay(10)
    assert (last.status, shop.account.balance) == (Status.SUCCESS, 10 - 2 * FEE)
    assert shop.refund_and_settle(last, 1) == (Status.FAILED, "insufficient_balance")
    shop.assert_ledger_is_clean()


def test_evidence_is_sent_once(shop: DisputeScenario) -> None:
    shop.open(shop.pay(1_000), 1_000)
    submit = shop.application.disputes.submit_evidence
    request = EvidenceRequest(shop.merchant_id, shop.get().id, EVIDENCE)
    submitted = submit(request)
    assert (submitted.evidence, submitted.pending_response) == (EVIDENCE, DisputeResponse.EVIDENCE)
    with pytest.raises(DisputeNotAnswerable, match="with a pending response"):
        submit(request)
    # Silence: it stays to be sent.
    shop.disputes.silence = True
    shop.process()
    assert shop.get().pending_response is DisputeResponse.EVIDENCE
    shop.disputes.silence = False
    assert shop.process() == []
    assert (shop.get().status, shop.get().pending_response) == (UNDER_REVIEW, None)
    assert shop.disputes.responses == [(DisputeResponse.EVIDENCE, "dp_1")]
    with pytest.raises(DisputeNotAnswerable, match="UNDER_REVIEW"):
        submit(request)
    assert shop.list_stream()[1:] == [
        ("dispute.updated", "NEEDS_RESPONSE"),
        ("dispute.updated", "UNDER_REVIEW"),
    ]


def test_response_during_a_look_up_is_sent_at_once(
    shop: DisputeScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.open(shop.pay(1_000), 1_000)
    look_up = shop.disputes.look_up

    def answer_meanwhile(request: DisputeRequest) -> DisputeReport:
        monkeypatch.setattr(shop.disputes, "look_up", look_up)
        shop.application.disputes.accept(AcceptanceRequest(shop.merchant_id, shop.get().id))
        return look_up(request)

    monkeypatch.setattr(shop.disputes, "look_up", answer_meanwhile)
    shop.receive()
    assert shop.process() == []
    assert shop.get().pending_response is DisputeResponse.ACCEPTANCE
    assert shop.process() == []
    assert shop.get().status is LOST


def test_refused_response_can_be_given_again(shop: DisputeScenario) -> None:
    shop.open(shop.pay(1_000), 1_000)
    accept = shop.application.disputes.accept
    request = AcceptanceRequest(shop.merchant_id, shop.get().id)
    shop.disputes.refuses_responses = True
    accept(request)
    assert shop.process() == []
    refused = shop.get()
    assert (refused.response_failure, refused.is_answerable) == (RESPONSE_REFUSED, True)
    shop.disputes.refuses_responses = False
    assert accept(request).response_failure is None
    assert shop.process() == []
    assert shop.get().status is LOST
    shop.assert_ledger_is_clean()


def test_disputes_of_others_are_not_found(shop: DisputeScenario) -> None:
    dispute, stranger = shop.open(shop.pay(100), 100), IDS.new_id()
    disputes = shop.application.disputes
    for use in (
        lambda: disputes.get(stranger, dispute.id),
        lambda: disputes.accept(AcceptanceRequest(stranger, dispute.id)),
        lambda: disputes.submit_evidence(EvidenceRequest(stranger, dispute.id, EVIDENCE)),
    ):
        with pytest.raises(NotFound):
            use()
    assert disputes.list(stranger, DisputeFilter(), None, 10).items == []
    assert disputes.get(None, dispute.id) == disputes.get(shop.merchant_id, dispute.id)


def test_list_by_status_payment_and_time(shop: DisputeScenario) -> None:
    payments = [shop.pay(100) for _ in range(3)]
    for number, payment in enumerate(payments):
        shop.open(payment, 40, f"dp_{number}")
    shop.open(payments[0], 60, "dp_rest")
    shop.update("dp_1", status=LOST)
    newest_first = shop.list_disputes()
    names = [dispute.network_reference for dispute in newest_first]
    assert names == ["dp_rest", "dp_2", "dp_1", "dp_0"]

    def list_names(filters: DisputeFilter, merchant: bool = True) -> list[str]:
        merchant_id = shop.merchant_id if merchant else None
        page = shop.application.disputes.list(merchant_id, filters, None, 10)
        return [dispute.network_reference for dispute in page.items]

    first = shop.application.disputes.list(shop.merchant_id, DisputeFilter(), None, 2)
    assert first.has_more
    last = first.items[-1]
    position = (
        CreatedFilter().get_start_position(None)._replace(created_at=last.created_at, id=last.id)
    )
    rest = shop.application.disputes.list(shop.merchant_id, DisputeFilter(), position, 10)
    assert [*first.items, *rest.items] == newest_first
    assert list_names(DisputeFilter(statuses=frozenset({LOST}))) == ["dp_1"]
    assert list_names(DisputeFilter(payment_id=payments[0].id)) == ["dp_rest", "dp_0"]
    assert (
        list_names(
            DisputeFilter(payment_id=payments[0].id, statuses=frozenset({WON})), merchant=False
        )
        == []
    )
    at = newest_first[1].created_at
    assert list_names(DisputeFilter(created_to=at)) == ["dp_1", "dp_0"]
    assert list_names(DisputeFilter(created_from=at), merchant=False)[:2] == ["dp_rest", "dp_2"]
    counts = shop.application.disputes.count_open()
    assert counts[NEEDS_RESPONSE] == 3


@pytest.mark.parametrize(
    ("source", "evidence", "statuses", "returned"),
    [
        ("tok_disputed", "winning_evidence", [NEEDS_RESPONSE, UNDER_REVIEW, WON], 1),
        ("tok_disputed", "losing_evidence", [NEEDS_RESPONSE, UNDER_REVIEW, LOST], 0),
        ("tok_disputed", None, [NEEDS_RESPONSE, NEEDS_RESPONSE], 0),
        ("tok_disputeWon", None, [NEEDS_RESPONSE, WON], 1),
        ("tok_disputeLost", None, [NEEDS_RESPONSE, LOST], 0),
    ],
)
def test_sandbox_tokens(
    store: Store,
    scenario: PaymentScenario,
    source: str,
    evidence: str | None,
    statuses: list[DisputeStatus],
    returned: int,
) -> None:
    application = build_application(store.begin, card_network=scenario.network, lease=NOW)
    shop = PaymentScenario(application, scenario.network, scenario.merchant_id, scenario.account_id)
    held = shop.pay(1_000, source, capture=CaptureMethod.MANUAL)
    assert application.disputes.process(DEFAULT_NETWORK) == 0
    shop.capture(held, 900)
    shop.settle(held)
    found: list[DisputeStatus] = []
    for number, _ in enumerate(statuses):
        application.disputes.process(DEFAULT_NETWORK)
        [dispute] = application.disputes.list(shop.merchant_id, DisputeFilter(), None, 2).items
        found.append(dispute.status)
        if evidence and number == 0:
            request = EvidenceRequest(shop.merchant_id, dispute.id, Evidence(evidence))
            application.disputes.submit_evidence(request)
    assert found == statuses
    assert shop.account.balance == 900 * returned - SANDBOX_FEE
    shop.assert_ledger_is_clean()


def test_sandbox_disputes_what_is_not_refunded(store: Store, scenario: PaymentScenario) -> None:
    shop = PaymentScenario(
        build_application(store.begin, card_network=FaultyNetwork(), lease=NOW),
        scenario.network,
        scenario.merchant_id,
        scenario.account_id,
    )
    payment, refunded = shop.pay(1_000, "tok_disputed"), shop.pay(1_000, "tok_disputed")
    shop.refund_and_settle(payment, 300)
    shop.refund_and_settle(refunded, 1_000)
    shop.application.disputes.process(DEFAULT_NETWORK)
    [dispute] = shop.application.disputes.list(shop.merchant_id, DisputeFilter(), None, 2).items
    assert (dispute.payment_id, dispute.money.amount) == (payment.id, 700)
    assert dispute.evidence_due_at is not None
    assert dispute.evidence_due_at - dispute.created_at > timedelta(days=6)
    shop.assert_ledger_is_clean()


def test_timeline_has_disputes_with_what_they_posted(shop: DisputeScenario) -> None:
    paid = shop.pay(1_000)
    first, second = shop.open(paid, 300, "dp_1"), shop.open(paid, 200, "dp_2")
    shop.update("dp_1", status=WON)
    shop.update("dp_2", status=LOST)
    timeline = shop.application.payments.get_timeline(shop.merchant_id, paid.id)
    found = [
        (each.event.type, each.dispute_id, each.status, each.event.amount, each.posted)
        for each in timeline.events
        if each.dispute_id
    ]
    assert [each[:4] for each in found] == [
        (EventType.DISPUTE_OPENED, first.id, NEEDS_RESPONSE, 300),
        (EventType.DISPUTE_OPENED, second.id, NEEDS_RESPONSE, 200),
        (EventType.DISPUTE_WON, first.id, WON, 300),
        (EventType.DISPUTE_LOST, second.id, LOST, 200),
    ]
    amounts = [
        posted
        and {entry.amount for entry in posted.entries if entry.account_id == first.account_id}
        for *_, posted in found
    ]
    assert amounts == [{-300 - FEE}, {-200 - FEE}, {300}, None]
    assert shop.application.admin.get_payment(paid.id).events == timeline.events
