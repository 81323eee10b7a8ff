"""Merchants and the API keys that speak for them."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.errors import ValidationFailed

KEY_PREFIX: Final = "sk_test_"
VISIBLE_KEY_LENGTH: Final = len(KEY_PREFIX) + 4
"""What a key may show of itself in lists: enough to tell keys apart, far too little to guess."""

TOKEN_PREFIX: Final = "st_"  # noqa: S105  no password
"""What a session token begins with. (A key holds this too: see the pattern.)"""

# Shorter than a key is: what was cut off at an end must not pass for something else.
_LIKE_A_SECRET: Final = re.compile(r"(?:sk_[a-z]{4}|st)_[0-9a-f]{40}")

MAX_KEY_NAME_LENGTH: Final = 100
"""Characters: a name is there to be read in a list."""

MAX_LIVE_KEYS: Final = 100
"""Active keys of one merchant: one for each of its systems, with room for rotation, and few enough
that somebody can look through the list."""

MAX_OVERLAP: Final = timedelta(days=7)
"""How long a key may still be used that was rotated: time for a careful roll-out."""


class Scope(StrEnum):
    """What an API key may be good for."""

    PAYMENTS_WRITE = "payments:write"
    PAYMENTS_READ = "payments:read"
    ACCOUNTS_WRITE = "accounts:write"
    ACCOUNTS_READ = "accounts:read"
    REFUNDS_WRITE = "refunds:write"


ALL_SCOPES: Final[frozenset[str]] = frozenset(Scope)


def sort_scopes(scopes: Collection[str]) -> list[str]:
    """Scopes as people read them: always the same way round."""
    return [scope.value for scope in Scope if scope in scopes]


@dataclass(frozen=True, slots=True)
class Merchant:
    id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored: its SHA-256, never itself."""

    id: UUID
    merchant_id: UUID
    name: str
    prefix: str
    """The first characters, kept so that a person can tell keys apart. Empty when the raw key
    was never seen (MERCHANT_API_KEY_HASH)."""
    hash: bytes
    scopes: frozenset[str]
    """What it may do. Never changes."""
    created_at: datetime
    expires_at: datetime | None
    """It ends by itself at this moment. May be brought forward, never put off."""
    last_used_at: datetime | None
    """About, and possibly long ago: see `ports.outside.KeyUses`."""
    revoked_at: datetime | None
    active: bool
    """Whether it was neither revoked nor expired when it was read, by the store's clock."""

    @property
    def sorted_scopes(self) -> list[str]:
        return sort_scopes(self.scopes)

    @property
    def caller(self) -> "Caller":
        return Caller(self.id, self.merchant_id, self.scopes)


class Caller(NamedTuple):
    """Whose API key was shown. A key stays its merchant's for ever, and may do what it was made
    for; whether it is still active, only the store can say."""

    key_id: UUID
    merchant_id: UUID
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """A key at the only moment its raw form exists."""

    key: ApiKey
    raw: str


def check_key_name(name: str) -> None:
    """Raises ValidationFailed for a name that could not be told in a list."""
    if not 1 <= len(name) <= MAX_KEY_NAME_LENGTH or not name.isprintable() or not name.strip():
        expected = f"Must be 1 to {MAX_KEY_NAME_LENGTH} printable characters."
        raise ValidationFailed(details={"name": [expected]})
    if contains_secret(name):
        raise ValidationFailed(details={"name": ["Must not hold an API key."]})


def contains_secret(text: str) -> bool:
    """Whether an API key or a session token stands in a text. What callers write is kept and shown
    to others; one that lands there by mistake must not stay."""
    return ("sk_" in text or "st_" in text) and _LIKE_A_SECRET.search(text) is not None
