"""Events that Stripe sends to `POST /api/v1/networks/stripe/events`."""

import json
import re
from typing import Any, Final
from uuid import UUID

import stripe

from atomic_adapters.networks.stripe.requests import PAYMENT, REFUND
from atomic_core.domain.errors import EventSignatureInvalid, ValidationFailed
from atomic_core.domain.network_events import NetworkEvent

NETWORK: Final = "stripe"

TOLERANCE_SECONDS: Final = 300
"""Since the time in the signature, which Stripe renews with each repetition of an event."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_PAYMENT_TYPE: Final = re.compile(r"payment_intent\.[a-z_.]{1,80}")
_REFUND_TYPE: Final = re.compile(r"refund\.[a-z_.]{1,80}")
_DISPUTE_TYPE: Final = re.compile(r"charge\.dispute\.[a-z_.]{1,80}")

_NO_EVENT: Final = "The body must be an event of Stripe."


class StripeEventVerifier:
    def __init__(self, secret: str, tolerance_seconds: int = TOLERANCE_SECONDS) -> None:
        self._secret = secret
        self._tolerance_seconds = tolerance_seconds

    def verify(self, body: bytes, signature: str) -> NetworkEvent | None:
        self._check_signature(body, signature)
        try:
            content = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ValidationFailed(_NO_EVENT) from error
        id, type = _get(content, "id"), _get(content, "type")
        if not isinstance(id, str) or not _ID.fullmatch(id) or not isinstance(type, str):
            raise ValidationFailed(_NO_EVENT)
        if _DISPUTE_TYPE.fullmatch(type):
            reference = _get(content, "data", "object", "id")
            if not isinstance(reference, str) or not _ID.fullmatch(reference):
                raise ValidationFailed(_NO_EVENT)
            # Its metadata is not that of the payment: a look-up finds that.
            return NetworkEvent(NETWORK, id, type, None, dispute_reference=reference)
        is_refund = bool(_REFUND_TYPE.fullmatch(type))
        if not is_refund and not _PAYMENT_TYPE.fullmatch(type):
            return None
        metadata = _get(content, "data", "object", "metadata")
        payment_id, refund_id = _parse_id(metadata, PAYMENT), _parse_id(metadata, REFUND)
        if payment_id is None or (is_refund and refund_id is None):
            # Of another program that uses the account.
            return None
        return NetworkEvent(NETWORK, id, type, payment_id, refund_id if is_refund else None)

    def _check_signature(self, body: bytes, signature: str) -> None:
        try:
            stripe.WebhookSignature.verify_header(
                body, signature, self._secret, self._tolerance_seconds
            )
        except (stripe.SignatureVerificationError, ValueError, TypeError) as error:
            # Also a body that is not UTF-8, and a signature that is not ASCII.
            raise EventSignatureInvalid from error


def _get(content: Any, *names: str) -> Any:
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _parse_id(metadata: Any, name: str) -> UUID | None:
    text = _get(metadata, name)
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None
