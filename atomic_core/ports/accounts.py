"""The repository of accounts."""

from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

from atomic_core.domain.accounts import Account


class AccountRepository(Protocol):
    def open(self, id: UUID, merchant_id: UUID, name: str, currency: str) -> Account:
        """Open an account at zero, and the house's own in the currency if there are none yet."""
        ...

    def open_system_accounts(self, currency: str) -> None:
        """Open the currency's World account and its fee account unless they exist. Safe to do
        twice at once."""
        ...

    def get(self, merchant_id: UUID, account_id: UUID) -> Account | None:
        """The account, if it is the merchant's."""
        ...

    def get_default_account_id(self, merchant_id: UUID, currency: str) -> UUID | None:
        """The account that payments in this currency credit: the merchant's first."""
        ...

    def lock(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        """Return the accounts, held until the unit of work ends.

        Taken in id order, so two batches cannot wait on each other. Ids that do not exist
        are left out.
        """
        ...

    def lock_available(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        """The same for those accounts that nobody else holds; waits for none."""
        ...
