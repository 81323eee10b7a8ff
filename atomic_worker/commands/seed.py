"""Seed data: the system accounts, and a test merchant. Safe to repeat."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import StorageRefused, Unauthorized
from atomic_core.domain.merchants import Merchant
from atomic_core.use_cases.ledger import NewAccount

TEST_MERCHANT_ID: Final = UUID("a70a1c00-0000-4000-8000-000000000001")
"""Fixed, so that scripts can name the merchant without a lookup."""

TEST_MERCHANT_NAME: Final = "Test Merchant"


@dataclass(frozen=True, slots=True)
class SeedResult:
    merchant_id: UUID
    account_id: UUID
    currency: str
    api_key: str | None
    """The raw API key, if one was issued or ensured. A new key cannot be read again."""
    is_configured_key_active: bool = True
    """False if MERCHANT_API_KEY_HASH is the hash of a key that was revoked or is another
    merchant's."""


def seed(
    application: Application,
    settings: Settings,
    ensure_key: str | None = None,
    known_key: str | None = None,
) -> SeedResult:
    """Create what is missing.

    MERCHANT_API_KEY_HASH becomes the merchant's key, and the key that it named before is revoked.
    Without it, a merchant that has no active key is issued one. With `ensure_key`, the result
    always has a raw key: `known_key` if it is a valid key of the merchant, else a new key with the
    name `ensure_key`.
    """
    application.accounts.open_system_accounts(settings.currencies)
    merchant = _add_merchant(application)
    currency = settings.default_currency
    account_id = _get_or_open_account(application, merchant, currency)
    api_key = _issue_first_key(application, settings, merchant)
    if ensure_key and api_key is None:
        api_key = _validate_key(application, merchant, known_key)
        api_key = api_key or application.api_keys.issue(merchant.id, ensure_key).raw
    is_active = _is_configured_key_active(application, settings, merchant)
    return SeedResult(merchant.id, account_id, currency, api_key, is_active)


def _add_merchant(application: Application) -> Merchant:
    try:
        return application.merchants.add(TEST_MERCHANT_NAME, TEST_MERCHANT_ID)
    except StorageRefused:
        # A concurrent seed has added the merchant: the second call returns it.
        return application.merchants.add(TEST_MERCHANT_NAME, TEST_MERCHANT_ID)


def _get_or_open_account(application: Application, merchant: Merchant, currency: str) -> UUID:
    open_account = application.accounts.open
    with open_account.begin() as work:
        # Locked, so that concurrent seeds open one account.
        work.merchants.lock(merchant.id)
        existing = work.accounts.get_default_account(merchant.id, currency)
        if existing is not None:
            return existing.id
        new_account = NewAccount(merchant.id, f"{merchant.name} {currency}", currency)
        account = open_account.execute(work, new_account)
        work.commit()
    return account.id


def _issue_first_key(
    application: Application, settings: Settings, merchant: Merchant
) -> str | None:
    if settings.merchant_api_key_hash is not None:
        application.api_keys.adopt(
            merchant.id, "MERCHANT_API_KEY_HASH", settings.merchant_api_key_hash
        )
        return None
    if any(key.active for key in application.api_keys.list(merchant.id)):
        return None
    return application.api_keys.issue(merchant.id, "seed").raw


def _is_configured_key_active(
    application: Application, settings: Settings, merchant: Merchant
) -> bool:
    hash = settings.merchant_api_key_hash
    keys = application.api_keys.list(merchant.id)
    return hash is None or any(key.active and key.hash == hash for key in keys)


def _validate_key(application: Application, merchant: Merchant, raw: str | None) -> str | None:
    """Return the raw key if it is a valid key of the merchant."""
    if not raw:
        return None
    try:
        key = application.api_keys.authenticate(raw)
    except Unauthorized:
        return None
    return raw if key.merchant_id == merchant.id else None
