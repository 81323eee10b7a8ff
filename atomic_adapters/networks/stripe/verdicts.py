"""Verdicts from the state of Stripe's objects. Every field is optional: what is missing or unheard
of is no verdict."""

from collections.abc import Sequence
from typing import Final

from atomic_adapters.networks.stripe.errors import UNKNOWN
from atomic_adapters.networks.stripe.failure_reasons import map_reason
from atomic_adapters.networks.stripe.fields import read_number, read_text
from atomic_core.domain.card_networks import (
    MAX_ACTION_URL,
    REDIRECT,
    NetworkResponse,
    NextAction,
    Verdict,
)
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim

ENDED_WITHOUT_MONEY: Final = ("canceled", "requires_payment_method")
"""Statuses of a PaymentIntent that holds nothing and has taken nothing."""

_PRECEDENCE: Final = (
    *(Verdict.APPROVED, Verdict.PENDING, Verdict.UNKNOWN, Verdict.REQUIRES_ACTION),
    Verdict.DECLINED,
)


def judge_first_step(claim: Claim, intent: object) -> NetworkResponse | None:
    """Of a charge or an authorization, from its PaymentIntent. None if nothing has come of it yet:
    it was created and not confirmed, or waits for an authentication that needs Stripe's own
    scripts."""
    reference = read_text(intent, "id")
    if reference is None:
        return UNKNOWN
    match read_text(intent, "status"):
        case "succeeded":
            # An authorization that was captured elsewhere was approved first.
            return NetworkResponse(Verdict.APPROVED, reference=reference)
        case "requires_capture" if claim.step == Step.AUTHORIZE:
            return NetworkResponse(Verdict.APPROVED, reference=reference)
        case "processing":
            return NetworkResponse(Verdict.PENDING)
        case "requires_action" if action := read_action(intent):
            return NetworkResponse(Verdict.REQUIRES_ACTION, reference=reference, next_action=action)
        case "canceled":
            # Without a charge, it was canceled while it waited for its customer.
            was_held = getattr(intent, "latest_charge", None) is not None
            reason = "hold_expired" if was_held else "authentication_required"
            return NetworkResponse(Verdict.DECLINED, reason, reference)
        case "requires_payment_method" if getattr(intent, "last_payment_error", None):
            error = getattr(intent, "last_payment_error", None)
            codes = read_text(error, "decline_code"), read_text(error, "code")
            return NetworkResponse(Verdict.DECLINED, map_reason(claim.step, *codes), reference)
        case "requires_payment_method" | "requires_confirmation" | "requires_action":
            return None
        case _:
            return UNKNOWN


def read_action(intent: object) -> NextAction | None:
    """What the customer of a PaymentIntent has to do. None if it is no redirection."""
    if read_text(intent, "next_action", "type") != REDIRECT:
        return None
    url = read_text(intent, "next_action", REDIRECT, "url")
    is_usable = (
        url is not None
        and url.startswith("https://")
        and url.isascii()
        and url.isprintable()
        and len(url) <= MAX_ACTION_URL
    )
    return NextAction(REDIRECT, url) if url and is_usable else None


def judge_first_steps(claim: Claim, intents: Sequence[object]) -> NetworkResponse | None:
    """Of all PaymentIntents of a payment: each new idempotency key may have created one. None if
    nothing has come of any."""
    judged = [judge_first_step(claim, intent) for intent in intents]
    responses = [response for response in judged if response]
    if not responses:
        return None
    if [response.verdict for response in responses].count(Verdict.APPROVED) > 1:
        # Charged twice: for an operator, not for us to choose.
        return UNKNOWN
    return min(responses, key=lambda response: _PRECEDENCE.index(response.verdict))


def judge_capture(claim: Claim, intent: object) -> NetworkResponse | None:
    """None if the amount is still held."""
    reference = read_text(intent, "id")
    match read_text(intent, "status"):
        case "succeeded":
            captured = read_number(intent, "amount_received")
            expected = claim.capture_amount
            return _confirm(reference) if captured in (None, expected) else UNKNOWN
        case "requires_capture":
            return None
        case "canceled":
            return NetworkResponse(Verdict.DECLINED, "hold_expired", reference)
        case _:
            return UNKNOWN


def judge_void(intent: object) -> NetworkResponse | None:
    """None if the amount is still held."""
    reference = read_text(intent, "id")
    match read_text(intent, "status"):
        case status if status in ENDED_WITHOUT_MONEY:
            return _confirm(reference)
        case "succeeded":
            return NetworkResponse(Verdict.DECLINED, "void_declined")
        case "requires_capture":
            return None
        case _:
            return UNKNOWN


def judge_reversal(intent: object) -> NetworkResponse | None:
    """None if money is held, or captured and not refunded."""
    reference = read_text(intent, "id")
    match read_text(intent, "status"):
        case status if status in ENDED_WITHOUT_MONEY:
            return _confirm(reference)
        case "succeeded":
            charge = getattr(intent, "latest_charge", None)
            return _confirm(reference) if getattr(charge, "refunded", None) is True else None
        case "requires_capture" | "requires_confirmation" | "requires_action":
            return None
        case _:
            return UNKNOWN


def judge_refund(claim: Claim, refund: object) -> NetworkResponse:
    reference = read_text(refund, "id")
    match read_text(refund, "status"):
        case "succeeded":
            return _confirm(reference)
        case "pending" | "requires_action":
            return NetworkResponse(Verdict.PENDING)
        case "failed" | "canceled":
            return NetworkResponse(Verdict.DECLINED, map_reason(claim.step), reference)
        case _:
            return UNKNOWN


def _confirm(reference: str | None) -> NetworkResponse:
    return NetworkResponse(Verdict.APPROVED, reference=reference) if reference else UNKNOWN
