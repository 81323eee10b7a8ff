"""Login, logout and sessions of merchants."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.credentials import MAX_LIVE_SESSIONS, Credentials, Session
from atomic_core.domain.errors import (
    MerchantSuspended,
    NotFound,
    SessionInvalid,
    WrongCredentials,
)
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.merchants import TOKEN_PREFIX
from atomic_core.domain.origins import Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.key_hasher import KeyHasher
from atomic_core.ports.password_hasher import PasswordHasher
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command, IdempotentResult, PerformOnce
from atomic_core.use_cases.merchants import build_session_event

MAX_VERIFICATIONS: Final = 2
"""Of one login, if another request replaces the stored hash between verification and login: the
second one tells a renewed hash from a changed password."""


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """A request to log in."""

    email: str
    password: str = field(repr=False)
    origin: Origin


@dataclass(frozen=True, slots=True)
class _VerifiedLogin:
    credentials: Credentials
    origin: Origin
    new_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A new session with its token, which is not stored."""

    session: Session
    token: str = field(repr=False)
    credentials: Credentials


class _PasswordHashChanged(Exception):
    """Another hash was stored after the password was verified against the former one."""


@dataclass(frozen=True, slots=True)
class OpenSession(Command[_VerifiedLogin, NewSession]):
    """Open a session for a merchant whose password has been verified. Above MAX_LIVE_SESSIONS, the
    merchant's oldest session ends. Raises MerchantSuspended."""

    begin: UnitOfWorkFactory
    ids: IdGenerator
    key_hasher: KeyHasher
    lifetime: timedelta

    def execute(self, work: UnitOfWork, login: _VerifiedLogin) -> NewSession:
        merchant_id = login.credentials.merchant_id
        # Locked, so that concurrent logins cannot exceed the maximum together, and that a change of
        # the password or a suspension that commits first is seen here.
        work.merchants.lock(merchant_id)
        merchant = work.merchants.get(merchant_id)
        if merchant is not None and merchant.suspended_at is not None:
            raise MerchantSuspended
        credentials = work.sessions.get_credentials(merchant_id)
        if credentials is None or credentials.password_hash != login.credentials.password_hash:
            raise _PasswordHashChanged
        former_ids = work.sessions.revoke_oldest_sessions(merchant_id, MAX_LIVE_SESSIONS - 1)
        token = TOKEN_PREFIX + self.ids.new_secret()
        session = work.sessions.add_session(
            self.ids.new_id(),
            merchant_id,
            self.key_hasher.hash(token),
            self.lifetime,
            login.origin.address,
        )
        origin = login.origin.with_session(session.id)
        for former_id in former_ids:
            work.audit_log.add(
                build_session_event(self.ids, origin, merchant_id, former_id, "session_limit")
            )
        work.audit_log.add(AuditEvent(self.ids.new_id(), AuditEventType.LOGIN, origin, merchant_id))
        if login.new_hash is not None:
            old_hash = login.credentials.password_hash
            work.sessions.replace_password_hash(merchant_id, old_hash, login.new_hash)
            event = AuditEventType.PASSWORD_REHASHED
            work.audit_log.add(AuditEvent(self.ids.new_id(), event, origin, merchant_id))
        return NewSession(session, token, login.credentials)


@dataclass(frozen=True, slots=True)
class LogIn:
    """Open a session, once per Idempotency-Key.

    Raises WrongCredentials for a wrong password and for an unknown email, with the same message and
    after the same work (one look-up, one password hash, one audit event), so that neither the
    response nor its duration reveals which it was. Raises MerchantSuspended after the right
    password only, HasherBusy and what PerformOnce raises.
    """

    open_session: OpenSession
    password_hasher: PasswordHasher
    perform_once: PerformOnce

    def __call__(
        self,
        attempt: LoginAttempt,
        request: IdempotentRequest | None,
        render: Callable[[NewSession], StoredResponse],
        redact: Callable[[StoredResponse], StoredResponse],
    ) -> IdempotentResult:
        """The Idempotency-Key of `request` is made the merchant's that logs in. `redact` must
        remove the token from the stored response."""
        for _ in range(MAX_VERIFICATIONS):
            login = self._verify(attempt)
            try:
                return self._open(login, request, render, redact)
            except _PasswordHashChanged:
                continue
            except MerchantSuspended:
                self._record_failure(attempt, login.credentials, {"reason": "merchant_suspended"})
                raise
        raise WrongCredentials

    def _open(
        self,
        login: _VerifiedLogin,
        request: IdempotentRequest | None,
        render: Callable[[NewSession], StoredResponse],
        redact: Callable[[StoredResponse], StoredResponse],
    ) -> IdempotentResult:
        if request is None:
            return IdempotentResult(render(self.open_session(login)), replayed=False)
        merchant_request = replace(request, merchant_id=login.credentials.merchant_id)
        return self.perform_once(merchant_request, self.open_session, login, render, redact)

    def _verify(self, attempt: LoginAttempt) -> _VerifiedLogin:
        with self.open_session.begin() as work:
            credentials = work.sessions.find_credentials(attempt.email)
        encoded = credentials.password_hash if credentials else self.password_hasher.dummy_hash
        is_right = self.password_hasher.verify(encoded, attempt.password)
        if credentials is None or not is_right:
            self._record_failure(attempt, credentials, {})
            raise WrongCredentials
        is_outdated = self.password_hasher.is_outdated(encoded)
        new_hash = self.password_hasher.hash(attempt.password) if is_outdated else None
        return _VerifiedLogin(credentials, attempt.origin, new_hash)

    def _record_failure(
        self, attempt: LoginAttempt, credentials: Credentials | None, details: dict[str, str]
    ) -> None:
        event = AuditEvent(
            self.open_session.ids.new_id(),
            AuditEventType.LOGIN_FAILED,
            attempt.origin,
            credentials.merchant_id if credentials else None,
            details,
            email_hash=None if credentials else hashlib.sha256(attempt.email.encode()).digest(),
        )
        with self.open_session.begin() as work:
            work.audit_log.add(event)
            work.commit()


@dataclass(frozen=True, slots=True)
class AuthenticateSession:
    """Find the session of a token. Raises SessionInvalid, for unknown, revoked and expired tokens
    and those of a suspended merchant, after one hash and one look-up."""

    begin: UnitOfWorkFactory
    key_hasher: KeyHasher

    def __call__(self, token: str) -> Session:
        hash = self.key_hasher.hash(token)
        with self.begin() as work:
            session = work.sessions.find_live_session(hash)
        if session is None:
            raise SessionInvalid
        return session


@dataclass(frozen=True, slots=True)
class Logout:
    session_id: UUID
    merchant_id: UUID
    origin: Origin


@dataclass(frozen=True, slots=True)
class LogOut(Command[Logout, None]):
    """Revoke a session, which takes effect with the commit."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, logout: Logout) -> None:
        if work.sessions.revoke_session(logout.session_id):
            id = self.ids.new_id()
            work.audit_log.add(
                AuditEvent(id, AuditEventType.LOGOUT, logout.origin, logout.merchant_id)
            )


@dataclass(frozen=True, slots=True)
class ListSessions:
    """The live sessions of a merchant, newest first; at most MAX_LIVE_SESSIONS are live."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Sequence[Session]:
        with self.begin() as work:
            return work.sessions.list_live_sessions(merchant_id, MAX_LIVE_SESSIONS)


@dataclass(frozen=True, slots=True)
class RevokeSession:
    """Revoke a session of a merchant, which takes effect with the commit. Idempotent. Raises
    NotFound, also for another merchant's session and for one that was purged after its expiry."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, session_id: UUID, merchant_id: UUID, origin: Origin) -> None:
        with self.begin() as work:
            if work.sessions.get_session(session_id, merchant_id) is None:
                raise NotFound("No session has this id.")
            if work.sessions.revoke_session(session_id):
                event = build_session_event(self.ids, origin, merchant_id, session_id, "requested")
                work.audit_log.add(event)
                work.commit()


@dataclass(frozen=True, slots=True)
class RevokeOtherSessions:
    """Revoke all live sessions of a merchant except for `keep`; return their number."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, merchant_id: UUID, keep: UUID, origin: Origin) -> int:
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            session_ids = work.sessions.revoke_sessions(merchant_id, keep)
            for session_id in session_ids:
                event = build_session_event(self.ids, origin, merchant_id, session_id, "requested")
                work.audit_log.add(event)
            work.commit()
        return len(session_ids)
