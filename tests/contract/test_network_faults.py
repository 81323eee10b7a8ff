"""Settlement against a card network that loses, delays and refuses answers, on both stores: our
status always becomes the network's truth, and no silence ends a payment."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_adapters.networks.time_limit import TimeLimitedCardNetwork
from atomic_core.application import Application
from atomic_core.domain.card_networks import (
    KEY_MEMORY,
    REPEATS_BEFORE_INQUIRY,
    NetworkResponse,
    NetworkState,
    Verdict,
)
from atomic_core.domain.errors import Conflict
from atomic_core.domain.events import EventType
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.settlement import SettledBatch
from bookkeeping_network import (
    NOT_SENT,
    UNKNOWN,
    BookkeepingNetwork,
    Fault,
    NetworkRecord,
)
from processes import wait_until
from support import NOW, Store, add_merchant, build_application, build_payment, run_concurrently

MAX_ROUNDS = 12

GUARD_SECONDS = 60
"""How long a condition is awaited before the test fails; no promise about speed."""


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def network() -> BookkeepingNetwork:
    return BookkeepingNetwork()


@pytest.fixture
def application(store: Store, network: BookkeepingNetwork) -> Application:
    return build_application(store.begin, card_network=network)


def lose_answers(*methods: str) -> Fault:
    """The network processes the requests, and its answers are lost."""

    def lose(method: str, claim: Claim) -> NetworkResponse | None:
        return UNKNOWN if method in methods else None

    return lose


def disconnect(method: str, claim: Claim) -> NetworkResponse:
    return NOT_SENT


def settle_again(application: Application, id: UUID) -> None:
    """End the back-off of a payment or refund, and settle it."""
    application.admin.retry_payment(id)
    application.settlement.settle()


def get_payment(application: Application, payment: Payment) -> Payment:
    return application.payments.get(payment.merchant_id, payment.id)


def get_refund(application: Application, refund: Refund) -> Refund:
    return application.refunds.get(refund.merchant_id, refund.id)


def settle_until(application: Application, payment: Payment, status: Status) -> Payment:
    application.settlement.settle()
    for _ in range(MAX_ROUNDS):
        current = get_payment(application, payment)
        if current.status is status:
            return current
        settle_again(application, payment.id)
    pytest.fail(f"not {status} after {MAX_ROUNDS} rounds")


def pay(
    application: Application,
    merchant_id: UUID,
    capture: CaptureMethod = CaptureMethod.AUTOMATIC,
    amount: int = 5_000,
    source: str = "tok_visa",
) -> Payment:
    new_payment = NewPayment(merchant_id, Money(amount, "USD"), source, capture=capture)
    payment = application.payments.record(new_payment)
    application.settlement.settle()
    return get_payment(application, payment)


def hold(application: Application, merchant_id: UUID, source: str = "tok_visa") -> Payment:
    payment = pay(application, merchant_id, CaptureMethod.MANUAL, source=source)
    assert payment.status is Status.AUTHORIZED
    return payment


def get_balance(application: Application, payment: Payment) -> tuple[int, int, int]:
    """Posted, pending in and pending out."""
    account = application.accounts.get(payment.merchant_id, payment.account_id)
    pending_in, pending_out = account.pending
    return account.balance, pending_in, pending_out


def test_charge_whose_answer_is_always_lost_is_in_doubt_until_inquired(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    network.fault = lose_answers("authorize")
    payment = pay(application, merchant_id)
    assert (payment.status, payment.network_state) == (Status.PROCESSING, NetworkState.UNKNOWN)
    assert payment.in_doubt_since is not None
    done = settle_until(application, payment, Status.SUCCESS)
    assert (done.network_state, done.in_doubt_since) == (None, None)
    assert network.list_methods(payment.id) == ["authorize"] * REPEATS_BEFORE_INQUIRY + ["inquire"]
    assert network.get_record(payment.id) == NetworkRecord(captured=5_000)
    assert get_balance(application, payment) == (5_000, 0, 0)
    assert application.ledger.verify().is_clean


def test_silence_never_ends_a_payment(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    network.fault = lose_answers("authorize", "inquire")
    payment = pay(application, merchant_id)
    since = payment.in_doubt_since
    for _ in range(MAX_ROUNDS):
        settle_again(application, payment.id)
    current = get_payment(application, payment)
    assert (current.status, current.in_doubt_since) == (Status.PROCESSING, since)
    assert application.ledger.verify().transactions == 0


def test_lost_answer_that_is_repeated_ends_doubt(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    network.fault = lose_answers("authorize")
    payment = pay(application, merchant_id, source="tok_chargeDeclined")
    network.fault = lambda method, claim: None
    done = settle_until(application, payment, Status.FAILED)
    assert done.failure_reason == "card_declined"
    assert network.get_record(payment.id) == NetworkRecord()


@pytest.mark.parametrize("method", ["capture", "void"])
def test_hold_stays_while_its_end_is_in_doubt(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork, method: str
) -> None:
    payment = hold(application, merchant_id)
    network.fault = lose_answers(method, "inquire")
    if method == "capture":
        application.payments.capture(CaptureRequest(merchant_id, payment.id, 3_000))
    else:
        application.payments.cancel(CancelRequest(merchant_id, payment.id))
    application.settlement.settle()
    for _ in range(MAX_ROUNDS):
        settle_again(application, payment.id)
    in_doubt = get_payment(application, payment)
    assert (in_doubt.status, in_doubt.network_state) == (Status.PROCESSING, NetworkState.UNKNOWN)
    assert get_balance(application, payment) == (0, 5_000, 0)
    network.fault = lose_answers()
    end, balance = (Status.SUCCESS, 3_000) if method == "capture" else (Status.CANCELED, 0)
    settle_until(application, payment, end)
    assert get_balance(application, payment) == (balance, 0, 0)
    assert network.get_record(payment.id) == NetworkRecord(captured=balance)
    assert application.ledger.verify().is_clean


def test_refund_in_doubt_keeps_its_reservation_and_is_given_back_once(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = pay(application, merchant_id)
    network.fault = lose_answers("refund", "inquire")
    refund = application.refunds.create(NewRefund(merchant_id, payment.id))
    application.settlement.settle()
    for _ in range(MAX_ROUNDS):
        settle_again(application, refund.id)
    in_doubt = get_refund(application, refund)
    assert (in_doubt.status, in_doubt.in_doubt_since is None) == (Status.PROCESSING, False)
    assert get_balance(application, payment) == (5_000, 0, 5_000)
    with pytest.raises(Conflict):
        application.refunds.create(NewRefund(merchant_id, payment.id, 1))
    network.fault = lose_answers()
    settle_again(application, refund.id)
    assert get_refund(application, refund).status is Status.SUCCESS
    assert network.get_record(payment.id) == NetworkRecord(captured=5_000, refunded=5_000)
    assert get_balance(application, payment) == (0, 0, 0)
    assert application.ledger.verify().is_clean


def test_request_of_which_the_network_has_no_record_is_sent_again(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    network.lost_requests = REPEATS_BEFORE_INQUIRY
    payment = pay(application, merchant_id)
    settle_until(application, payment, Status.SUCCESS)
    methods = network.list_methods(payment.id)
    assert methods == ["authorize"] * REPEATS_BEFORE_INQUIRY + ["inquire", "authorize"]
    assert network.get_record(payment.id) == NetworkRecord(captured=5_000)


def test_lost_answer_of_one_claim_leaves_the_others_of_its_batch(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payments = [application.payments.record(build_payment(merchant_id, n)) for n in range(1, 101)]
    network.fault = lambda method, claim: UNKNOWN if claim.amount == 42 else None
    application.settlement.settle()
    by_status: dict[Status, list[int]] = {}
    for payment in payments:
        current = get_payment(application, payment)
        by_status.setdefault(current.status, []).append(current.money.amount)
    assert by_status == {
        Status.SUCCESS: [amount for amount in range(1, 101) if amount != 42],
        Status.PROCESSING: [42],
    }


@pytest.mark.parametrize("error", [TimeoutError(), KeyError("bug")], ids=["time-out", "bug"])
def test_claim_on_which_every_call_raises_is_isolated(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork, error: Exception
) -> None:
    payments = [application.payments.record(build_payment(merchant_id, n)) for n in range(1, 52)]

    def raise_for_one(method: str, claim: Claim) -> None:
        if claim.amount == 7:
            raise error

    network.fault = raise_for_one
    batches: list[SettledBatch] = []
    application.settlement.settle(on_batch=batches.append)
    statuses = {payment.money.amount: get_payment(application, payment) for payment in payments}
    assert statuses.pop(7).network_state is NetworkState.UNKNOWN
    assert {payment.status for payment in statuses.values()} == {Status.SUCCESS}
    [batch] = batches
    assert {call.error for call in batch.network_errors} == {error}
    assert batch.network_errors[-1].claims == 1
    assert application.ledger.verify().is_clean


def test_unreachable_network_fails_no_payment_before_its_patience_ends(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    network.fault = disconnect
    application = build_application(store.begin, card_network=network)
    payment = pay(application, merchant_id)
    for _ in range(MAX_ROUNDS):
        settle_again(application, payment.id)
    current = get_payment(application, payment)
    assert (current.status, current.network_state) == (Status.PROCESSING, NetworkState.NOT_SENT)
    assert current.in_doubt_since is None, "it was certainly not processed"
    impatient = build_application(store.begin, card_network=network, network_patience=NOW)
    settle_again(impatient, payment.id)
    failed = get_payment(application, payment)
    assert (failed.status, failed.failure_reason) == (Status.FAILED, "network_unavailable")
    assert network.get_record(payment.id) == NetworkRecord()


def test_payment_that_may_be_processed_does_not_fail_when_patience_ends(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    network.fault = lose_answers("authorize")
    application = build_application(store.begin, card_network=network, network_patience=NOW)
    payment = pay(application, merchant_id)
    network.fault = disconnect
    for _ in range(MAX_ROUNDS):
        settle_again(application, payment.id)
    assert get_payment(application, payment).network_state is NetworkState.UNKNOWN
    network.fault = lose_answers()
    settle_until(application, payment, Status.SUCCESS)


def test_payments_are_posted_in_order_of_their_claims_whatever_order_the_calls_have(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    """The network is called for the second payment first, because the first is in doubt."""
    application = build_application(store.begin, card_network=network, lease=NOW)
    first = application.payments.record(build_payment(merchant_id, MAX_AMOUNT))
    with store.begin() as work:
        work.payments.claim(1, NOW, NOW)
        work.commit()
    second = application.payments.record(build_payment(merchant_id, 1))
    application.settlement.settle()
    assert [id for _, id in network.calls] == [second.id, first.id]
    assert get_payment(application, first).status is Status.SUCCESS
    assert get_payment(application, second).step is Step.REVERSE, "it finds no room"


def test_interrupted_claim_is_in_doubt(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    """The worker dies after its call; the network cannot be reached afterwards."""
    application = build_application(
        store.begin, card_network=network, network_patience=NOW, lease=NOW
    )
    payment = application.payments.record(build_payment(merchant_id))
    with store.begin() as work:
        claims = work.payments.claim(1, NOW, NOW)
        work.commit()
    network.authorize(claims)
    network.fault = disconnect
    application.settlement.settle()
    current = get_payment(application, payment)
    assert (current.status, current.network_state) == (Status.PROCESSING, NetworkState.UNKNOWN)
    network.fault = lose_answers()
    settle_until(application, payment, Status.SUCCESS)
    assert network.get_record(payment.id) == NetworkRecord(captured=5_000)


def test_operators_retry_keeps_the_doubt_of_an_interrupted_claim(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    application = build_application(store.begin, card_network=network, network_patience=NOW)
    payment = application.payments.record(build_payment(merchant_id))
    with store.begin() as work:
        work.payments.claim(1, timedelta(hours=1), NOW)
        work.commit()
    network.fault = disconnect
    settle_again(application, payment.id)
    assert get_payment(application, payment).network_state is NetworkState.UNKNOWN


@pytest.mark.parametrize("capture", list(CaptureMethod))
def test_approved_payment_that_the_ledger_refuses_is_reversed_before_it_fails(
    application: Application,
    merchant_id: UUID,
    network: BookkeepingNetwork,
    capture: CaptureMethod,
) -> None:
    full = pay(application, merchant_id, amount=MAX_AMOUNT)
    network.fault = lose_answers("reverse")
    refused = pay(application, merchant_id, capture)
    assert (refused.status, refused.step) == (Status.PROCESSING, Step.REVERSE)
    done = settle_until(application, refused, Status.FAILED)
    assert done.failure_reason == "balance_overflow"
    reversals = ["reverse"] * REPEATS_BEFORE_INQUIRY
    assert network.list_methods(refused.id) == ["authorize", *reversals, "inquire"]
    record = network.get_record(refused.id)
    assert (record.held, record.net) == (0, 0)
    assert get_balance(application, full) == (MAX_AMOUNT, 0, 0)
    events = application.payments.get_timeline(merchant_id, refused.id).events
    assert EventType.REVERSAL_STARTED in [event.event.type for event in events]
    assert application.ledger.verify().is_clean


def test_declined_capture_releases_the_hold_at_the_network_before_it_fails(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = hold(application, merchant_id, source="tok_captureDeclined")
    network.fault = lose_answers("reverse", "inquire")
    application.payments.capture(CaptureRequest(merchant_id, payment.id, 100))
    application.settlement.settle()
    settle_again(application, payment.id)
    reversing = get_payment(application, payment)
    assert (reversing.status, reversing.step) == (Status.PROCESSING, Step.REVERSE)
    assert reversing.failure_reason is None
    assert get_balance(application, payment) == (0, 5_000, 0), "held here while held there"
    network.fault = lose_answers()
    done = settle_until(application, payment, Status.FAILED)
    assert (done.failure_reason, done.step) == ("capture_declined", Step.REVERSE)
    assert network.get_record(payment.id) == NetworkRecord()
    assert get_balance(application, payment) == (0, 0, 0)
    assert application.ledger.verify().is_clean


def test_refused_void_is_repeated_until_the_network_confirms(
    application: Application, merchant_id: UUID, network: BookkeepingNetwork
) -> None:
    payment = hold(application, merchant_id, source="tok_voidDeclined")
    application.payments.cancel(CancelRequest(merchant_id, payment.id))
    application.settlement.settle()
    for _ in range(MAX_ROUNDS):
        settle_again(application, payment.id)
    current = get_payment(application, payment)
    assert (current.status, current.network_state) == (Status.PROCESSING, NetworkState.REFUSED)
    assert get_balance(application, payment) == (0, 5_000, 0)
    [step] = application.admin.list_unresolved(10)
    assert (step.id, step.step, step.network_state) == (payment.id, "void", "refused")


@pytest.mark.parametrize("token", ["tok_undecided", "tok_networkDown", "tok_noAnswer"])
def test_back_off_grows_to_its_bound(
    application: Application, merchant_id: UUID, token: str
) -> None:
    payment = application.payments.record(build_payment(merchant_id, source=token))
    delays: list[timedelta | None] = []

    def record_delay(batch: SettledBatch) -> None:
        delays.extend(settlement.retry_after for settlement in batch.settlements)

    for _ in range(MAX_ROUNDS):
        assert application.settlement.settle(on_batch=record_delay) == 1
        assert application.settlement.settle(on_batch=record_delay) == 0, "the back-off has begun"
        application.admin.retry_payment(payment.id)
    seconds = [delay.total_seconds() for delay in delays if delay]
    assert seconds == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("tok_answerLost", Status.SUCCESS),
        ("tok_answerLostOnce", Status.SUCCESS),
        ("tok_slow", Status.SUCCESS),
    ],
)
def test_sandbox_tokens_with_lost_answers_end(
    store: Store, merchant_id: UUID, token: str, status: Status
) -> None:
    application = build_application(store.begin)
    payment = pay(application, merchant_id, source=token)
    assert payment.status is Status.PROCESSING
    settle_until(application, payment, status)


def test_late_repeat_is_an_inquiry(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    """The network forgets idempotency keys: an old request must not be repeated."""
    claim = Claim(merchant_id, 1, 1, merchant_id, merchant_id, 1, "USD", "tok_visa")
    in_doubt = claim._replace(network_state=NetworkState.UNKNOWN, unresolved_for=NOW)
    assert not claim.needs_inquiry
    assert not in_doubt.needs_inquiry
    assert in_doubt._replace(unresolved_for=KEY_MEMORY).needs_inquiry
    pending = in_doubt._replace(network_state=NetworkState.PENDING, faults=100)
    assert not pending.needs_inquiry, "the same request returns the decision"
    assert pending._replace(unresolved_for=KEY_MEMORY).needs_inquiry


@pytest.fixture
def answer_gate() -> threading.Event:
    return threading.Event()


def test_lease_is_renewed_while_the_network_is_called(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID, answer_gate: threading.Event
) -> None:
    """Its lease is far shorter than the call: without renewal a second worker would ask again."""
    lease = timedelta(seconds=0.3)
    slow = build_application(store.begin, card_network=network, lease=lease)
    other = build_application(store.begin, card_network=network, lease=lease)
    payment = slow.payments.record(build_payment(merchant_id))
    has_begun = threading.Event()

    def wait_for_gate(method: str, claim: Claim) -> None:
        has_begun.set()
        assert answer_gate.wait(GUARD_SECONDS)

    network.fault = wait_for_gate

    def settle_beside() -> int:
        assert has_begun.wait(GUARD_SECONDS)
        leases: set[object] = set()

        def is_renewed() -> bool:
            """Whether it was renewed three times: the first lease has ended."""
            leases.add(_get_lease(other, payment))
            return len(leases) > 3

        try:
            wait_until(is_renewed, GUARD_SECONDS, "the lease is renewed")
            return other.settlement.settle()
        finally:
            answer_gate.set()

    claimed = run_concurrently([slow.settlement.settle, settle_beside])
    assert claimed == [1, 0]
    assert network.list_methods(payment.id) == ["authorize"]
    assert get_payment(slow, payment).status is Status.SUCCESS


def _get_lease(application: Application, payment: Payment) -> object:
    return application.admin.get_payment(payment.id).admin_payment.progress.leased_until


def test_call_that_hangs_is_in_doubt_after_its_time_out(
    store: Store, network: BookkeepingNetwork, merchant_id: UUID, answer_gate: threading.Event
) -> None:
    def hang(method: str, claim: Claim) -> None:
        assert answer_gate.wait(GUARD_SECONDS)

    network.fault = hang
    timeout = timedelta(seconds=0.05)
    application = build_application(
        store.begin,
        card_network=TimeLimitedCardNetwork(network, timeout),
        network_timeout=timeout,
    )
    payments = [application.payments.record(build_payment(merchant_id)) for _ in range(3)]
    application.settlement.settle()
    states = {get_payment(application, payment).network_state for payment in payments}
    assert states == {NetworkState.UNKNOWN}
    answer_gate.set()
    network.fault = lose_answers()
    for payment in payments:
        settle_until(application, payment, Status.SUCCESS)
    assert {network.get_record(payment.id).captured for payment in payments} == {5_000}


def test_no_call_begins_while_too_many_hang(
    network: BookkeepingNetwork, merchant_id: UUID, answer_gate: threading.Event
) -> None:
    limited = TimeLimitedCardNetwork(network, timedelta(seconds=0.01))

    def hang(method: str, claim: Claim) -> None:
        assert answer_gate.wait(GUARD_SECONDS)

    network.fault = hang
    claim = Claim(merchant_id, 1, 0, merchant_id, merchant_id, 1, "USD", "tok_visa")
    verdicts = [_get_verdict(lambda: limited.authorize([claim])) for _ in range(9)]
    assert verdicts == [None] * 8 + [Verdict.NOT_SENT]
    answer_gate.set()
    wait_until(
        lambda: _get_verdict(lambda: limited.authorize([claim])) is Verdict.APPROVED,
        GUARD_SECONDS,
        "the calls return",
    )


def _get_verdict(call: Callable[[], object]) -> Verdict | None:
    try:
        [response] = call()  # type: ignore[misc]
    except Exception:  # noqa: BLE001 - a time-out
        return None
    return response.verdict
