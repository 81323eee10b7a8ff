"""A payment in one step under one fault, compared with what Stripe holds of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from atomic_core.application import Application
from atomic_core.domain.card_networks import NetworkState
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from stripe_rules import DECLINED_SOURCE, Fault, RecordingProxy, compute_held, compute_net

AMOUNT: Final = 5_000
CAPTURED: Final = 3_000
REFUNDED: Final = 2_000

ROUTES: Final = {
    Step.CHARGE: "POST /v1/payment_intents",
    Step.AUTHORIZE: "POST /v1/payment_intents",
    Step.CAPTURE: "POST /v1/payment_intents/{id}/capture",
    Step.VOID: "POST /v1/payment_intents/{id}/cancel",
    Step.REFUND: "POST /v1/refunds",
}

FIRST_STEPS: Final = (Step.CHARGE, Step.AUTHORIZE)
MANUAL_STEPS: Final = (Step.AUTHORIZE, Step.CAPTURE, Step.VOID)


class Combination(NamedTuple):
    fault: Fault
    step: Step
    is_approved: bool
    failures: int
    """How many requests of the step meet the fault."""


class End(NamedTuple):
    status: Status
    """Of the payment or refund."""
    balance: int
    """Of the merchant."""
    net: int
    """What Stripe has taken and not given back."""


ENDS: Final = {
    (Step.CHARGE, True): End(Status.SUCCESS, AMOUNT, AMOUNT),
    (Step.AUTHORIZE, True): End(Status.AUTHORIZED, 0, 0),
    (Step.CAPTURE, True): End(Status.SUCCESS, CAPTURED, CAPTURED),
    (Step.VOID, True): End(Status.CANCELED, 0, 0),
    (Step.REFUND, True): End(Status.SUCCESS, AMOUNT - REFUNDED, AMOUNT - REFUNDED),
    (Step.CHARGE, False): End(Status.FAILED, 0, 0),
    (Step.AUTHORIZE, False): End(Status.FAILED, 0, 0),
    (Step.CAPTURE, False): End(Status.FAILED, 0, 0),
    # Stripe has the money, so it is not CANCELED: an operator has to see it.
    (Step.VOID, False): End(Status.PROCESSING, 0, AMOUNT),
    (Step.REFUND, False): End(Status.FAILED, AMOUNT, 0),
}


class StripeObjects:
    """What Stripe has at one moment, by payment. With `payment_ids`, only their PaymentIntents are
    read, and only those that were created through the proxy."""

    def __init__(self, proxy: RecordingProxy, payment_ids: Sequence[UUID] | None = None) -> None:
        if payment_ids is None:
            self._intents = _group_by_payment(proxy.list_all("payment_intents"))
        else:
            self._intents = {str(id): proxy.find_intents(str(id)) for id in payment_ids}
        self._refunds = _group_by_payment(proxy.list_all("refunds"))

    def find_intents(self, payment_id: UUID) -> Sequence[Any]:
        return self._intents.get(str(payment_id), [])

    def find_refunds(self, payment_id: UUID) -> Sequence[Any]:
        return self._refunds.get(str(payment_id), [])


def _group_by_payment(objects: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for one in objects:
        groups[one["metadata"].get("atomic_payment", "")].append(one)
    return groups


@dataclass
class Scenario:
    """One combination. Its merchant has no other payment."""

    application: Application
    proxy: RecordingProxy
    combination: Combination
    merchant_id: UUID
    payment_id: UUID = field(init=False)
    payment: Payment = field(init=False)
    item: Payment | Refund = field(init=False)
    """The payment, or the refund if that is the step."""
    refund_id: UUID | None = None
    refunded_elsewhere: int = 0

    def record_payment(self) -> None:
        _, step, is_approved, _ = self.combination
        is_declined_card = step in FIRST_STEPS and not is_approved
        new_payment = NewPayment(
            self.merchant_id,
            Money(AMOUNT, "USD"),
            DECLINED_SOURCE if is_declined_card else "pm_card_visa",
            capture=CaptureMethod.MANUAL if step in MANUAL_STEPS else CaptureMethod.AUTOMATIC,
        )
        self.payment_id = self.application.payments.record(new_payment).id

    def refresh(self) -> None:
        """Read the payment and the refund."""
        self.payment = self.application.payments.get(self.merchant_id, self.payment_id)
        self.item = self.payment
        if self.refund_id:
            self.item = self.application.refunds.get(self.merchant_id, self.refund_id)

    @property
    def is_first_step(self) -> bool:
        return self.combination.step in FIRST_STEPS

    @property
    def is_ready(self) -> bool:
        """Whether a step after the first can begin."""
        is_manual = self.combination.step in MANUAL_STEPS
        return self.payment.status is (Status.AUTHORIZED if is_manual else Status.SUCCESS)

    @property
    def has_ended(self) -> bool:
        _, step, is_approved, _ = self.combination
        if (step, is_approved) == (Step.VOID, False):
            return self.item.network_state is NetworkState.REFUSED
        return self.item.status.is_settled or self.item.status is Status.AUTHORIZED

    def begin_step(self) -> None:
        """Make the step due, and what Stripe has such that it approves or declines it."""
        if self.is_first_step:
            self.record_payment()
            return
        payments, ids = self.application.payments, (self.merchant_id, self.payment_id)
        step = self.combination.step
        if not self.combination.is_approved:
            self._decline_beforehand(step)
        match step:
            case Step.CAPTURE:
                payments.capture(CaptureRequest(*ids, CAPTURED))
            case Step.VOID:
                payments.cancel(CancelRequest(*ids))
            case Step.REFUND:
                self.refund_id = self.application.refunds.create(NewRefund(*ids, REFUNDED)).id
            case _:
                pass

    def _decline_beforehand(self, step: Step) -> None:
        """Do at Stripe, behind our back, what makes the step impossible."""
        reference = self.payment.network_reference
        match step:
            case Step.CAPTURE:
                self.proxy.ask("POST", f"/v1/payment_intents/{reference}/cancel")
            case Step.VOID:
                self.proxy.ask("POST", f"/v1/payment_intents/{reference}/capture")
            case Step.REFUND:
                self.proxy.ask("POST", "/v1/refunds", payment_intent=reference)
                self.refunded_elsewhere = AMOUNT
            case _:
                pass

    def make_due(self) -> None:
        """Whatever the back-off."""
        if self.item.status is Status.PROCESSING:
            self.application.admin.retry_payment(self.item.id)

    def compare(self, objects: StripeObjects) -> None:
        intents = objects.find_intents(self.payment_id)
        refunds = objects.find_refunds(self.payment_id)
        net, held = sum(map(compute_net, intents)), sum(map(compute_held, intents))
        with_money = [one for one in intents if compute_net(one) or compute_held(one)]
        assert len(with_money) <= 1, f"charged twice: {self.combination}"
        assert len(refunds) <= 1, f"refunded twice: {self.combination}"
        match self.payment.status:
            case Status.FAILED | Status.CANCELED:
                assert (net, held) == (0, 0), f"ended while Stripe has money: {self.combination}"
            case Status.SUCCESS:
                given_back = sum(one["amount"] for one in refunds) + self.refunded_elsewhere
                assert (net + given_back, held) == (self.payment.amount_captured, 0), (
                    self.combination
                )
                references = {one["id"] for one in with_money}
                assert references <= {self.payment.network_reference}, self.combination
            case _:
                pass
        if self.refund_id and self.item.status.is_settled:
            is_made = [one["metadata"]["atomic_refund"] for one in refunds] == [str(self.refund_id)]
            assert is_made is (self.item.status is Status.SUCCESS), self.combination

    def describe_end(self, objects: StripeObjects) -> End:
        account = self.application.accounts.get(self.merchant_id, self.payment.account_id)
        net = sum(map(compute_net, objects.find_intents(self.payment_id)))
        return End(self.item.status, account.balance, net)
