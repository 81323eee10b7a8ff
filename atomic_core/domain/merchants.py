"""Merchants and their API keys."""

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
"""The characters of a key that lists show: enough to tell keys apart, too few to guess the rest."""

TOKEN_PREFIX: Final = "st_"  # noqa: S105  no password
"""The prefix of session tokens."""

# Shorter than a key, so that a truncated key matches too.
_SECRET_PATTERN: Final = re.compile(r"(?:sk_[a-z]{4}|st)_[0-9a-f]{40}")

MAX_KEY_NAME_LENGTH: Final = 100
"""Characters."""

MAX_LIVE_KEYS: Final = 100
"""Active keys of one merchant: enough for one per system and for rotation, few enough to review."""

MAX_OVERLAP: Final = timedelta(days=7)
"""How long a rotated key can stay active: time for a careful roll-out."""


class Scope(StrEnum):
    """A permission of an API key."""

    PAYMENTS_WRITE = "payments:write"
    PAYMENTS_READ = "payments:read"
    ACCOUNTS_WRITE = "accounts:write"
    ACCOUNTS_READ = "accounts:read"
    REFUNDS_WRITE = "refunds:write"
    EVENTS_READ = "events:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    LEDGER_READ = "ledger:read"
    LEDGER_WRITE = "ledger:write"
    DISPUTES_READ = "disputes:read"
    DISPUTES_WRITE = "disputes:write"
    """These seven are later than the other scopes: older keys do not have them."""


ALL_SCOPES: Final[frozenset[str]] = frozenset(Scope)


def sort_scopes(scopes: Collection[str]) -> list[str]:
    """The scopes in the order of `Scope`."""
    return [scope.value for scope in Scope if scope in scopes]


@dataclass(frozen=True, slots=True)
class Merchant:
    id: UUID
    name: str
    created_at: datetime
    suspended_at: datetime | None = None
    network: str | None = None
    """The card network of its payments; None: the deployment's."""
    """Since when an operator has suspended it: its API keys and sessions do not work."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored API key: its SHA-256, never the key itself."""

    id: UUID
    merchant_id: UUID
    name: str
    prefix: str
    """The first VISIBLE_KEY_LENGTH characters. Empty if only the hash is known
    (MERCHANT_API_KEY_HASH)."""
    hash: bytes
    scopes: frozenset[str]
    """Immutable."""
    created_at: datetime
    expires_at: datetime | None
    """Can only be moved to an earlier time."""
    last_used_at: datetime | None
    """Approximate: see `ports/api_key_usage.py`."""
    revoked_at: datetime | None
    active: bool
    """Whether it was neither revoked nor expired at the time of the read, by the database's
    clock."""

    @property
    def sorted_scopes(self) -> list[str]:
        return sort_scopes(self.scopes)

    @property
    def caller(self) -> "Caller":
        return Caller(self.id, self.merchant_id, self.scopes)


class Caller(NamedTuple):
    """The owner of an API key and its scopes. Both are immutable; whether the key is still
    active must be checked in the store."""

    key_id: UUID
    merchant_id: UUID
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """A new key with its raw form, which is not stored."""

    key: ApiKey
    raw: str


def check_key_name(name: str) -> None:
    """Raises ValidationFailed for a name that is empty, too long or not printable, or that
    contains a secret."""
    if not 1 <= len(name) <= MAX_KEY_NAME_LENGTH or not name.isprintable() or not name.strip():
        expected = f"Must be 1 to {MAX_KEY_NAME_LENGTH} printable characters."
        raise ValidationFailed(details={"name": [expected]})
    if contains_secret(name):
        raise ValidationFailed(details={"name": ["Must not contain an API key."]})


def contains_secret(text: str) -> bool:
    """Whether the text contains an API key or a session token. Callers' texts are stored and
    shown to others, so that a secret pasted by mistake must be refused."""
    return ("sk_" in text or "st_" in text) and _SECRET_PATTERN.search(text) is not None
