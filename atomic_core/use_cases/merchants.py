"""Merchants, their suspension, and authentication by API key."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import NotFound, Unauthorized, ValidationFailed
from atomic_core.domain.merchants import ApiKey, Caller, Merchant
from atomic_core.domain.origins import Origin
from atomic_core.ports.api_key_cache import ApiKeyCache
from atomic_core.ports.api_key_usage import ApiKeyUsage
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.key_hasher import KeyHasher
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory


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
class SuspendMerchant:
    """Suspend a merchant: with the commit its API keys stop working and its sessions end. Payments
    that are accepted already are settled. Idempotent: the time of the first suspension stays.
    Raises NotFound."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, merchant_id: UUID, origin: Origin, reason: str | None = None) -> Merchant:
        with self.begin() as work:
            # Locked, so that no session is opened meanwhile.
            work.merchants.lock(merchant_id)
            if work.merchants.suspend(merchant_id):
                details = {"reason": reason} if reason else {}
                event = AuditEventType.MERCHANT_SUSPENDED
                work.audit_log.add(
                    AuditEvent(self.ids.new_id(), event, origin, merchant_id, details)
                )
                # Ended and not paused: a token that was stolen must not work after the suspension.
                for session_id in work.sessions.revoke_sessions(merchant_id):
                    work.audit_log.add(
                        build_session_event(
                            self.ids, origin, merchant_id, session_id, "merchant_suspended"
                        )
                    )
                work.commit()
            return _get_merchant(work, merchant_id)


@dataclass(frozen=True, slots=True)
class ResumeMerchant:
    """End the suspension of a merchant: its API keys work again, its users must log in. Idempotent.
    Raises NotFound."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, merchant_id: UUID, origin: Origin, reason: str | None = None) -> Merchant:
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            if work.merchants.resume(merchant_id):
                details = {"reason": reason} if reason else {}
                event = AuditEventType.MERCHANT_RESUMED
                work.audit_log.add(
                    AuditEvent(self.ids.new_id(), event, origin, merchant_id, details)
                )
                work.commit()
            return _get_merchant(work, merchant_id)


def _get_merchant(work: UnitOfWork, merchant_id: UUID) -> Merchant:
    merchant = work.merchants.get(merchant_id)
    if merchant is None:
        raise NotFound("No merchant has this id.")
    return merchant


def build_session_event(
    ids: IdGenerator, origin: Origin, merchant_id: UUID, session_id: UUID, reason: str
) -> AuditEvent:
    """The end of a session for this reason: `requested`, `session_limit`, `password_changed` or
    `merchant_suspended`."""
    details = {"sessionId": str(session_id), "reason": reason}
    return AuditEvent(ids.new_id(), AuditEventType.SESSION_REVOKED, origin, merchant_id, details)


@dataclass(frozen=True, slots=True)
class SetMerchantNetwork:
    """Set the card network of a merchant's payments; None: the deployment's. Payments that are
    accepted already keep theirs, and so do their refunds. Audited. Raises NotFound, and
    ValidationFailed for a network that the deployment has no settings of."""

    begin: UnitOfWorkFactory
    ids: IdGenerator
    networks: Sequence[str]

    def __call__(self, merchant_id: UUID, network: str | None, origin: Origin) -> Merchant:
        if network is not None and network not in self.networks:
            names = ", ".join(sorted(self.networks))
            raise ValidationFailed(details={"network": [f"Must be one of: {names}."]})
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            if work.merchants.set_network(merchant_id, network):
                event = AuditEventType.MERCHANT_NETWORK_SET
                details = {"network": network} if network else {}
                work.audit_log.add(
                    AuditEvent(self.ids.new_id(), event, origin, merchant_id, details)
                )
                work.commit()
            return _get_merchant(work, merchant_id)


@dataclass(frozen=True, slots=True)
class AuthenticateApiKey:
    """Find an active API key. Raises Unauthorized, with the same message for unknown, revoked and
    expired keys and for keys of a suspended merchant.

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
    """Raise Unauthorized unless the caller's API key is active now and its merchant is not
    suspended."""

    begin: UnitOfWorkFactory

    def __call__(self, caller: Caller) -> None:
        with self.begin() as work:
            if not work.merchants.is_key_active(caller.key_id):
                raise Unauthorized
