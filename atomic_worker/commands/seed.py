"""The first rows: World accounts, and a merchant to try things with. Safe to repeat."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import StorageRefused, Unauthorized
from atomic_core.domain.merchants import Merchant
from atomic_core.use_cases.ledger import NewAccount

TEST_MERCHANT_ID: Final = UUID("a70a1c00-0000-4000-8000-000000000001")
"""Well known, so that scripts can name the merchant before they have met it."""

TEST_MERCHANT: Final = "Test Merchant"


@dataclass(frozen=True, slots=True)
class Seeded:
    merchant_id: UUID
    account_id: UUID
    currency: str
    api_key: str | None
    """A raw key, if one was made or asked for. This is the only time a new one is seen."""


def seed(
    application: Application,
    settings: Settings,
    ensure_key: str | None = None,
    known_key: str | None = None,
) -> Seeded:
    """Make what is missing.

    MERCHANT_API_KEY_HASH becomes the merchant's key. Without it, a merchant that has no active
    key is issued one. `ensure_key` gives a key in any case: `known_key` if it is the merchant's
    and valid, else a new one of that name.
    """
    application.accounts.open_system_accounts(settings.currencies)
    merchant = _merchant(application)
    currency = settings.default_currency
    account_id = _account(application, merchant, currency)
    api_key = _first_key(application, settings, merchant)
    if ensure_key and api_key is None:
        api_key = _still_valid(application, merchant, known_key)
        api_key = api_key or application.api_keys.issue(merchant.id, ensure_key).raw
    return Seeded(merchant.id, account_id, currency, api_key)


def _merchant(application: Application) -> Merchant:
    try:
        return application.merchants.add(TEST_MERCHANT, TEST_MERCHANT_ID)
    except StorageRefused:
        # Somebody else is seeding at this moment and was first; now there is one to return.
        return application.merchants.add(TEST_MERCHANT, TEST_MERCHANT_ID)


def _account(application: Application, merchant: Merchant, currency: str) -> UUID:
    open_account = application.accounts.open
    with open_account.begin() as work:
        # Held, so that two seedings open one account.
        work.merchants.lock(merchant.id)
        known = work.accounts.get_default_account_id(merchant.id, currency)
        if known is not None:
            return known
        order = NewAccount(merchant.id, f"{merchant.name} {currency}", currency)
        account = open_account.execute(work, order)
        work.commit()
    return account.id


def _first_key(application: Application, settings: Settings, merchant: Merchant) -> str | None:
    if settings.merchant_api_key_hash is not None:
        application.api_keys.adopt(
            merchant.id, "MERCHANT_API_KEY_HASH", settings.merchant_api_key_hash
        )
        return None
    if any(key.active for key in application.api_keys.list(merchant.id)):
        return None
    return application.api_keys.issue(merchant.id, "seed").raw


def _still_valid(application: Application, merchant: Merchant, raw: str | None) -> str | None:
    if not raw:
        return None
    try:
        key = application.api_keys.authenticate(raw)
    except Unauthorized:
        return None
    return raw if key.merchant_id == merchant.id else None
