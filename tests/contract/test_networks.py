"""Card networks side by side, on both stores: each payment is settled by the network that it was
accepted for, and a network that hangs delays no other."""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from atomic_adapters.memory.services import MemoryBreakerStates
from atomic_core.application import Application, LaneOptions
from atomic_core.domain.backlog import NO_BACKLOG
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.errors import NotFound, ValidationFailed
from atomic_core.domain.network_load import NetworkLoad
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim
from atomic_core.use_cases.network_breaker import THRESHOLD
from atomic_worker.settlement.lanes import SettlementLanes
from bookkeeping_network import BookkeepingNetwork
from processes import wait_until
from support import HOUR, IDS, NOW, Store, add_merchant, build_application, build_payment

GUARD_SECONDS = 60
SILENCE = NetworkResponse(Verdict.UNKNOWN, is_answered=False)
OPERATOR = Origin(ActorType.OPERATOR, operator="ada")


@pytest.fixture
def sandbox() -> BookkeepingNetwork:
    return BookkeepingNetwork()


@pytest.fixture
def stripe() -> BookkeepingNetwork:
    return BookkeepingNetwork()


@pytest.fixture
def breaker_states() -> MemoryBreakerStates:
    return MemoryBreakerStates()


@pytest.fixture
def application(
    store: Store,
    sandbox: BookkeepingNetwork,
    stripe: BookkeepingNetwork,
    breaker_states: MemoryBreakerStates,
) -> Application:
    return build_application(
        store.begin,
        card_networks={"sandbox": sandbox, "stripe": stripe},
        lanes={"stripe": LaneOptions(is_remote=True, batch_size=THRESHOLD)},
        lease=NOW,
        breaker_states=breaker_states,
    )


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    """Of a merchant without a network of its own."""
    return add_merchant(store.begin)


@pytest.fixture
def stripe_merchant_id(application: Application, store: Store) -> UUID:
    merchant_id = add_merchant(store.begin)
    application.merchants.set_network(merchant_id, "stripe", OPERATOR)
    return merchant_id


@pytest.fixture
def lanes(application: Application) -> Iterator[SettlementLanes]:
    lanes = SettlementLanes(application, "test", lambda: False)
    yield lanes
    lanes.close()


def record(application: Application, merchant_id: UUID, count: int = 1) -> Sequence[Payment]:
    return [application.payments.record(build_payment(merchant_id)) for _ in range(count)]


def get_statuses(application: Application, payments: Sequence[Payment]) -> set[Status]:
    return {
        application.payments.get(payment.merchant_id, payment.id).status for payment in payments
    }


def test_payment_is_settled_by_the_network_of_its_merchant(
    application: Application,
    sandbox: BookkeepingNetwork,
    stripe: BookkeepingNetwork,
    merchant_id: UUID,
    stripe_merchant_id: UUID,
) -> None:
    [payment], [stripe_payment] = (
        record(application, id) for id in (merchant_id, stripe_merchant_id)
    )
    assert (payment.network, stripe_payment.network) == ("sandbox", "stripe")
    for lane in application.settlement.lanes.values():
        assert lane() == 1
    assert [id for _, id in sandbox.calls] == [payment.id]
    assert [id for _, id in stripe.calls] == [stripe_payment.id]
    assert application.payments.get(stripe_merchant_id, stripe_payment.id).network == "stripe"


def test_payment_keeps_its_network_and_its_refunds_have_it(
    application: Application, stripe: BookkeepingNetwork, stripe_merchant_id: UUID
) -> None:
    [payment] = record(application, stripe_merchant_id)
    application.merchants.set_network(stripe_merchant_id, None, OPERATOR)
    application.settlement.lanes["stripe"]()
    refund = application.refunds.create(NewRefund(stripe_merchant_id, payment.id, 100))
    assert application.settlement.lanes["sandbox"]() == 0
    assert application.settlement.lanes["stripe"]() == 1
    assert stripe.calls[-1] == ("refund", refund.id)
    [later] = record(application, stripe_merchant_id)
    assert later.network == "sandbox"


def test_default_network_is_the_deployments(
    store: Store, sandbox: BookkeepingNetwork, stripe: BookkeepingNetwork, merchant_id: UUID
) -> None:
    application = build_application(
        store.begin,
        card_networks={"sandbox": sandbox, "stripe": stripe},
        default_network="stripe",
    )
    [payment] = record(application, merchant_id)
    assert payment.network == "stripe"
    application.merchants.set_network(merchant_id, "sandbox", OPERATOR)
    [payment] = record(application, merchant_id)
    assert payment.network == "sandbox"


def test_network_is_set_once_and_audited(application: Application, merchant_id: UUID) -> None:
    for network in ("stripe", "stripe", None):
        merchant = application.merchants.set_network(merchant_id, network, OPERATOR)
        assert merchant.network == network
    rows, _ = application.merchants.list_audit_events(merchant_id, None, 10)
    assert [(row.type, row.details) for row in rows] == [
        ("merchant_network_set", {"operator": "ada"}),
        ("merchant_network_set", {"network": "stripe", "operator": "ada"}),
    ]


def test_unknown_networks_and_merchants_are_refused(
    application: Application, merchant_id: UUID
) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        application.merchants.set_network(merchant_id, "adyen", OPERATOR)
    assert refusal.value.details == {"network": ["Must be one of: sandbox, stripe."]}
    with pytest.raises(NotFound):
        application.merchants.set_network(IDS.new_id(), "stripe", OPERATOR)


def test_payments_of_a_network_without_settings_wait_and_are_named(
    application: Application, store: Store, merchant_id: UUID, stripe_merchant_id: UUID
) -> None:
    [payment] = record(application, merchant_id)
    [stripe_payment] = record(application, stripe_merchant_id)
    smaller = build_application(store.begin)
    smaller.settlement.settle()
    assert get_statuses(smaller, [payment]) == {Status.SUCCESS}
    assert get_statuses(smaller, [stripe_payment]) == {Status.PENDING}
    assert smaller.settlement.list_unserved_networks() == ["stripe"]
    assert application.settlement.list_unserved_networks() == []
    application.settlement.lanes["stripe"]()
    application.refunds.create(NewRefund(stripe_merchant_id, stripe_payment.id, 100))
    assert smaller.settlement.list_unserved_networks() == ["stripe"]


def test_open_breaker_parks_payments_and_uses_up_nothing(
    application: Application,
    sandbox: BookkeepingNetwork,
    stripe: BookkeepingNetwork,
    merchant_id: UUID,
    stripe_merchant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lane = application.settlement.lanes["stripe"]
    breaker = lane.breaker
    assert breaker
    monkeypatch.setattr(breaker, "monotonic", lambda: 0.0)
    stripe.fault = lambda method, claim: SILENCE
    payments = record(application, stripe_merchant_id, THRESHOLD + 5)
    [sandbox_payment] = record(application, merchant_id)
    assert lane() == THRESHOLD
    parked = payments[THRESHOLD:]
    for _ in range(3):
        assert lane() == 0
    for payment in parked:
        details = application.admin.get_payment(payment.id).admin_payment
        assert (details.payment.status, details.payment.attempt) == (Status.PENDING, 0)
        assert details.progress.faults == 0
    application.settlement.lanes["sandbox"]()
    assert get_statuses(application, [sandbox_payment]) == {Status.SUCCESS}

    stripe.fault = lambda method, claim: None
    monkeypatch.setattr(breaker, "monotonic", lambda: 1.0)
    for payment in payments[:THRESHOLD]:
        application.admin.retry_payment(payment.id)
    while lane():
        pass
    assert get_statuses(application, payments) == {Status.SUCCESS}


def test_open_breaker_is_reported_and_what_waits_is_counted(
    application: Application,
    breaker_states: MemoryBreakerStates,
    stripe: BookkeepingNetwork,
    merchant_id: UUID,
    stripe_merchant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lane = application.settlement.lanes["stripe"]
    assert lane.breaker
    monkeypatch.setattr(lane.breaker, "monotonic", lambda: 0.0)
    # What is called is not due again during the test.
    monkeypatch.setattr("atomic_core.domain.settlement.compute_back_off", lambda faults: HOUR)
    record(application, merchant_id, 2)
    [payment, *_] = record(application, stripe_merchant_id, 2)
    lane()
    application.refunds.create(NewRefund(stripe_merchant_id, payment.id, 100))
    stripe.fault = lambda method, claim: SILENCE
    record(application, stripe_merchant_id, THRESHOLD + 5)
    assert not breaker_states.reports
    lane()
    assert breaker_states.reports[-1] == ("stripe", True)
    for _ in range(3):
        lane()
    # The refund and the payments that were called are due again later.
    assert application.settlement.measure_networks() == [
        NetworkLoad("sandbox", 0, 2),
        NetworkLoad("stripe", 1, 6),
    ]

    stripe.fault = lambda method, claim: None
    monkeypatch.setattr(lane.breaker, "monotonic", lambda: 1.0)
    lane()
    assert breaker_states.reports[-1] == ("stripe", False)
    reports = len(breaker_states.reports)
    lane()
    assert len(breaker_states.reports) == reports
    assert application.settlement.measure_networks()[1] == NetworkLoad("stripe", 0, 0)


def test_claimed_payments_are_not_parked(
    application: Application, store: Store, stripe_merchant_id: UUID
) -> None:
    record(application, stripe_merchant_id, 2)
    with store.begin() as work:
        assert len(work.payments.claim(1, HOUR, NOW, None, "stripe")) == 1
        work.commit()
    with store.begin() as work:
        assert work.admin_queries.count_parked("stripe", 10) == 1
        assert work.admin_queries.count_parked("stripe", 0) == 0
        assert work.admin_queries.count_parked("sandbox", 10) == 0
        assert work.admin_queries.measure_backlog("stripe", 10).due == 1
        assert work.admin_queries.measure_backlog("stripe", 0) == NO_BACKLOG
        assert work.admin_queries.measure_backlog("sandbox", 10) == NO_BACKLOG


def test_backlog_is_as_old_as_its_oldest_unclaimed_item(
    application: Application, store: Store, stripe_merchant_id: UUID
) -> None:
    """Of all card networks, also of one that is not served, and of refunds."""
    assert application.maintenance.measure_backlog() == NO_BACKLOG
    [payment, _] = record(application, stripe_merchant_id, 2)
    unserved = build_application(store.begin)
    first = unserved.maintenance.measure_backlog()
    assert first.due == 2
    assert not first.is_stalled
    with store.begin() as work:
        assert len(work.payments.claim(2, HOUR, NOW, None, "stripe")) == 2
        work.commit()
    assert application.maintenance.measure_backlog() == NO_BACKLOG

    assert application.admin.retry_payment(payment.id, OPERATOR)
    began = time.monotonic()
    with store.begin() as work:
        assert len(work.payments.claim(1, NOW, NOW, None, "stripe")) == 1
        work.commit()
    again = application.maintenance.measure_backlog()
    assert again.due == 1
    elapsed = timedelta(seconds=time.monotonic() - began)
    assert again.oldest_age <= elapsed, "it counts from the end of the lease"


def test_open_breaker_with_nothing_due_is_reported_again(
    application: Application,
    breaker_states: MemoryBreakerStates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lane = application.settlement.lanes["stripe"]
    assert lane.breaker
    lane.breaker.record([SILENCE] * THRESHOLD)
    monkeypatch.setattr(lane.breaker, "monotonic", lambda: 1e12)
    assert lane() == 0
    assert breaker_states.reports == [("stripe", True)]


def test_hanging_network_delays_no_other(
    application: Application,
    stripe: BookkeepingNetwork,
    merchant_id: UUID,
    stripe_merchant_id: UUID,
    lanes: SettlementLanes,
) -> None:
    answer_gate, is_called = threading.Event(), threading.Event()

    def hang(method: str, claim: Claim) -> None:
        is_called.set()
        assert answer_gate.wait(GUARD_SECONDS)

    stripe.fault = hang
    stripe_payments = record(application, stripe_merchant_id, 3)
    try:
        for _ in range(3):
            payments = record(application, merchant_id, 3)
            assert lanes.settle() == 3
            assert is_called.wait(GUARD_SECONDS)
            assert get_statuses(application, payments) == {Status.SUCCESS}
    finally:
        answer_gate.set()
    wait_until(
        lambda: get_statuses(application, stripe_payments) == {Status.SUCCESS},
        GUARD_SECONDS,
        "the other network has answered",
    )


def test_lane_survives_a_bug_of_its_network(
    application: Application,
    stripe: BookkeepingNetwork,
    stripe_merchant_id: UUID,
    lanes: SettlementLanes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail = BugOnce()
    begin = application.settlement.lanes["stripe"].begin

    def begin_or_fail(*arguments: object, **options: object) -> object:
        fail()
        return begin(*arguments, **options)

    lane = application.settlement.lanes["stripe"]
    object.__setattr__(lane, "begin", begin_or_fail)
    [payment] = record(application, stripe_merchant_id)
    with capture_logs() as lines:
        lanes.settle()
        wait_until(fail.has_failed.is_set, GUARD_SECONDS, "the lane has failed")
        wait_until(
            lambda: [line["event"] for line in lines] == ["settlement failed"],
            GUARD_SECONDS,
            "the failure is logged",
        )
    lanes.settle()
    wait_until(
        lambda: get_statuses(application, [payment]) == {Status.SUCCESS},
        GUARD_SECONDS,
        "the lane settles again",
    )


class BugOnce:
    def __init__(self) -> None:
        self.has_failed = threading.Event()

    def __call__(self) -> None:
        if not self.has_failed.is_set():
            self.has_failed.set()
            raise RuntimeError("a bug")


def test_waiting_sweep_settles_every_lane(
    application: Application, merchant_id: UUID, stripe_merchant_id: UUID, lanes: SettlementLanes
) -> None:
    payments = [
        *record(application, merchant_id, 2),
        *record(application, stripe_merchant_id, 3),
    ]
    assert lanes.settle(wait=True) == 5
    assert get_statuses(application, payments) == {Status.SUCCESS}
