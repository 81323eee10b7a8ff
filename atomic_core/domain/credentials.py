"""Emails and passwords, and the sessions that they open."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from atomic_core.domain.errors import ValidationFailed

MIN_PASSWORD_LENGTH: Final = 8
MAX_PASSWORD_LENGTH: Final = 128
"""Characters. NIST SP 800-63B asks for 8 and at least 64; what is far longer is no password, and
would only be more to hash."""

MAX_EMAIL_LENGTH: Final = 254
MAX_LOCAL_PART_LENGTH: Final = 64
"""Bytes that fit into SMTP's paths (RFC 5321, 4.5.3.1)."""

# RFC 5321's dot-string at a domain of at least two labels. ASCII only: of an address in Unicode
# nobody can say by its look whose it is. Domains beyond it have their spelling in ASCII (xn--).
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL_PATTERN: Final = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+"
_EMAIL: Final = re.compile(EMAIL_PATTERN)

_REGISTRATIONS: Final = UUID("a70a1c00-0000-4000-8000-000000000002")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a merchant logs in with."""

    merchant_id: UUID
    email: str
    password_hash: str = field(repr=False)
    account_id: UUID
    """The account that was opened with them."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login, until it is revoked or expires. Its token is kept nowhere."""

    id: UUID
    merchant_id: UUID
    created_at: datetime
    expires_at: datetime


def normalize_email(text: str) -> str:
    """The one spelling of an email address: in lower case, its local part too, since no provider of
    today tells them apart and people do not either. Raises ValidationFailed."""
    fits = len(text) <= MAX_EMAIL_LENGTH and text.find("@") <= MAX_LOCAL_PART_LENGTH
    if not fits or not _EMAIL.fullmatch(text):
        raise ValidationFailed(
            details={
                "email": [f"Must be an email address in ASCII of up to {MAX_EMAIL_LENGTH} bytes."]
            }
        )
    return text.lower()


def normalize_password(text: str) -> str:
    """The password in NFC, as RFC 8265 has it: keyboards differ in how they spell an é. Nothing
    else of it is touched. Raises ValidationFailed unless it has MIN_PASSWORD_LENGTH to MAX_PASSWORD_LENGTH
    characters then."""
    # Before normalising too: that takes time by length.
    normal = unicodedata.normalize("NFC", text) if len(text) <= 4 * MAX_PASSWORD_LENGTH else ""
    if not MIN_PASSWORD_LENGTH <= len(normal) <= MAX_PASSWORD_LENGTH:
        expected = f"Must be {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
        raise ValidationFailed(details={"password": [expected]})
    return normal


def derive_registration_scope_id(email: str) -> UUID:
    """Whose an Idempotency-Key is before there is a merchant: the address's that is registered."""
    return uuid5(_REGISTRATIONS, email)
