from datetime import UTC, datetime

import pytest

from atomic_adapters.system import ManualClock
from atomic_adapters.wiring import in_memory
from web.conformance import Contract, get_contract
from web.web_client import NO_LIMITS, MerchantClient, SessionClient, WebApp, settings


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 15, 30, 13, 153_999, tzinfo=UTC))


@pytest.fixture
def web(clock: ManualClock) -> WebApp:
    """Without most rate limits: the tests of rate limits configure their own."""
    return WebApp(
        in_memory(clock),
        settings(**NO_LIMITS),
        clock,
    )


@pytest.fixture
def merchant(web: WebApp) -> MerchantClient:
    return web.create_merchant()


@pytest.fixture
def session_client(web: WebApp) -> SessionClient:
    return web.register_and_log_in()


@pytest.fixture
def other_merchant(web: WebApp) -> MerchantClient:
    return web.create_merchant("Other merchant")


@pytest.fixture
def contract(web: WebApp) -> Contract:
    return get_contract(web.app, web.settings)
