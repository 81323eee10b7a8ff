"""Events of card networks, on both stores: stored once, and only a hint."""

from datetime import timedelta
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.card_networks import NetworkResponse, NetworkState, Verdict
from atomic_core.domain.errors import EventSignatureInvalid, NotFound
from atomic_core.domain.network_events import MAX_POSTPONEMENTS, NetworkEvent
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim
from bookkeeping_network import BookkeepingNetwork
from support import HOUR, IDS, NOW, Store, add_merchant, build_application, build_payment

UNKNOWN = NetworkResponse(Verdict.UNKNOWN)
PENDING = NetworkResponse(Verdict.PENDING)
AT_ONCE = timedelta(0)


class PlainVerifier:
    """Takes bodies such as `evt_1 <payment> <refund>`; the signature must be `signed`."""

    def verify(self, body: bytes, signature: str) -> NetworkEvent | None:
        if signature != "signed":
            raise EventSignatureInvalid
        id, *subjects = body.decode().split()
        if not subjects:
            return None
        payment_id, refund_id = UUID(subjects[0]), UUID(subjects[1]) if subjects[1:] else None
        return NetworkEvent("stripe", id, "type", payment_id, refund_id)


@pytest.fixture(autouse=True)
def long_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is due again by itself during a test."""
    monkeypatch.setattr("atomic_core.domain.settlement.compute_back_off", lambda faults: HOUR)


@pytest.fixture
def network() -> BookkeepingNetwork:
    return BookkeepingNetwork()


@pytest.fixture
def application(store: Store, network: BookkeepingNetwork) -> Application:
    return build_application(
        store.begin,
        card_networks={"sandbox": BookkeepingNetwork(), "stripe": network},
        default_network="stripe",
        network_event_verifiers={"stripe": PlainVerifier()},
    )


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


def receive(application: Application, id: str, payment_id: UUID, *refund_id: UUID) -> None:
    body = " ".join(map(str, (id, payment_id, *refund_id)))
    application.network_events.receive("stripe", body.encode(), "signed")


def get_payment(application: Application, payment: Payment) -> Payment:
    return application.payments.get(payment.merchant_id, payment.id)


def leave_open(
    application: Application,
    network: BookkeepingNetwork,
    merchant_id: UUID,
    response: NetworkResponse,
) -> Payment:
    """A payment that the network has processed, without an answer that decides."""
    payment = application.payments.record(build_payment(merchant_id))
    network.fault = lambda method, claim: response
    assert application.settlement.settle() == 1
    network.fault = lambda method, claim: None
    return payment


@pytest.mark.parametrize(
    ("response", "method"),
    [(UNKNOWN, "inquire"), (PENDING, "authorize")],
    ids=["unknown", "pending"],
)
def test_event_lets_settlement_look_at_once(
    application: Application,
    network: BookkeepingNetwork,
    merchant_id: UUID,
    response: NetworkResponse,
    method: str,
) -> None:
    payment = leave_open(application, network, merchant_id, response)
    assert application.settlement.settle() == 0
    receive(application, "evt_1", payment.id)
    assert get_payment(application, payment).status is Status.PROCESSING
    assert application.network_events.act() == 1
    assert application.settlement.settle() == 1
    assert network.calls[-1] == (method, payment.id)
    assert get_payment(application, payment).status is Status.SUCCESS


def test_answer_decides_and_not_the_event(
    application: Application, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    payment = leave_open(application, network, merchant_id, UNKNOWN)
    receive(application, "evt_1", payment.id)
    application.network_events.act()
    network.fault = lambda method, claim: UNKNOWN
    assert application.settlement.settle() == 1
    found = get_payment(application, payment)
    assert (found.status, found.network_state) == (Status.PROCESSING, NetworkState.UNKNOWN)


def test_event_lets_a_refund_be_looked_at(
    application: Application, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 100))
    network.fault = lambda method, claim: UNKNOWN
    application.settlement.settle()
    network.fault = lambda method, claim: None
    assert application.settlement.settle() == 0
    receive(application, "evt_1", payment.id, refund.id)
    application.network_events.act()
    assert application.settlement.settle() == 1
    assert network.calls[-1] == ("inquire", refund.id)
    assert application.refunds.get(merchant_id, refund.id).status is Status.SUCCESS


def test_repeated_event_is_acted_on_once(
    application: Application, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    payment = leave_open(application, network, merchant_id, UNKNOWN)
    for _ in range(3):
        receive(application, "evt_1", payment.id)
    assert application.network_events.act() == 1
    network.fault = lambda method, claim: UNKNOWN
    application.settlement.settle()
    receive(application, "evt_1", payment.id)
    assert application.network_events.act() == 0
    assert application.settlement.settle() == 0


def test_event_changes_no_settled_payment(
    application: Application, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    before = get_payment(application, payment)
    receive(application, "evt_1", payment.id)
    assert application.network_events.act() == 1
    assert application.settlement.settle() == 0
    assert get_payment(application, payment) == before


def test_event_changes_no_payment_that_was_not_called(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    receive(application, "evt_1", payment.id)
    assert application.network_events.act() == 1
    assert application.network_events.act() == 0
    assert get_payment(application, payment) == payment


def test_event_of_another_network_or_without_a_payment_changes_nothing(
    application: Application, store: Store, merchant_id: UUID
) -> None:
    silent = BookkeepingNetwork(fault=lambda method, claim: UNKNOWN)
    other = build_application(store.begin, card_networks={"sandbox": silent})
    payment = other.payments.record(build_payment(merchant_id))
    assert other.settlement.settle() == 1
    before = get_payment(application, payment)
    receive(application, "evt_1", payment.id)
    receive(application, "evt_2", IDS.new_id())
    receive(application, "evt_3", payment.id, IDS.new_id())
    assert application.network_events.act() == 3
    assert application.settlement.lanes["sandbox"]() == 0
    assert get_payment(application, payment) == before


def test_event_waits_while_a_worker_has_claimed_the_payment(
    application: Application, network: BookkeepingNetwork, store: Store, merchant_id: UUID
) -> None:
    payment = leave_open(application, network, merchant_id, UNKNOWN)
    with store.begin() as work:
        claim = work.payments.claim_unresolved(payment.id, HOUR)
        work.commit()
    assert claim
    before = application.admin.get_payment(payment.id).admin_payment
    receive(application, "evt_1", payment.id)
    assert application.network_events.act() == 1
    assert application.admin.get_payment(payment.id).admin_payment == before
    with store.begin() as work:
        assert work.network_events.purge(AT_ONCE, 10) == 0, "it is still to be acted on"
        assert work.payments.lock_claims([claim]) == [claim]


def test_postponed_event_is_dropped_at_last(
    application: Application, store: Store, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    with store.begin() as work:
        work.payments.claim(1, HOUR, NOW, None, "stripe")
        work.commit()
    receive(application, "evt_1", payment.id)
    for _ in range(MAX_POSTPONEMENTS):
        with store.begin() as work:
            work.network_events.postpone(work.network_events.lock_due(1), AT_ONCE)
            work.commit()
    assert application.network_events.act() == 1
    with store.begin() as work:
        assert work.network_events.purge(AT_ONCE, 10) == 1


def test_forged_event_is_not_stored(application: Application, store: Store) -> None:
    with pytest.raises(EventSignatureInvalid):
        application.network_events.receive("stripe", b"evt_1", "forged")
    with pytest.raises(NotFound):
        application.network_events.receive("sandbox", b"evt_1", "signed")
    application.network_events.receive("stripe", b"evt_1", "signed")
    with store.begin() as work:
        assert work.network_events.lock_due(10) == []


def test_events_are_due_in_order_and_locked_by_one(store: Store) -> None:
    events = [NetworkEvent("stripe", f"evt_{number}", "type", IDS.new_id()) for number in range(3)]
    for event in events:
        with store.begin() as work:
            assert work.network_events.add(event)
            assert not work.network_events.add(event._replace(type="other"))
            work.commit()
    with store.begin() as work:
        assert work.network_events.lock_due(2) == events[:2]
        work.network_events.finish(events[:1])
        work.commit()
    with store.begin() as work:
        assert work.network_events.lock_due(9) == events[1:]


def test_only_old_events_that_were_acted_on_are_purged(store: Store) -> None:
    events = [NetworkEvent("stripe", f"evt_{number}", "type", IDS.new_id()) for number in range(3)]
    with store.begin() as work:
        for event in events:
            work.network_events.add(event)
        work.network_events.finish(events[:2])
        work.commit()
    with store.begin() as work:
        assert work.network_events.purge(HOUR, 10) == 0
        assert work.network_events.purge(AT_ONCE, 1) == 1
        assert work.network_events.purge(AT_ONCE, 10) == 1
        assert work.network_events.lock_due(10) == events[2:]


def test_purge_keeps_recent_events(application: Application, store: Store) -> None:
    receive(application, "evt_1", IDS.new_id())
    application.network_events.act()
    assert application.network_events.purge() == 0
    with store.begin() as work:
        assert work.network_events.purge(AT_ONCE, 10) == 1


def test_claims_inquire_in_turns_as_before(
    application: Application, network: BookkeepingNetwork, merchant_id: UUID
) -> None:
    """An event makes the next call an inquiry, whatever the count of faults is."""
    faults: list[tuple[str, int]] = []

    def note(method: str, claim: Claim) -> NetworkResponse:
        faults.append((method, claim.faults))
        return UNKNOWN

    payment = leave_open(application, network, merchant_id, UNKNOWN)
    network.fault = note
    for number in range(4):
        receive(application, f"evt_{number}", payment.id)
        application.network_events.act()
        assert application.settlement.settle() == 1
    assert faults == [("inquire", count) for count in (3, 5, 7, 9)]
