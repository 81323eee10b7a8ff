"""How merchants come in by themselves: they register, log in, and log out."""

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
    """A merchant who asks to be one. Email and password as domain/credentials.py has them."""

    email: str
    password: str = field(repr=False)
    name: str
    currency: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Hashed:
    registration: MerchantRegistration
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddMerchantWithCredentials(Command[_Hashed, Credentials]):
    """A merchant, its first account, its credentials. Raises Conflict if the email is taken."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, order: _Hashed) -> Credentials:
        asked = order.registration
        merchant = work.merchants.add(self.ids.new_id(), asked.name)
        account_id = self.ids.new_id()
        work.accounts.open(account_id, merchant.id, asked.currency, asked.currency)
        added = Credentials(merchant.id, asked.email, order.password_hash, account_id)
        if not work.sessions.add_credentials(added):
            raise Conflict("There is a merchant with this email already.")
        event = AuditEventType.MERCHANT_REGISTERED
        work.audit_log.add(AuditEvent(self.ids.new_id(), event, asked.origin, merchant.id))
        return added


@dataclass(frozen=True, slots=True)
class RegisterMerchant:
    """Add a merchant with a password, once per Idempotency-Key.

    A key is the email's that is registered, for there is no merchant yet. The password must be no
    part of what is kept of the request, so a repeat is held to it by its hash: with another one
    it is another request. Raises Conflict, HasherBusy and what PerformOnce raises.
    """

    add: AddMerchantWithCredentials
    password_hasher: PasswordHasher
    perform_once: PerformOnce

    def __call__(
        self,
        asked: MerchantRegistration,
        request: IdempotentRequest | None,
        render: Callable[[Credentials], StoredResponse],
    ) -> IdempotentResult:
        order = _Hashed(asked, self.password_hasher.hash(asked.password))
        if request is None:
            return IdempotentResult(render(self.add(order)), replayed=False)
        answer = self.perform_once(request, self.add, order, render)
        if answer.replayed and not self._is_the_same(asked):
            raise IdempotencyKeyReused
        return answer

    def _is_the_same(self, asked: MerchantRegistration) -> bool:
        with self.add.begin() as work:
            kept = work.sessions.find_credentials(asked.email)
        return kept is not None and self.password_hasher.verify(kept.password_hash, asked.password)


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """Somebody who says who they are."""

    email: str
    password: str = field(repr=False)
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Proven:
    credentials: Credentials
    origin: Origin
    new_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session at the only moment its token exists."""

    session: Session
    token: str = field(repr=False)
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class OpenSession(Command[_Proven, NewSession]):
    """A session for a merchant that has shown its password."""

    begin: UnitOfWorkFactory
    ids: IdGenerator
    key_hasher: KeyHasher
    lifetime: timedelta

    def execute(self, work: UnitOfWork, order: _Proven) -> NewSession:
        merchant_id = order.credentials.merchant_id
        token = TOKEN_PREFIX + self.ids.new_secret()
        session = work.sessions.add_session(
            self.ids.new_id(), merchant_id, self.key_hasher.hash(token), self.lifetime
        )
        origin = order.origin.with_session(session.id)
        work.audit_log.add(AuditEvent(self.ids.new_id(), AuditEventType.LOGIN, origin, merchant_id))
        if order.new_hash is not None:
            old = order.credentials.password_hash
            work.sessions.replace_password_hash(merchant_id, old, order.new_hash)
            event = AuditEventType.PASSWORD_REHASHED
            work.audit_log.add(AuditEvent(self.ids.new_id(), event, origin, merchant_id))
        return NewSession(session, token, order.credentials)


@dataclass(frozen=True, slots=True)
class LogIn:
    """Open a session, once per Idempotency-Key.

    Raises Unauthorized for a wrong password and for an unknown email, in the same words, after one
    look-up, one slow hash and one row in the audit log each: neither the answer nor the time it
    takes says which it was. Raises HasherBusy and what PerformOnce raises.
    """

    open_session: OpenSession
    password_hasher: PasswordHasher
    perform_once: PerformOnce

    def __call__(
        self,
        attempt: LoginAttempt,
        request: IdempotentRequest | None,
        render: Callable[[NewSession], StoredResponse],
        keep: Callable[[StoredResponse], StoredResponse],
    ) -> IdempotentResult:
        """`request` belongs to the merchant that logs in, whoever it names. `keep` must leave the
        token out."""
        proven = self._prove(attempt)
        if request is None:
            return IdempotentResult(render(self.open_session(proven)), replayed=False)
        theirs = replace(request, merchant_id=proven.credentials.merchant_id)
        return self.perform_once(theirs, self.open_session, proven, render, keep)

    def _prove(self, attempt: LoginAttempt) -> _Proven:
        with self.open_session.begin() as work:
            known = work.sessions.find_credentials(attempt.email)
        encoded = known.password_hash if known else self.password_hasher.dummy_hash
        matches = self.password_hasher.verify(encoded, attempt.password)
        if known is None or not matches:
            self._tell_of_failure(attempt, known)
            raise Unauthorized(WRONG_CREDENTIALS_MESSAGE)
        outdated = self.password_hasher.is_outdated(encoded)
        new_hash = self.password_hasher.hash(attempt.password) if outdated else None
        return _Proven(known, attempt.origin, new_hash)

    def _tell_of_failure(self, attempt: LoginAttempt, known: Credentials | None) -> None:
        deed = AuditEvent(
            self.open_session.ids.new_id(),
            AuditEventType.LOGIN_FAILED,
            attempt.origin,
            known.merchant_id if known else None,
            email_hash=None if known else hashlib.sha256(attempt.email.encode()).digest(),
        )
        with self.open_session.begin() as work:
            work.audit_log.add(deed)
            work.commit()


@dataclass(frozen=True, slots=True)
class AuthenticateSession:
    """Find whose session token this is. Raises Unauthorized for unknown, revoked and expired ones
    alike, after one hash and one look-up."""

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
    """Revoke the session: from the commit on, no request with it passes."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, order: Logout) -> None:
        if work.sessions.revoke_session(order.session_id):
            id = self.ids.new_id()
            work.audit_log.add(
                AuditEvent(id, AuditEventType.LOGOUT, order.origin, order.merchant_id)
            )
