"""Accounts of chosen terms and statuses, for tests that have a merchant already."""

from typing import Any
from uuid import UUID

from atomic_core.application import Application
from atomic_core.domain.accounts import Account, AccountStatus, AccountTerms
from atomic_core.use_cases.accounts import AccountChange
from atomic_core.use_cases.ledger import NewAccount

OPEN, FROZEN, CLOSED = AccountStatus.OPEN, AccountStatus.FROZEN, AccountStatus.CLOSED


def open_with_terms(
    application: Application,
    merchant_id: UUID,
    name: str = "Wallet",
    currency: str = "USD",
    **terms: Any,
) -> UUID:
    new_account = NewAccount(merchant_id, name, currency, terms=AccountTerms(**terms))
    return application.accounts.open(new_account).id


def change(
    application: Application, merchant_id: UUID, account_id: UUID, **changes: Any
) -> Account:
    return application.accounts.change(AccountChange(merchant_id, account_id, **changes))
