"""Emails, passwords and sessions."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from atomic_core.domain.errors import ValidationFailed

MIN_PASSWORD_LENGTH: Final = 8
MAX_PASSWORD_LENGTH: Final = 128
"""Characters. NIST SP 800-63B requires a minimum of 8 and a maximum of at least 64. The maximum
bounds the cost of hashing."""

MAX_LIVE_SESSIONS: Final = 20
"""Of one merchant: enough for the devices of a shop, few enough to review at a glance. A login
above it ends the oldest session; refusing it would lock out an owner who has lost the tokens."""

MAX_EMAIL_LENGTH: Final = 254
MAX_LOCAL_PART_LENGTH: Final = 64
"""Bytes (RFC 5321, 4.5.3.1)."""

# A dot-string of RFC 5321 at a domain of at least two labels. ASCII only, because Unicode addresses
# can look alike. Internationalized domains have an ASCII form (xn--).
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL_PATTERN: Final = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+"
_EMAIL: Final = re.compile(EMAIL_PATTERN)

_REGISTRATION_NAMESPACE: Final = UUID("a70a1c00-0000-4000-8000-000000000002")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A merchant's email and password hash."""

    merchant_id: UUID
    email: str
    password_hash: str = field(repr=False)
    account_id: UUID
    """The account that the registration opened."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login. It ends when it is revoked or expires. Only the hash of its token is stored."""

    id: UUID
    merchant_id: UUID
    created_at: datetime
    expires_at: datetime
    address: str | None = None
    """The client's IP address at the login; None if it has none."""


def normalize_email(text: str) -> str:
    """The email in lower case, the local part too: providers ignore its case. Raises
    ValidationFailed."""
    is_short = len(text) <= MAX_EMAIL_LENGTH and text.find("@") <= MAX_LOCAL_PART_LENGTH
    if not is_short or not _EMAIL.fullmatch(text):
        raise ValidationFailed(
            details={
                "email": [f"Must be an email address in ASCII of up to {MAX_EMAIL_LENGTH} bytes."]
            }
        )
    return text.lower()


def normalize_password(text: str) -> str:
    """The password in NFC, because keyboards encode é differently (RFC 8265). Raises
    ValidationFailed unless it then has MIN_PASSWORD_LENGTH to MAX_PASSWORD_LENGTH characters."""
    # Long inputs are refused before they are normalized, which takes time proportional to length.
    normalized = unicodedata.normalize("NFC", text) if len(text) <= 4 * MAX_PASSWORD_LENGTH else ""
    if not MIN_PASSWORD_LENGTH <= len(normalized) <= MAX_PASSWORD_LENGTH:
        expected = f"Must be {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
        raise ValidationFailed(details={"password": [expected]})
    return normalized


def derive_registration_scope_id(email: str) -> UUID:
    """The owner of a registration's Idempotency-Key, because its merchant does not exist yet."""
    return uuid5(_REGISTRATION_NAMESPACE, email)
