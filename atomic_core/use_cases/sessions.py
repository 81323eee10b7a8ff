"""Registration, login and logout of merchants."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType, Origin
from atomic_core.domain.credentials import Credentials, Session
from atomic_core.domain.errors import Conflict, IdempotencyKeyReused, Unauthorized
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.merchants import TOKEN_PREFIX
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.key_hasher import KeyHasher
from atomic_core.ports.password_hasher import PasswordHasher
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command, IdempotentResult, PerformOnce

WRONG_CREDENTIALS_MESSAGE: Final = "The email or the password is wrong."
INVALID_SESSION_MESSAGE: Final = "A valid session token is required."


@dataclass(frozen=True, slots=True)
class MerchantRegistration:
    """A request to register a merchant, with normalized email and password."""

    email: str
    password: str = field(repr=False)
    name: str
    currency: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class _HashedRegistration:
    registration: MerchantRegistration
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddMerchantWithCredentials(Command[_HashedRegistration, Credentials]):
    """Add a merchant with its first account and credentials. Raises Conflict if the email is
    taken."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, hashed: _HashedRegistration) -> Credentials:
        registration = hashed.registration
        merchant = work.merchants.add(self.ids.new_id(), registration.name)
        account_id = self.ids.new_id()
        work.accounts.open(account_id, merchant.id, registration.currency, registration.currency)
        credentials = Credentials(merchant.id, registration.email, hashed.password_hash, account_id)
        if not work.sessions.add_credentials(credentials):
            raise Conflict("A merchant with this email already exists.")
        event = AuditEvent(
            self.ids.new_id(),
            AuditEventType.MERCHANT_REGISTERED,
            registration.origin,
            merchant.id,
        )
        work.audit_log.add(event)
        return credentials


@dataclass(frozen=True, slots=True)
class RegisterMerchant:
    """Register a merchant with a password, once per Idempotency-Key.

    Keys belong to the email, because there is no merchant yet. The stored fingerprint must not
    contain the password, so a repeat is also checked against the password's hash: with another
    password it is a different request. Raises Conflict, HasherBusy and what PerformOnce raises.
    """

    add: AddMerchantWithCredentials
    password_hasher: PasswordHasher
    perform_once: PerformOnce

    def __call__(
        self,
        registration: MerchantRegistration,
        request: IdempotentRequest | None,
        render: Callable[[Credentials], StoredResponse],
    ) -> IdempotentResult:
        hashed = _HashedRegistration(registration, self.password_hasher.hash(registration.password))
        if request is None:
            return IdempotentResult(render(self.add(hashed)), replayed=False)
        result = self.perform_once(request, self.add, hashed, render)
        if result.replayed and not self._has_same_password(registration):
            raise IdempotencyKeyReused
        return result

    def _has_same_password(self, registration: MerchantRegistration) -> bool:
        with self.add.begin() as work:
            credentials = work.sessions.find_credentials(registration.email)
        return credentials is not None and self.password_hasher.verify(
            credentials.password_hash, registration.password
        )


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


@dataclass(frozen=True, slots=True)
class OpenSession(Command[_VerifiedLogin, NewSession]):
    """Open a session for a merchant whose password has been verified."""

    begin: UnitOfWorkFactory
    ids: IdGenerator
    key_hasher: KeyHasher
    lifetime: timedelta

    def execute(self, work: UnitOfWork, login: _VerifiedLogin) -> NewSession:
        merchant_id = login.credentials.merchant_id
        token = TOKEN_PREFIX + self.ids.new_secret()
        session = work.sessions.add_session(
            self.ids.new_id(), merchant_id, self.key_hasher.hash(token), self.lifetime
        )
        origin = login.origin.with_session(session.id)
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

    Raises Unauthorized for a wrong password and for an unknown email, with the same message and
    after the same work (one look-up, one password hash, one audit event), so that neither the
    response nor its duration reveals which it was. Raises HasherBusy and what PerformOnce raises.
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
        login = self._verify(attempt)
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
            self._record_failure(attempt, credentials)
            raise Unauthorized(WRONG_CREDENTIALS_MESSAGE)
        is_outdated = self.password_hasher.is_outdated(encoded)
        new_hash = self.password_hasher.hash(attempt.password) if is_outdated else None
        return _VerifiedLogin(credentials, attempt.origin, new_hash)

    def _record_failure(self, attempt: LoginAttempt, credentials: Credentials | None) -> None:
        event = AuditEvent(
            self.open_session.ids.new_id(),
            AuditEventType.LOGIN_FAILED,
            attempt.origin,
            credentials.merchant_id if credentials else None,
            email_hash=None if credentials else hashlib.sha256(attempt.email.encode()).digest(),
        )
        with self.open_session.begin() as work:
            work.audit_log.add(event)
            work.commit()


@dataclass(frozen=True, slots=True)
class AuthenticateSession:
    """Find the session of a token. Raises Unauthorized, with the same message for unknown, revoked
    and expired tokens, after one hash and one look-up."""

    begin: UnitOfWorkFactory
    key_hasher: KeyHasher

    def __call__(self, token: str) -> Session:
        hash = self.key_hasher.hash(token)
        with self.begin() as work:
            session = work.sessions.find_live_session(hash)
        if session is None:
            raise Unauthorized(INVALID_SESSION_MESSAGE)
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
