"""Creating, rotating, adopting, listing and revoking API keys. Each change writes an audit event in
the same commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import (
    ApiKeyInactive,
    Conflict,
    NotFound,
    TooManyApiKeys,
    ValidationFailed,
)
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
from atomic_core.domain.origins import OPERATOR, Origin
from atomic_core.domain.timestamps import format_rfc3339
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.key_hasher import KeyHasher
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A request for a new API key."""

    merchant_id: UUID
    name: str
    scopes: frozenset[str] = ALL_SCOPES
    expires_at: datetime | None = None
    origin: Origin = OPERATOR


@dataclass(frozen=True, slots=True)
class CreateApiKey(Command[NewApiKey, IssuedApiKey]):
    """Create an API key. Only the result contains its raw form.

    Raises NotFound; ValidationFailed for an invalid name, for unknown scopes or none, and for an
    expiry in the past; TooManyApiKeys.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    key_hasher: KeyHasher

    def execute(self, work: UnitOfWork, new_key: NewApiKey) -> IssuedApiKey:
        issued_key = self.add(work, new_key)
        event = AuditEvent(
            self.ids.new_id(),
            AuditEventType.KEY_CREATED,
            new_key.origin,
            new_key.merchant_id,
            build_key_details(issued_key.key),
        )
        work.audit_log.add(event)
        return issued_key

    def add(self, work: UnitOfWork, new_key: NewApiKey) -> IssuedApiKey:
        """Store the key without an audit event, which the caller must add."""
        check_key_name(new_key.name)
        if not new_key.scopes or not new_key.scopes <= ALL_SCOPES:
            all_scopes = ", ".join(sort_scopes(ALL_SCOPES))
            raise ValidationFailed(details={"scopes": [f"Must be one or more of {all_scopes}."]})
        if new_key.expires_at is not None and new_key.expires_at <= work.now():
            raise ValidationFailed(details={"expiresAt": ["Must be in the future."]})
        # Locked, so that concurrent calls cannot exceed the maximum together.
        work.merchants.lock(new_key.merchant_id)
        if work.merchants.count_active_keys(new_key.merchant_id) >= MAX_LIVE_KEYS:
            raise TooManyApiKeys(
                f"This merchant has {MAX_LIVE_KEYS} active API keys, the maximum: revoke one"
                " first.",
                facts={"maximum": MAX_LIVE_KEYS},
            )
        raw_key = KEY_PREFIX + self.ids.new_secret()
        key = work.merchants.add_key(
            self.ids.new_id(),
            new_key.merchant_id,
            new_key.name,
            raw_key[:VISIBLE_KEY_LENGTH],
            self.key_hasher.hash(raw_key),
            new_key.scopes,
            new_key.expires_at,
        )
        if key is None:
            raise Conflict("An API key with this hash already exists.")
        return IssuedApiKey(key, raw_key)


@dataclass(frozen=True, slots=True)
class IssueApiKey:
    """CreateApiKey for operators, by default with all scopes."""

    create: CreateApiKey

    def __call__(
        self,
        merchant_id: UUID,
        name: str,
        scopes: frozenset[str] = ALL_SCOPES,
        origin: Origin = OPERATOR,
        expires_at: datetime | None = None,
    ) -> IssuedApiKey:
        return self.create(NewApiKey(merchant_id, name, scopes, expires_at, origin))


@dataclass(frozen=True, slots=True)
class ApiKeyRotation:
    """A request to replace an API key. The old key stays active for `overlap`."""

    merchant_id: UUID
    key_id: UUID
    overlap: timedelta
    origin: Origin


@dataclass(frozen=True, slots=True)
class RotateApiKey(Command[ApiKeyRotation, IssuedApiKey]):
    """Create a key with the old key's name, scopes and expiry, and make the old key expire.

    Raises NotFound, also for another merchant's key; Conflict if the old key is not active, or if
    the merchant has MAX_LIVE_KEYS other active keys.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    create: CreateApiKey

    def execute(self, work: UnitOfWork, rotation: ApiKeyRotation) -> IssuedApiKey:
        work.merchants.lock(rotation.merchant_id)
        old_key = work.merchants.get_key(rotation.key_id, rotation.merchant_id)
        if old_key is None:
            raise NotFound("No API key has this id.")
        if not old_key.active:
            raise ApiKeyInactive
        work.merchants.expire_key(old_key.id, rotation.overlap)
        new_key = NewApiKey(
            old_key.merchant_id,
            old_key.name,
            old_key.scopes,
            old_key.expires_at,
            rotation.origin,
        )
        issued_key = self.create.add(work, new_key)
        details = {
            **build_key_details(issued_key.key),
            "oldKeyId": str(old_key.id),
            "overlapSeconds": str(rotation.overlap // timedelta(seconds=1)),
        }
        event = AuditEvent(
            self.ids.new_id(),
            AuditEventType.KEY_ROTATED,
            rotation.origin,
            rotation.merchant_id,
            details,
        )
        work.audit_log.add(event)
        return issued_key


@dataclass(frozen=True, slots=True)
class AdoptApiKey:
    """Store a key of which only the SHA-256 is known, and revoke those that were adopted under the
    same name before it: the configuration names one key. Idempotent.

    Returns None if a key with this hash exists, which stays as it is, also if it is revoked.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, merchant_id: UUID, name: str, hash: bytes) -> ApiKey | None:
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            key = work.merchants.add_key(self.ids.new_id(), merchant_id, name, "", hash)
            if key is not None:
                id, details = self.ids.new_id(), build_key_details(key)
                work.audit_log.add(
                    AuditEvent(id, AuditEventType.KEY_ADOPTED, OPERATOR, merchant_id, details)
                )
            for former_key in work.merchants.revoke_adopted_keys(merchant_id, name, keep=hash):
                id, details = self.ids.new_id(), build_key_details(former_key)
                work.audit_log.add(
                    AuditEvent(id, AuditEventType.KEY_REVOKED, OPERATOR, merchant_id, details)
                )
            work.commit()
        return key


@dataclass(frozen=True, slots=True)
class ListApiKeys:
    """The API keys of a merchant, oldest first: all active ones and the newest inactive ones, up to
    MAX_LIVE_KEYS. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Sequence[ApiKey]:
        with self.begin() as work:
            if work.merchants.get(merchant_id) is None:
                raise NotFound("No merchant has this id.")
            return work.merchants.list_keys(merchant_id)


@dataclass(frozen=True, slots=True)
class RevokeApiKey:
    """Revoke an API key, which takes effect with the commit. Idempotent: the time of the first
    revocation stays. Raises NotFound; with a `merchant_id`, also for another merchant's key."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(
        self, key_id: UUID, merchant_id: UUID | None = None, origin: Origin = OPERATOR
    ) -> ApiKey:
        with self.begin() as work:
            key = work.merchants.get_key(key_id, merchant_id)
            if key is None:
                raise NotFound("No API key has this id.")
            revoked = work.merchants.revoke_key(key_id)
            if revoked is None:
                return work.merchants.get_key(key_id) or key
            event = AuditEvent(
                self.ids.new_id(),
                AuditEventType.KEY_REVOKED,
                origin,
                key.merchant_id,
                build_key_details(key),
            )
            work.audit_log.add(event)
            work.commit()
            return revoked


def build_key_details(key: ApiKey) -> dict[str, str]:
    """The details of an audit event about the key."""
    details = {"keyId": str(key.id), "name": key.name, "scopes": " ".join(sort_scopes(key.scopes))}
    if key.prefix:
        details["prefix"] = key.prefix
    if key.expires_at is not None:
        details["expiresAt"] = format_rfc3339(key.expires_at)
    return details
