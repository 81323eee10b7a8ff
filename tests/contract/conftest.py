"""What several contract tests begin with."""

import pytest

from payment_scenarios import Power, Shop
from support import NOW, Store, add_merchant, application_over, open_account


@pytest.fixture
def shop(store: Store, monkeypatch: pytest.MonkeyPatch) -> Shop:
    # What is put off, or tried again, is due at once.
    monkeypatch.setattr("atomic_core.domain.settlement.BUSY_PAUSE", NOW)
    monkeypatch.setattr("atomic_core.domain.settlement.BACK_OFF_BASE", NOW)
    merchant_id, network = add_merchant(store.begin), Power()
    account_id = open_account(store.begin, merchant_id)
    application = application_over(store.begin, network=network, lease=NOW)
    return Shop(application, network, merchant_id, account_id)
