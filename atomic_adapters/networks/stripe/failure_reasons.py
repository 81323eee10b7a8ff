"""Stripe's codes, mapped to failure reasons of payments and refunds. The same table is in
docs/stripe.md."""

from collections.abc import Mapping
from typing import Final

from atomic_core.domain.payments import Step

REASONS: Final[Mapping[str, str]] = {
    "authentication_not_handled": "authentication_required",
    "authentication_required": "authentication_required",
    "payment_intent_authentication_failure": "authentication_required",
    "insufficient_funds": "insufficient_funds",
    "expired_card": "expired_card",
    "invalid_expiry_month": "expired_card",
    "invalid_expiry_year": "expired_card",
    "incorrect_cvc": "incorrect_cvc",
    "invalid_cvc": "incorrect_cvc",
    "incorrect_number": "incorrect_number",
    "invalid_number": "incorrect_number",
    "card_not_supported": "card_not_supported",
    "currency_not_supported": "currency_not_supported",
    "duplicate_transaction": "duplicate_transaction",
    "issuer_not_available": "processing_error",
    "processing_error": "processing_error",
    "reenter_transaction": "processing_error",
    "try_again_later": "processing_error",
    "amount_too_large": "amount_not_supported",
    "amount_too_small": "amount_not_supported",
    "invalid_amount": "amount_not_supported",
    "payment_method_not_available": "invalid_source",
    "resource_missing": "invalid_source",
    "token_already_used": "invalid_source",
    "token_in_use": "invalid_source",
    "capture_charge_authorization_expired": "hold_expired",
    "charge_expired_for_capture": "hold_expired",
    "charge_already_refunded": "already_refunded",
    "charge_disputed": "disputed",
}
"""By decline code, else by error code. Codes that tell a thief something (lost_card, fraudulent, …)
are not here: like all others they become the reason of their step."""

REASONS_BY_PARAMETER: Final[Mapping[str, str]] = {
    "amount": "amount_not_supported",
    "currency": "currency_not_supported",
    "payment_method": "invalid_source",
    "payment_method_data[card][token]": "invalid_source",
}
"""Of a request that Stripe refuses as invalid, by the parameter that its error names."""

REASONS_BY_STEP: Final[Mapping[Step | str, str]] = {
    Step.CAPTURE: "capture_declined",
    Step.REFUND: "refund_declined",
}
"""For all other codes. Of a charge or an authorization: `card_declined`."""


def map_reason(
    step: Step | str,
    decline_code: str | None = None,
    code: str | None = None,
    parameter: str | None = None,
) -> str:
    """The failure reason for what Stripe says about a step."""
    for name in (decline_code, code):
        if name in REASONS:
            return REASONS[name]
    if decline_code is None and parameter in REASONS_BY_PARAMETER:
        return REASONS_BY_PARAMETER[parameter]
    return REASONS_BY_STEP.get(step, "card_declined")
