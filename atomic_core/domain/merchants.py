"""Merchants and the API keys that speak for them."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

KEY_PREFIX: Final = "sk_test_"
SHOWN_CHARACTERS: Final = len(KEY_PREFIX) + 4
"""What a key may show of itself in lists: enough to tell keys apart, far too little to guess."""

# Shorter than a key is: what was cut off at an end must not pass for something else.
_LIKE_A_KEY: Final = re.compile(r"sk_[a-z]{4}_[0-9a-f]{40}")

MAX_KEY_NAME: Final = 100
"""Characters: a name is there to be read in a list."""


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
    created_at: datetime
    revoked_at: datetime | None

    @property
    def active(self) -> bool:
        return self.revoked_at is None

    @property
    def caller(self) -> "Caller":
        return Caller(self.id, self.merchant_id)


class Caller(NamedTuple):
    """Whose API key was shown. A key stays its merchant's for ever; whether it is still active,
    only the store can say."""

    key_id: UUID
    merchant_id: UUID


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key at the only moment its raw form exists."""

    key: ApiKey
    raw: str


def holds_a_key(text: str) -> bool:
    """Whether an API key stands in a text. What callers write is kept and shown to others; a key
    that lands there by mistake must not stay."""
    return "sk_" in text and _LIKE_A_KEY.search(text) is not None
