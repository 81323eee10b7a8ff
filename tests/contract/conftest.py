"""Fixtures of contract tests."""

import pytest

from payment_scenarios import FaultyNetwork, PaymentScenario
from support import NOW, Store, add_merchant, build_application, open_account
from webhook_scenarios import Shop


@pytest.fixture
def scenario(store: Store, monkeypatch: pytest.MonkeyPatch) -> PaymentScenario:
    # Postponed and retried payments are due at once.
    monkeypatch.setattr("atomic_core.domain.card_networks.BACK_OFF_BASE", NOW)
    merchant_id, network = add_merchant(store.begin), FaultyNetwork()
    account_id = open_account(store.begin, merchant_id)
    application = build_application(store.begin, card_network=network, lease=NOW)
    return PaymentScenario(application, network, merchant_id, account_id)


@pytest.fixture
def shop(store: Store) -> Shop:
    return Shop(store)
