"""Merchants, and who may speak for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.errors import Conflict, NotFound, Unauthorized, ValidationFailed
from atomic_core.domain.merchants import (
    KEY_PREFIX,
    MAX_KEY_NAME,
    SHOWN_CHARACTERS,
    ApiKey,
    Caller,
    IssuedKey,
    Merchant,
    holds_a_key,
)
from atomic_core.ports.outside import IdGenerator, KeyHasher, KnownKeys
from atomic_core.ports.unit_of_work import Begin


@dataclass(frozen=True, slots=True)
class AddMerchant:
    """Add a merchant; with an id given, return the one that has it if it exists."""

    begin: Begin
    ids: IdGenerator

    def __call__(self, name: str, id: UUID | None = None) -> Merchant:
        with self.begin() as work:
            known = work.merchants.get(id) if id else None
            if known:
                return known
            merchant = work.merchants.add(id or self.ids.new_id(), name)
            work.commit()
            return merchant


@dataclass(frozen=True, slots=True)
class IssueKey:
    """Make an API key. Its raw form is in the answer and nowhere else.

    Raises NotFound, and ValidationFailed for a name that could not be told in a list.
    """

    begin: Begin
    ids: IdGenerator
    hasher: KeyHasher

    def __call__(self, merchant_id: UUID, name: str) -> IssuedKey:
        if not 1 <= len(name) <= MAX_KEY_NAME or not name.isprintable() or not name.strip():
            expected = f"Must be 1 to {MAX_KEY_NAME} printable characters."
            raise ValidationFailed(details={"name": [expected]})
        if holds_a_key(name):
            raise ValidationFailed(details={"name": ["Must not hold an API key."]})
        raw = KEY_PREFIX + self.ids.new_secret()
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            key = work.merchants.add_key(
                self.ids.new_id(),
                merchant_id,
                name,
                raw[:SHOWN_CHARACTERS],
                self.hasher.hash(raw),
            )
            if key is None:
                raise Conflict("This key exists already.")
            work.commit()
        return IssuedKey(key, raw)


@dataclass(frozen=True, slots=True)
class AdoptKey:
    """Make a key of which only the SHA-256 is known valid for a merchant. Safe to repeat.

    Returns the new key, or None if this hash was adopted before: a revoked key stays revoked.
    """

    begin: Begin
    ids: IdGenerator

    def __call__(self, merchant_id: UUID, name: str, hash: bytes) -> ApiKey | None:
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            key = work.merchants.add_key(self.ids.new_id(), merchant_id, name, "", hash)
            work.commit()
        return key


@dataclass(frozen=True, slots=True)
class ListKeys:
    """All keys of a merchant, oldest first. Raises NotFound."""

    begin: Begin

    def __call__(self, merchant_id: UUID) -> Sequence[ApiKey]:
        with self.begin() as work:
            if work.merchants.get(merchant_id) is None:
                raise NotFound("There is no such merchant.")
            return work.merchants.keys(merchant_id)


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """Revoke a key: from the commit on, no request with it passes. Raises NotFound."""

    begin: Begin

    def __call__(self, key_id: UUID) -> ApiKey:
        with self.begin() as work:
            key = work.merchants.revoke_key(key_id)
            if key is None:
                raise NotFound("There is no such key.")
            work.commit()
            return key


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find whose key this is. Raises Unauthorized for unknown and revoked keys alike.

    Every raw key costs one hash and one look-up by it, so the time taken tells nothing.
    """

    begin: Begin
    hasher: KeyHasher

    def __call__(self, raw_key: str) -> ApiKey:
        hash = self.hasher.hash(raw_key)
        with self.begin() as work:
            key = work.merchants.active_key(hash)
        if key is None:
            raise Unauthorized
        return key


@dataclass(frozen=True, slots=True)
class Recognize:
    """Find whose key this is, from memory if it was met before. Raises Unauthorized.

    Memory does not know of a revocation: whoever acts for the caller must confirm them, in the
    transaction that does the work or before it. An unknown key always costs one look-up.
    """

    authenticate: Authenticate
    known: KnownKeys

    def __call__(self, raw_key: str) -> Caller:
        hash = self.authenticate.hasher.hash(raw_key)
        caller = self.known.get(hash)
        if caller is None:
            caller = self.authenticate(raw_key).caller
            self.known.remember(hash, caller)
        return caller


@dataclass(frozen=True, slots=True)
class Confirm:
    """Make sure that a caller's key is active now. Raises Unauthorized."""

    begin: Begin

    def __call__(self, caller: Caller) -> None:
        with self.begin() as work:
            if not work.merchants.is_active(caller.key_id):
                raise Unauthorized
