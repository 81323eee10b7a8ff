"""Registration of merchants with a password."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.credentials import Credentials
from atomic_core.domain.errors import (
    EmailTaken,
    IdempotencyKeyReused,
    ValidationFailed,
)
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.origins import Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.password_blocklist import PasswordBlocklist
from atomic_core.ports.password_hasher import PasswordHasher
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command, IdempotentResult, PerformOnce
from atomic_core.use_cases.ledger import NewAccount, open_account

TOO_COMMON: Final = "Must not be one of the 10,000 most common passwords."


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
    """Add a merchant with its first account and credentials. Raises EmailTaken if the email is
    taken."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, hashed: _HashedRegistration) -> Credentials:
        registration = hashed.registration
        merchant = work.merchants.add(self.ids.new_id(), registration.name)
        # Audited with the registration.
        new_account = NewAccount(merchant.id, registration.currency, registration.currency)
        account = open_account(work, self.ids, new_account)
        credentials = Credentials(merchant.id, registration.email, hashed.password_hash, account.id)
        if not work.sessions.add_credentials(credentials):
            raise EmailTaken
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
    password it is a different request. Raises ValidationFailed for a common password, EmailTaken,
    HasherBusy and what PerformOnce raises.
    """

    add: AddMerchantWithCredentials
    password_hasher: PasswordHasher
    password_blocklist: PasswordBlocklist
    perform_once: PerformOnce

    def __call__(
        self,
        registration: MerchantRegistration,
        request: IdempotentRequest | None,
        render: Callable[[Credentials], StoredResponse],
    ) -> IdempotentResult:
        refuse_common_password(self.password_blocklist, registration.password, "password")
        hashed = _HashedRegistration(registration, self.password_hasher.hash(registration.password))
        if request is None:
            return IdempotentResult(render(self.add(hashed)), replayed=False)
        result = self.perform_once(request, self.add, hashed, render)
        if result.replayed and not self._has_same_password(registration):
            raise IdempotencyKeyReused
        return result

    def for_operator(self, registration: MerchantRegistration) -> Credentials:
        """Register a merchant for an operator. Raises ValidationFailed, EmailTaken, HasherBusy."""
        refuse_common_password(self.password_blocklist, registration.password, "password")
        password_hash = self.password_hasher.hash(registration.password)
        return self.add(_HashedRegistration(registration, password_hash))

    def _has_same_password(self, registration: MerchantRegistration) -> bool:
        with self.add.begin() as work:
            credentials = work.sessions.find_credentials(registration.email)
        return credentials is not None and self.password_hasher.verify(
            credentials.password_hash, registration.password
        )


def refuse_common_password(blocklist: PasswordBlocklist, password: str, field: str) -> None:
    """Raises ValidationFailed for `field` if the password is on the list."""
    if blocklist.contains(password):
        raise ValidationFailed(details={field: [TOO_COMMON]})
