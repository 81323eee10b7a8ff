"""The repository of accounts."""

from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

from atomic_core.domain.accounts import DEFAULT_TERMS, Account, AccountTerms


class AccountRepository(Protocol):
    def open(
        self,
        id: UUID,
        merchant_id: UUID,
        name: str,
        currency: str,
        terms: AccountTerms = DEFAULT_TERMS,
    ) -> Account:
        """Open an account with a balance of zero, and the currency's system accounts unless they
        exist. Raises StorageRefused for an external id that is in use."""
        ...

    def update(self, account: Account) -> Account:
        """Store the name, the metadata and the status of an account that this unit of work has
        locked, with the time of a change of its status. Raises StorageRefused at the commit if it
        is closed and not empty."""
        ...

    def open_system_accounts(self, currency: str) -> None:
        """Open the currency's World account and its fee account unless they exist. Idempotent,
        also for concurrent calls."""
        ...

    def get(self, merchant_id: UUID, account_id: UUID) -> Account | None:
        """The account. None if it is not the merchant's."""
        ...

    def find_by_external_id(self, merchant_id: UUID, external_id: str) -> UUID | None:
        """The id of the merchant's account with this external id."""
        ...

    def get_default_account(self, merchant_id: UUID, currency: str) -> Account | None:
        """The account that payments credit: of the merchant's liabilities in the currency, the
        oldest that is not closed, or the oldest one if all are."""
        ...

    def lock(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        """The accounts by id, locked until the unit of work ends. Locks in id order, so that
        batches cannot deadlock. Ignores unknown ids."""
        ...

    def lock_owned(self, merchant_id: UUID, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        """Like `lock`, but ignores accounts that are not the merchant's, and does not lock them: a
        merchant must not delay others."""
        ...

    def lock_available(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        """Like `lock`, but skips accounts that another unit of work has locked."""
        ...
