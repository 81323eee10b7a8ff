"""What an error of Stripe's client says about a request."""

from typing import Final

import stripe

from atomic_adapters.networks.stripe.failure_reasons import map_reason
from atomic_adapters.networks.stripe.fields import read_text
from atomic_adapters.networks.stripe.http_client import RequestNotSent
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.settlement import Claim

NOT_SENT: Final = NetworkResponse(Verdict.NOT_SENT)
UNKNOWN: Final = NetworkResponse(Verdict.UNKNOWN)

REFUSED_BEFORE_PROCESSING: Final = frozenset((401, 429))
"""HTTP statuses of a refusal that has nothing to do with the payment: the key, or too many requests
(also if other requests have locked the object)."""

ACCOUNT_CODES: Final = frozenset(
    (
        *("account_invalid", "api_key_expired", "livemode_mismatch", "lock_timeout", "rate_limit"),
        *("secret_key_required", "testmode_charges_only", "tls_version_unsupported"),
    )
)
"""Codes of a refusal for reasons of our account. Once they are gone, the payment can go on."""


class OutcomeUnknown(Exception):
    """A request was processed, and reading what came of it has failed."""


def classify_error(error: Exception, claim: Claim) -> NetworkResponse:
    """The response for a request that has raised. Whatever does not certainly say that Stripe has
    refused the request is UNKNOWN."""
    if isinstance(error, RequestNotSent):
        return NOT_SENT
    if not isinstance(error, stripe.StripeError) or isinstance(error, stripe.IdempotencyError):
        return UNKNOWN
    code = get_code(error)
    if (
        error.http_status in REFUSED_BEFORE_PROCESSING
        or isinstance(error, stripe.PermissionError)
        or (is_refusal(error) and code in ACCOUNT_CODES)
    ):
        return NOT_SENT
    return decline(claim, error) if is_refusal(error) else UNKNOWN


def is_refusal(error: Exception) -> bool:
    """Whether Stripe has refused the request, in its own words: a 400, 402 or 404 without them may
    come from anything in between."""
    return isinstance(error, stripe.CardError | stripe.InvalidRequestError)


def decline(claim: Claim, error: stripe.StripeError) -> NetworkResponse:
    details = error.error
    decline_code = getattr(details, "decline_code", None)
    parameter = getattr(details, "param", None)
    reason = map_reason(claim.step, decline_code, get_code(error), parameter)
    reference = None if claim.refund_id else read_text(details, "payment_intent", "id")
    return NetworkResponse(Verdict.DECLINED, reason, reference)


def get_code(error: stripe.StripeError) -> str | None:
    """The client sets `code` of some errors only."""
    return error.code or getattr(error.error, "code", None)


def describe_error(error: Exception) -> str:
    """For logs: without the message, which may quote what was sent."""
    parts: list[object] = [type(error).__name__]
    if isinstance(error, stripe.StripeError):
        parts += [part for part in (error.http_status, get_code(error)) if part]
    cause = error.__cause__
    return " ".join(map(str, [*parts, *([type(cause).__name__] if cause else [])]))
