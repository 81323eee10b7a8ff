"""Opening accounts and verifying the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.accounts import DEFAULT_TERMS, Account, AccountTerms
from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import AccountExternalIdTaken, NotFound
from atomic_core.domain.events import build_account_event
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.domain.origins import Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A request to open an account of one currency."""

    merchant_id: UUID
    name: str
    currency: str
    origin: Origin | None = None
    terms: AccountTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class OpenAccount(Command[NewAccount, Account]):
    """Open an account with a balance of zero. Raises NotFound if the merchant does not exist, and
    AccountExternalIdTaken."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, new_account: NewAccount) -> Account:
        # Concurrent requests with one external id wait here for each other.
        work.merchants.lock(new_account.merchant_id)
        external_id = new_account.terms.external_id
        if external_id is not None:
            used_by = work.accounts.find_by_external_id(new_account.merchant_id, external_id)
            if used_by:
                raise AccountExternalIdTaken(
                    details={"externalId": [f"Is that of {used_by}."]},
                    facts={"usedBy": str(used_by)},
                )
        return open_account(work, self.ids, new_account)


def open_account(work: UnitOfWork, ids: IdGenerator, new_account: NewAccount) -> Account:
    """Open an account of a merchant that this unit of work has locked, with its event. Audited, if
    its origin is known."""
    account = work.accounts.open(
        ids.new_id(),
        new_account.merchant_id,
        new_account.name,
        new_account.currency,
        new_account.terms,
    )
    work.events.add([build_account_event(new_account.merchant_id, account, new_account.origin)])
    if new_account.origin:
        event = AuditEvent(
            ids.new_id(),
            AuditEventType.ACCOUNT_OPENED,
            new_account.origin,
            account.merchant_id,
            {"accountId": str(account.id), "currency": account.currency},
        )
        work.audit_log.add(event)
    return account


@dataclass(frozen=True, slots=True)
class OpenSystemAccounts:
    """Open the system accounts of each currency unless they exist. Idempotent."""

    begin: UnitOfWorkFactory

    def __call__(self, currencies: Iterable[str]) -> None:
        with self.begin() as work:
            for currency in sorted(currencies):
                work.accounts.open_system_accounts(currency)
            work.commit()


@dataclass(frozen=True, slots=True)
class GetAccount:
    """An account of this merchant. Raises NotFound, also for another merchant's account."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, account_id: UUID) -> Account:
        with self.begin() as work:
            account = work.accounts.get(merchant_id, account_id)
        if account is None:
            raise NotFound("No account has this id.")
        return account


@dataclass(frozen=True, slots=True)
class VerifyLedger:
    """Check every rule of the ledger against its entries."""

    begin: UnitOfWorkFactory

    def __call__(self) -> LedgerReport:
        with self.begin() as work:
            return work.ledger.verify()
