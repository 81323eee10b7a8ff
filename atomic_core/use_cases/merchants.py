"""Merchants, and authentication by API key."""

from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.errors import Unauthorized
from atomic_core.domain.merchants import ApiKey, Caller, Merchant
from atomic_core.ports.api_key_cache import ApiKeyCache
from atomic_core.ports.api_key_usage import ApiKeyUsage
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.key_hasher import KeyHasher
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class AddMerchant:
    """Add a merchant. With the id of an existing merchant, return that one unchanged."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, name: str, id: UUID | None = None) -> Merchant:
        with self.begin() as work:
            existing = work.merchants.get(id) if id else None
            if existing:
                return existing
            merchant = work.merchants.add(id or self.ids.new_id(), name)
            work.commit()
            return merchant


@dataclass(frozen=True, slots=True)
class AuthenticateApiKey:
    """Find an active API key. Raises Unauthorized, with the same message for unknown, revoked and
    expired keys.

    Every call costs one hash and one look-up, so that its duration reveals nothing.
    """

    begin: UnitOfWorkFactory
    key_hasher: KeyHasher

    def __call__(self, raw_key: str) -> ApiKey:
        hash = self.key_hasher.hash(raw_key)
        with self.begin() as work:
            key = work.merchants.find_active_key(hash)
        if key is None:
            raise Unauthorized
        return key


@dataclass(frozen=True, slots=True)
class IdentifyCaller:
    """Find the owner and scopes of an API key, from the cache if possible. Raises Unauthorized.

    A cached key may have been revoked or have expired: the caller must check that it is active, in
    the transaction that does the work or before it. An unknown key always costs one look-up.
    """

    authenticate: AuthenticateApiKey
    api_key_cache: ApiKeyCache
    api_key_usage: ApiKeyUsage

    def __call__(self, raw_key: str) -> Caller:
        hash = self.authenticate.key_hasher.hash(raw_key)
        caller = self.api_key_cache.get(hash)
        if caller is None:
            caller = self.authenticate(raw_key).caller
            self.api_key_cache.put(hash, caller)
        self.api_key_usage.record_use(caller.key_id)
        return caller


@dataclass(frozen=True, slots=True)
class RequireActiveApiKey:
    """Raise Unauthorized unless the caller's API key is active now."""

    begin: UnitOfWorkFactory

    def __call__(self, caller: Caller) -> None:
        with self.begin() as work:
            if not work.merchants.is_key_active(caller.key_id):
                raise Unauthorized
