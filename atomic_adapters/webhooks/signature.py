"""Signatures of webhooks after Standard Webhooks (https://www.standardwebhooks.com).

The signed text is `{webhook-id}.{webhook-timestamp}.{body}`; the signature is its HMAC-SHA256, with
the bytes that the secret holds in base64.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - not a secret
SECRET_BYTES: Final = 32

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

VERSION: Final = "v1"
"""Of signatures with a shared secret."""


class MalformedSecret(ValueError):
    """A signing secret is not `whsec_` and base64. The message does not repeat it."""


def generate_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def decode_secret(secret: str) -> bytes:
    """The key of the HMAC. Raises MalformedSecret."""
    if not secret.startswith(SECRET_PREFIX):
        raise MalformedSecret(f"A signing secret starts with {SECRET_PREFIX}.")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedSecret(f"What follows {SECRET_PREFIX} is not base64.") from error
    if not key:
        raise MalformedSecret(f"Nothing follows {SECRET_PREFIX}.")
    return key


def compute_signature(secret: str, id: str, timestamp: int | str, body: bytes) -> bytes:
    """Raises MalformedSecret."""
    return compute_hmac(decode_secret(secret), id, timestamp, body)


def compute_hmac(key: bytes, id: str, timestamp: int | str, body: bytes) -> bytes:
    return hmac.digest(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)


def build_headers(id: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers, with one signature per secret. Raises MalformedSecret."""
    signatures = [compute_signature(secret, id, timestamp, body) for secret in secrets]
    return {
        ID_HEADER: id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(
            f"{VERSION},{base64.b64encode(signature).decode('ascii')}" for signature in signatures
        ),
    }
