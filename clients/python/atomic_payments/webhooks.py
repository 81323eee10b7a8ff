"""Verification of received webhooks, which are signed after Standard Webhooks."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Final, cast

from atomic_payments.errors import AtomicError
from atomic_payments.models import Event

TOLERANCE_SECONDS: Final = 300


class InvalidSignature(AtomicError):
    """The request is no webhook of this endpoint, or too old. Answer 400 and do not use it."""


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> Event:
    """The event of a webhook. `body` is the request's body byte for byte, `secret` the `whsec_…` of
    the endpoint, `tolerance` the seconds that the clocks may differ. Raises InvalidSignature."""
    values = {name.lower(): value for name, value in headers.items()}
    id, timestamp = values.get("webhook-id", ""), values.get("webhook-timestamp", "")
    # isdecimal() alone would allow digits of other scripts.
    if not (timestamp.isascii() and timestamp.isdecimal()):
        raise InvalidSignature("The header webhook-timestamp is missing or no number.")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance:
        raise InvalidSignature("The webhook is too old, or a clock is wrong.")
    signed = f"{id}.{timestamp}.".encode() + body
    expected = hmac.digest(_decode_secret(secret), signed, hashlib.sha256)
    signatures = values.get("webhook-signature", "").split()
    # Several while a secret is rotated.
    if not any(hmac.compare_digest(expected, _decode_signature(each)) for each in signatures):
        raise InvalidSignature("No signature is of this body and secret.")
    try:
        return cast(Event, json.loads(body))
    except ValueError as error:
        raise InvalidSignature("The body is not JSON.") from error


def _decode_secret(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("A signing secret is whsec_ and base64.") from error


def _decode_signature(signature: str) -> bytes:
    """The bytes of a `v1,…`; empty for other versions."""
    version, _, encoded = signature.partition(",")
    if version != "v1":
        return b""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
