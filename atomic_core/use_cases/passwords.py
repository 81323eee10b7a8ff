"""Changes of passwords."""

from collections.abc import Callable
from dataclasses import dataclass, field

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.credentials import Session
from atomic_core.domain.errors import (
    IdempotencyKeyReused,
    NotFound,
    PasswordChanged,
    WrongPassword,
)
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.origins import Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.password_blocklist import PasswordBlocklist
from atomic_core.ports.password_hasher import PasswordHasher
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command, IdempotentResult, PerformOnce
from atomic_core.use_cases.merchants import build_session_event
from atomic_core.use_cases.registration import refuse_common_password


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """A request to change the password, made in a session. Both passwords are normalized."""

    session: Session
    current_password: str = field(repr=False)
    new_password: str = field(repr=False)
    origin: Origin


@dataclass(frozen=True, slots=True)
class _HashedPasswordChange:
    change: PasswordChange
    old_hash: str = field(repr=False)
    new_hash: str | None = field(repr=False)
    """None if the current password was wrong."""


@dataclass(frozen=True, slots=True)
class ReplacePassword(Command[_HashedPasswordChange, int]):
    """Store a new password hash and end the merchant's other sessions; return their number. Raises
    WrongPassword, and PasswordChanged if the password was changed meanwhile."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, hashed: _HashedPasswordChange) -> int:
        if hashed.new_hash is None:
            raise WrongPassword
        change = hashed.change
        merchant_id, origin = change.session.merchant_id, change.origin
        # Locked, so that no login with the former password opens a session after this.
        work.merchants.lock(merchant_id)
        if not work.sessions.replace_password_hash(merchant_id, hashed.old_hash, hashed.new_hash):
            raise PasswordChanged
        work.audit_log.add(
            AuditEvent(self.ids.new_id(), AuditEventType.PASSWORD_CHANGED, origin, merchant_id)
        )
        session_ids = work.sessions.revoke_sessions(merchant_id, change.session.id)
        for session_id in session_ids:
            work.audit_log.add(
                build_session_event(self.ids, origin, merchant_id, session_id, "password_changed")
            )
        return len(session_ids)


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Change the password of a merchant, once per Idempotency-Key.

    As for a registration, the fingerprint contains no password: a repeat, whose current password is
    no longer the stored one, is replayed if its new password is. Raises ValidationFailed for a
    common password, WrongPassword, PasswordChanged, HasherBusy and what PerformOnce raises.
    """

    replace_password: ReplacePassword
    password_hasher: PasswordHasher
    password_blocklist: PasswordBlocklist
    perform_once: PerformOnce

    def __call__(
        self,
        change: PasswordChange,
        request: IdempotentRequest | None,
        render: Callable[[int], StoredResponse],
    ) -> IdempotentResult:
        """`render` renders the number of sessions that ended."""
        refuse_common_password(self.password_blocklist, change.new_password, "newPassword")
        old_hash = self._get_password_hash(change)
        is_right = self.password_hasher.verify(old_hash, change.current_password)
        new_hash = self.password_hasher.hash(change.new_password) if is_right else None
        hashed = _HashedPasswordChange(change, old_hash, new_hash)
        try:
            if request is None:
                return IdempotentResult(render(self.replace_password(hashed)), replayed=False)
            result = self.perform_once(request, self.replace_password, hashed, render)
        except WrongPassword:
            self._record_failure(change)
            raise
        if result.replayed and not self._has_new_password(change):
            raise IdempotencyKeyReused
        return result

    def _has_new_password(self, change: PasswordChange) -> bool:
        # Read again: a concurrent repeat has waited for the request that stored the new hash.
        stored_hash = self._get_password_hash(change)
        return self.password_hasher.verify(stored_hash, change.new_password)

    def _get_password_hash(self, change: PasswordChange) -> str:
        with self.replace_password.begin() as work:
            credentials = work.sessions.get_credentials(change.session.merchant_id)
        if credentials is None:
            raise NotFound("This merchant has no password.")
        return credentials.password_hash

    def _record_failure(self, change: PasswordChange) -> None:
        event = AuditEvent(
            self.replace_password.ids.new_id(),
            AuditEventType.PASSWORD_CHANGE_FAILED,
            change.origin,
            change.session.merchant_id,
        )
        with self.replace_password.begin() as work:
            work.audit_log.add(event)
            work.commit()
