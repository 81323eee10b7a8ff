"""What each step of a payment does at Stripe, for one claim: a request, and a look at the state of
the objects where the answer to the request alone does not decide."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import stripe

from atomic_adapters.networks.stripe.amounts import is_currency_supported, to_stripe_amount
from atomic_adapters.networks.stripe.errors import (
    UNKNOWN,
    OutcomeUnknown,
    classify_error,
)
from atomic_adapters.networks.stripe.fields import read_text
from atomic_adapters.networks.stripe.requests import StripeRequests
from atomic_adapters.networks.stripe.verdicts import (
    judge_capture,
    judge_first_step,
    judge_first_steps,
    judge_refund,
    judge_reversal,
    judge_void,
    read_action,
)
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim, get_settled_amount

SEARCH_DELAY: Final = timedelta(hours=2)
"""How long after its last request a payment that Stripe's search does not find does not exist. The
search can be an hour behind."""

REQUEST_DURATION: Final = timedelta(minutes=3)
"""How long after it was sent a request may still be under way at Stripe, whose own client waits for
80 seconds."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StripeSteps:
    """Each method raises what `classify_error` understands."""

    requests: StripeRequests
    search_delay: timedelta = SEARCH_DELAY
    request_duration: timedelta = REQUEST_DURATION

    def authorize(self, claim: Claim) -> NetworkResponse:
        """Charge, or authorize only."""
        amount = to_stripe_amount(claim.amount, claim.currency)
        if amount is None:
            return _refuse_amount(claim)
        intent: Any = self.requests.create_intent(claim, amount)
        match read_text(intent, "status"):
            case "processing" | "requires_action":
                # A repeated request returns its first answer, not the present state.
                intent = self._look_up(intent.id)
            case _:
                pass
        if read_text(intent, "status") == "requires_action" and read_action(intent) is None:
            intent = self._give_up_authentication(claim, intent.id)
        return judge_first_step(claim, intent) or UNKNOWN

    def capture(self, claim: Claim) -> NetworkResponse:
        amount = to_stripe_amount(get_settled_amount(claim), claim.currency)
        if amount is None:
            return _refuse_amount(claim)
        reference = self._find_reference(claim)
        try:
            intent = self.requests.capture_intent(claim, reference, amount)
        except (stripe.CardError, stripe.InvalidRequestError) as refusal:
            # Captured or canceled already: under a key that Stripe has forgotten, or elsewhere.
            judged = judge_capture(claim, self._look_up(reference))
            return judged or classify_error(refusal, claim)
        return judge_capture(claim, intent) or UNKNOWN

    def void(self, claim: Claim) -> NetworkResponse:
        intent = self._cancel(claim, self._find_reference(claim))
        return judge_void(intent) or UNKNOWN

    def reverse(self, claim: Claim) -> NetworkResponse:
        reference = self._find_reference(claim)
        intent = self._read(lambda: self.requests.retrieve_intent(reference))
        if judged := judge_reversal(intent):
            return judged
        if read_text(intent, "status") == "succeeded":
            try:
                self.requests.refund_all(claim, reference)
            except (stripe.CardError, stripe.InvalidRequestError) as refusal:
                return judge_reversal(self._look_up(reference)) or classify_error(refusal, claim)
            intent = self._look_up(reference)
        else:
            intent = self._cancel(claim, reference)
        return judge_reversal(intent) or UNKNOWN

    def refund(self, claim: Claim) -> NetworkResponse:
        amount = to_stripe_amount(claim.amount, claim.currency)
        if amount is None:
            return _refuse_amount(claim)
        reference = self._find_reference(claim)
        try:
            refund = self.requests.create_refund(claim, reference, amount)
        except (stripe.CardError, stripe.InvalidRequestError) as refusal:
            # Refunded already: under a key that Stripe has forgotten, or elsewhere.
            found = self._read(lambda: self.requests.find_refund(claim, reference))
            return judge_refund(claim, found) if found else classify_error(refusal, claim)
        judged = judge_refund(claim, refund)
        if judged.verdict is Verdict.PENDING:
            # A repeated request returns its first answer, not the present state.
            refund = self._read(lambda: self.requests.retrieve_refund(refund.id))
            return judge_refund(claim, refund)
        return judged

    def inquire(self, claim: Claim) -> NetworkResponse:
        return self._read(lambda: self._inquire(claim)) or self._judge_missing(claim)

    def _inquire(self, claim: Claim) -> NetworkResponse | None:
        """None if Stripe has no record of the step."""
        if claim.step == Step.REFUND:
            found = self.requests.find_refund(claim, self._find_reference(claim))
            return judge_refund(claim, found) if found else None
        intents = self.requests.find_intents(claim)
        if claim.step in (Step.CHARGE, Step.AUTHORIZE):
            return judge_first_steps(claim, intents)
        if len(intents) != 1:
            return UNKNOWN
        [intent] = intents
        if claim.step == Step.CAPTURE:
            return judge_capture(claim, intent)
        if claim.step in (Step.REVERSE, Step.ABANDON):
            return judge_reversal(intent)
        return judge_void(intent)

    def _judge_missing(self, claim: Claim) -> NetworkResponse:
        """NOT_FOUND once no request can turn up any more that a new key would double."""
        if claim.step == Step.REFUND:
            delay = self.request_duration
        elif claim.step in (Step.CHARGE, Step.AUTHORIZE):
            delay = self.search_delay
        else:
            # A PaymentIntent is captured or canceled once, and refunded by what it has.
            return NetworkResponse(Verdict.NOT_FOUND)
        is_certain = claim.sent_for is not None and claim.sent_for >= delay
        return NetworkResponse(Verdict.NOT_FOUND) if is_certain else UNKNOWN

    def _find_reference(self, claim: Claim) -> str:
        """The id of the payment's PaymentIntent. If an operator has resolved the payment's first
        step, it is not known."""
        if claim.network_reference:
            return claim.network_reference
        intents = self._read(lambda: self.requests.find_intents(claim))
        if len(intents) != 1:
            raise OutcomeUnknown(f"{len(intents)} PaymentIntents")
        return intents[0].id

    def _cancel(self, claim: Claim, reference: str) -> object:
        """The PaymentIntent after canceling it, or as it is if Stripe refuses."""
        try:
            return self.requests.cancel_intent(claim, reference)
        except (stripe.CardError, stripe.InvalidRequestError):
            return self._look_up(reference)

    def _give_up_authentication(self, claim: Claim, reference: str) -> object:
        """Cancel a PaymentIntent that waits for its customer in a way that needs Stripe's own
        scripts, so that nothing can be charged after the payment has failed."""
        try:
            return self._cancel(claim, reference)
        except stripe.StripeError as error:
            raise OutcomeUnknown("the PaymentIntent may still wait for its customer") from error

    def _look_up(self, reference: str) -> object:
        return self._read(lambda: self.requests.retrieve_intent(reference))

    def _read(self, read: Callable[[], T]) -> T:
        """A read says nothing about the step when it fails, whatever its error would say of a
        request."""
        try:
            return read()
        except stripe.StripeError as error:
            raise OutcomeUnknown("the state could not be read") from error


def _refuse_amount(claim: Claim) -> NetworkResponse:
    is_supported = is_currency_supported(claim.currency)
    reason = "amount_not_supported" if is_supported else "currency_not_supported"
    return NetworkResponse(Verdict.DECLINED, reason)
