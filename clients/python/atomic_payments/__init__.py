"""A typed client of the Atomic payment gateway."""

from atomic_payments.client import Atomic
from atomic_payments.errors import ApiError, AtomicError, TransportError
from atomic_payments.webhooks import InvalidSignature, verify_webhook

__all__ = [
    "ApiError",
    "Atomic",
    "AtomicError",
    "InvalidSignature",
    "TransportError",
    "verify_webhook",
]
