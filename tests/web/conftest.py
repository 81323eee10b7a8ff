import pytest

from atomic_adapters.system import ManualClock
from web.conformance import Contract, get_contract
from web.web_client import MerchantClient, SessionClient, WebApp, build_clock, build_web_app


@pytest.fixture
def clock() -> ManualClock:
    return build_clock()


@pytest.fixture
def web(clock: ManualClock) -> WebApp:
    return build_web_app(clock)


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
