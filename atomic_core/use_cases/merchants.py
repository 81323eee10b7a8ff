"""Merchants, and who may speak for them."""

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
    """Add a merchant; with an id given, return the one that has it if it exists."""

    begin: UnitOfWorkFactory
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
class AuthenticateApiKey:
    """Find whose key this is. Raises Unauthorized for unknown, revoked and expired keys alike.

    Every raw key costs one hash and one look-up by it, so the time taken tells nothing.
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
    """Find whose key this is, from memory if it was met before. Raises Unauthorized.

    Memory does not know of a revocation or of the time: whoever acts for the caller must confirm
    them, in the transaction that does the work or before it. An unknown key always costs one
    look-up.
    """

    authenticate: AuthenticateApiKey
    known: ApiKeyCache
    uses: ApiKeyUsage

    def __call__(self, raw_key: str) -> Caller:
        hash = self.authenticate.key_hasher.hash(raw_key)
        caller = self.known.get(hash)
        if caller is None:
            caller = self.authenticate(raw_key).caller
            self.known.put(hash, caller)
        self.uses.record_use(caller.key_id)
        return caller


@dataclass(frozen=True, slots=True)
class RequireActiveApiKey:
    """Make sure that a caller's key is active now. Raises Unauthorized."""

    begin: UnitOfWorkFactory

    def __call__(self, caller: Caller) -> None:
        with self.begin() as work:
            if not work.merchants.is_key_active(caller.key_id):
                raise Unauthorized
