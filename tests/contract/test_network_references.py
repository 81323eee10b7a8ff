"""What the engine keeps for finding a request at the network again, on both stores: the network's
reference, the generation of the idempotency key, and when the step was last sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status, Step
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim
from atomic_core.use_cases.holds import CaptureRequest
from support import NOW, Store, add_merchant, build_application, build_payment

UNKNOWN = NetworkResponse(Verdict.UNKNOWN)
NOT_FOUND = NetworkResponse(Verdict.NOT_FOUND)


@dataclass
class ScriptedNetwork(SandboxCardNetwork):
    """Answers with the next response of the script, and approves when it has ended."""

    script: list[NetworkResponse] = field(default_factory=list)
    calls: list[tuple[str, Claim]] = field(default_factory=list)

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._respond("authorize", claims)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._respond("capture", claims)

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._respond("reverse", claims)

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._respond("refund", claims)

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._respond("inquire", claims)

    def _respond(self, method: str, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.calls += [(method, claim) for claim in claims]
        responses = []
        for claim in claims:
            prefix = "re" if claim.refund_id else "pi"
            approved = NetworkResponse(Verdict.APPROVED, reference=f"{prefix}_{claim.payment_id}")
            responses.append(self.script.pop(0) if self.script else approved)
        return responses

    @property
    def last_claim(self) -> Claim:
        return self.calls[-1][1]

    def list_methods(self) -> list[str]:
        return [method for method, _ in self.calls]


@pytest.fixture
def network() -> ScriptedNetwork:
    return ScriptedNetwork()


@pytest.fixture
def application(store: Store, network: ScriptedNetwork) -> Application:
    return build_application(store.begin, card_network=network)


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


def settle_again(application: Application, id: UUID) -> None:
    application.admin.retry_payment(id)
    application.settlement.settle()


def pay(
    application: Application, merchant_id: UUID, capture: CaptureMethod = CaptureMethod.AUTOMATIC
) -> Payment:
    new_payment = NewPayment(merchant_id, Money(5_000, "USD"), "tok_visa", capture=capture)
    payment = application.payments.record(new_payment)
    application.settlement.settle()
    return get_payment(application, payment)


def get_payment(application: Application, payment: Payment) -> Payment:
    return application.payments.get(payment.merchant_id, payment.id)


def test_reference_is_kept_and_named_in_later_steps(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    payment = pay(application, merchant_id, CaptureMethod.MANUAL)
    reference = f"pi_{payment.id}"
    assert (payment.status, payment.network_reference) == (Status.AUTHORIZED, reference)
    assert network.last_claim.network_reference is None
    network.script = [NetworkResponse(Verdict.APPROVED, reference="pi_other")]
    application.payments.capture(CaptureRequest(merchant_id, payment.id))
    application.settlement.settle()
    assert network.last_claim.network_reference == reference
    captured = get_payment(application, payment)
    assert (captured.status, captured.network_reference) == (Status.SUCCESS, reference)


def test_refund_names_the_payment_and_has_a_reference_of_its_own(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    payment = pay(application, merchant_id)
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 100))
    application.settlement.settle()
    assert network.last_claim.network_reference == f"pi_{payment.id}"
    done = application.refunds.get(merchant_id, refund.id)
    assert (done.status, done.network_reference) == (Status.SUCCESS, f"re_{payment.id}")


def test_declined_payment_has_a_reference(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    network.script = [NetworkResponse(Verdict.DECLINED, "card_declined", "pi_1")]
    payment = pay(application, merchant_id)
    assert (payment.status, payment.network_reference) == (Status.FAILED, "pi_1")


def test_reference_without_a_final_verdict_is_not_kept(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    network.script = [NetworkResponse(Verdict.PENDING, reference="pi_1")]
    assert pay(application, merchant_id).network_reference is None


def test_reversal_of_what_the_ledger_refuses_names_the_payment(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    first = application.payments.record(build_payment(merchant_id, MAX_AMOUNT))
    application.settlement.settle()
    assert get_payment(application, first).status is Status.SUCCESS
    payment = pay(application, merchant_id)
    assert (payment.step, payment.network_reference) == (Step.REVERSE, f"pi_{payment.id}")
    settle_again(application, payment.id)
    assert network.calls[-1] == ("reverse", network.last_claim)
    assert network.last_claim.network_reference == f"pi_{payment.id}"


def test_inquiry_and_repetition_take_turns(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    network.script = [UNKNOWN] * 7
    payment = pay(application, merchant_id)
    for _ in range(7):
        settle_again(application, payment.id)
    assert get_payment(application, payment).status is Status.SUCCESS
    turns = ["inquire", "authorize", "inquire", "authorize", "inquire"]
    assert network.list_methods() == ["authorize"] * 3 + turns
    assert {claim.key_generation for _, claim in network.calls} == {0}


def test_request_that_is_not_found_gets_a_new_key(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    network.script = [UNKNOWN, UNKNOWN, UNKNOWN, NOT_FOUND, UNKNOWN, NOT_FOUND]
    payment = pay(application, merchant_id)
    while get_payment(application, payment).status is Status.PROCESSING:
        settle_again(application, payment.id)
    assert get_payment(application, payment).status is Status.SUCCESS
    generations = [claim.key_generation for _, claim in network.calls]
    assert generations[:5] == [0, 0, 0, 0, 1]
    assert generations[-1] == 2


def test_refund_that_is_not_found_gets_a_new_key(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    payment = pay(application, merchant_id)
    network.script = [UNKNOWN, UNKNOWN, UNKNOWN, NOT_FOUND]
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 100))
    application.settlement.settle()
    for _ in range(4):
        settle_again(application, refund.id)
    assert application.refunds.get(merchant_id, refund.id).status is Status.SUCCESS
    assert [claim.key_generation for _, claim in network.calls[1:]] == [0, 0, 0, 0, 1]


def test_time_of_the_last_request_is_known_and_not_renewed_by_inquiries(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    network.script = [UNKNOWN] * 3 + [UNKNOWN]
    payment = pay(application, merchant_id)
    assert network.last_claim.sent_for is None
    for _ in range(3):
        settle_again(application, payment.id)
    inquiry = network.last_claim
    settle_again(application, payment.id)
    repetition = network.last_claim
    assert network.list_methods()[3:] == ["inquire", "authorize"]
    assert inquiry.sent_for is not None
    assert repetition.sent_for is not None
    assert inquiry.unresolved_for is not None
    assert inquiry.sent_for < inquiry.unresolved_for
    assert repetition.sent_for > inquiry.sent_for


def test_request_that_was_certainly_not_sent_has_no_time(
    application: Application, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    network.script = [NetworkResponse(Verdict.NOT_SENT)]
    payment = pay(application, merchant_id)
    settle_again(application, payment.id)
    assert network.last_claim.sent_for is None
    assert get_payment(application, payment).status is Status.SUCCESS


def test_claim_that_ended_without_a_settlement_may_have_been_sent(
    store: Store, merchant_id: UUID
) -> None:
    application = build_application(store.begin)
    payment = application.payments.record(build_payment(merchant_id))
    with store.begin() as work:
        [first] = work.payments.claim(1, NOW, NOW)
        work.commit()
    with store.begin() as work:
        [second] = work.payments.claim(1, NOW, NOW)
        work.commit()
    assert (first.payment_id, first.sent_for) == (payment.id, None)
    assert second.sent_for is not None
    assert second.sent_for >= timedelta(0)


def test_doubt_about_an_interrupted_claim_began_when_its_lease_ended(
    store: Store, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    """Not with the first response after it: the network may have forgotten the key long before."""
    application = build_application(store.begin, card_network=network, lease=NOW)
    payment = application.payments.record(build_payment(merchant_id))
    with store.begin() as work:
        work.payments.claim(1, NOW, NOW)
        work.commit()
    network.script = [UNKNOWN]
    application.settlement.settle()
    in_doubt = get_payment(application, payment)
    assert in_doubt.in_doubt_since == in_doubt.claimed_at


def test_doubt_about_an_interrupted_refund_began_when_its_lease_ended(
    store: Store, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    application = build_application(store.begin, card_network=network, lease=NOW)
    payment = pay(application, merchant_id)
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 100))
    with store.begin() as work:
        work.refunds.claim(1, NOW, NOW)
        work.commit()
    network.script = [UNKNOWN]
    application.settlement.settle()
    in_doubt = application.refunds.get(merchant_id, refund.id)
    assert in_doubt.in_doubt_since == in_doubt.claimed_at


def test_doubt_about_a_dead_worker_does_not_begin_in_the_future(
    store: Store, merchant_id: UUID, network: ScriptedNetwork
) -> None:
    """Its lease has not ended."""
    application = build_application(store.begin, card_network=network)
    payment = application.payments.record(build_payment(merchant_id))
    with store.begin() as work:
        work.payments.claim(1, timedelta(hours=1), NOW)
        work.commit()
    with store.begin() as work:
        # An hour before the end of the lease, as if another worker had seen that this one is dead.
        [claim] = work.payments.claim(1, NOW, -timedelta(hours=2))
        work.commit()
    assert claim.payment_id == payment.id
    assert claim.sent_for is not None
    assert timedelta(0) <= claim.sent_for < timedelta(minutes=30)
