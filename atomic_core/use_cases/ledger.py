"""Accounts and the books."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import NotFound
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What a merchant asks for: an account of one currency, at zero."""

    merchant_id: UUID
    name: str
    currency: str


@dataclass(frozen=True, slots=True)
class OpenAccount(Command[NewAccount, Account]):
    """Open an account for a merchant. Raises NotFound if there is no such merchant."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, order: NewAccount) -> Account:
        work.merchants.lock(order.merchant_id)
        return work.accounts.open(self.ids.new_id(), order.merchant_id, order.name, order.currency)


@dataclass(frozen=True, slots=True)
class OpenSystemAccounts:
    """Open the World account of each currency that has none. Safe to repeat."""

    begin: UnitOfWorkFactory

    def __call__(self, currencies: Iterable[str]) -> None:
        with self.begin() as work:
            for currency in sorted(currencies):
                work.accounts.open_system_accounts(currency)
            work.commit()


@dataclass(frozen=True, slots=True)
class GetAccount:
    """An account of this merchant. Raises NotFound, for another merchant's too."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, account_id: UUID) -> Account:
        with self.begin() as work:
            account = work.accounts.get(merchant_id, account_id)
        if account is None:
            raise NotFound("There is no such account.")
        return account


@dataclass(frozen=True, slots=True)
class VerifyLedger:
    """Recompute the books from their entries and report what does not agree."""

    begin: UnitOfWorkFactory

    def __call__(self) -> LedgerReport:
        with self.begin() as work:
            return work.ledger.verify()
