"""API keys: made, shown, replaced, ended. Each of it is told in the audit log, in one commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from atomic_core.domain.audit_log import OPERATOR, AuditEvent, AuditEventType, Origin
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.merchants import (
    ALL_SCOPES,
    KEY_PREFIX,
    MAX_LIVE_KEYS,
    VISIBLE_KEY_LENGTH,
    ApiKey,
    IssuedApiKey,
    check_key_name,
    sort_scopes,
)
from atomic_core.domain.timestamps import format_rfc3339
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.key_hasher import KeyHasher
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key as it is asked for."""

    merchant_id: UUID
    name: str
    scopes: frozenset[str] = ALL_SCOPES
    expires_at: datetime | None = None
    origin: Origin = OPERATOR


@dataclass(frozen=True, slots=True)
class CreateApiKey(Command[NewApiKey, IssuedApiKey]):
    """Make an API key. Its raw form is in the answer and nowhere else.

    Raises NotFound; ValidationFailed for a name that could not be told in a list, for scopes that
    do not exist or are none, and for an end that is past; Conflict if there are MAX_LIVE_KEYS.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    key_hasher: KeyHasher

    def execute(self, work: UnitOfWork, order: NewApiKey) -> IssuedApiKey:
        issued = self.add(work, order)
        details = described(issued.key)
        deed = AuditEvent(
            self.ids.new_id(), AuditEventType.KEY_CREATED, order.origin, order.merchant_id, details
        )
        work.audit_log.add(deed)
        return issued

    def add(self, work: UnitOfWork, order: NewApiKey) -> IssuedApiKey:
        """The key itself, of which the log must be told by whoever asks for it."""
        check_key_name(order.name)
        if not order.scopes or not order.scopes <= ALL_SCOPES:
            known = ", ".join(sort_scopes(ALL_SCOPES))
            raise ValidationFailed(details={"scopes": [f"Must be some of {known}."]})
        if order.expires_at is not None and order.expires_at <= work.now():
            raise ValidationFailed(details={"expiresAt": ["Must be in the future."]})
        # Held, so that two at once do not both find room for one more.
        work.merchants.lock(order.merchant_id)
        if work.merchants.count_active_keys(order.merchant_id) >= MAX_LIVE_KEYS:
            raise Conflict(f"There are {MAX_LIVE_KEYS} active keys already: revoke one first.")
        raw = KEY_PREFIX + self.ids.new_secret()
        key = work.merchants.add_key(
            self.ids.new_id(),
            order.merchant_id,
            order.name,
            raw[:VISIBLE_KEY_LENGTH],
            self.key_hasher.hash(raw),
            order.scopes,
            order.expires_at,
        )
        if key is None:
            raise Conflict("This key exists already.")
        return IssuedApiKey(key, raw)


@dataclass(frozen=True, slots=True)
class IssueApiKey:
    """CreateApiKey for operators: good for everything, unless it is said for what."""

    create: CreateApiKey

    def __call__(
        self, merchant_id: UUID, name: str, scopes: frozenset[str] = ALL_SCOPES
    ) -> IssuedApiKey:
        return self.create(NewApiKey(merchant_id, name, scopes))


@dataclass(frozen=True, slots=True)
class ApiKeyRotation:
    """A key to be replaced. The old one can be used for `overlap` more."""

    merchant_id: UUID
    key_id: UUID
    overlap: timedelta
    origin: Origin


@dataclass(frozen=True, slots=True)
class RotateApiKey(Command[ApiKeyRotation, IssuedApiKey]):
    """Make a key that may do what the old one may, for as long, and let the old one end.

    Raises NotFound, for another merchant's too; Conflict if the old one is no longer active, or
    if there are MAX_LIVE_KEYS beside those that have ended.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    create: CreateApiKey

    def execute(self, work: UnitOfWork, order: ApiKeyRotation) -> IssuedApiKey:
        work.merchants.lock(order.merchant_id)
        old = work.merchants.get_key(order.key_id, order.merchant_id)
        if old is None:
            raise NotFound("There is no such key.")
        if not old.active:
            raise Conflict("This key is no longer active.")
        work.merchants.expire_key(old.id, order.overlap)
        new = NewApiKey(old.merchant_id, old.name, old.scopes, old.expires_at, order.origin)
        issued = self.create.add(work, new)
        details = {
            **described(issued.key),
            "oldKeyId": str(old.id),
            "overlapSeconds": str(order.overlap // timedelta(seconds=1)),
        }
        deed = AuditEvent(
            self.ids.new_id(), AuditEventType.KEY_ROTATED, order.origin, order.merchant_id, details
        )
        work.audit_log.add(deed)
        return issued


@dataclass(frozen=True, slots=True)
class AdoptApiKey:
    """Make a key of which only the SHA-256 is known valid for a merchant. Safe to repeat.

    Returns the new key, or None if this hash was adopted before: a revoked key stays revoked.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, merchant_id: UUID, name: str, hash: bytes) -> ApiKey | None:
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            key = work.merchants.add_key(self.ids.new_id(), merchant_id, name, "", hash)
            if key is not None:
                id, details = self.ids.new_id(), described(key)
                work.audit_log.add(
                    AuditEvent(id, AuditEventType.KEY_ADOPTED, OPERATOR, merchant_id, details)
                )
            work.commit()
        return key


@dataclass(frozen=True, slots=True)
class ListApiKeys:
    """The keys of a merchant, oldest first: all active ones, and as many of the others at most, the
    newest. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Sequence[ApiKey]:
        with self.begin() as work:
            if work.merchants.get(merchant_id) is None:
                raise NotFound("There is no such merchant.")
            return work.merchants.list_keys(merchant_id)


@dataclass(frozen=True, slots=True)
class RevokeApiKey:
    """Revoke a key: from the commit on, no request with it passes. Safe to repeat: the first
    revocation's time stays. Raises NotFound, for another merchant's too, where one is named."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(
        self, key_id: UUID, merchant_id: UUID | None = None, origin: Origin = OPERATOR
    ) -> ApiKey:
        with self.begin() as work:
            key = work.merchants.get_key(key_id, merchant_id)
            if key is None:
                raise NotFound("There is no such key.")
            revoked = work.merchants.revoke_key(key_id)
            if revoked is None:
                return work.merchants.get_key(key_id) or key
            deed = AuditEvent(
                self.ids.new_id(),
                AuditEventType.KEY_REVOKED,
                origin,
                key.merchant_id,
                described(key),
            )
            work.audit_log.add(deed)
            work.commit()
            return revoked


def described(key: ApiKey) -> dict[str, str]:
    """A key as the log tells of it."""
    told = {"keyId": str(key.id), "name": key.name, "scopes": " ".join(sort_scopes(key.scopes))}
    if key.prefix:
        told["prefix"] = key.prefix
    if key.expires_at is not None:
        told["expiresAt"] = format_rfc3339(key.expires_at)
    return told
