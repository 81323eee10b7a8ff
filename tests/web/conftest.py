from datetime import UTC, datetime

import pytest

from atomic_adapters.system import ManualClock
from atomic_adapters.wiring import in_memory
from web.conformance import Contract, contract_of
from web.web_client import NO_LIMITS, Caller, Member, Web, settings


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 15, 30, 13, 153_999, tzinfo=UTC))


@pytest.fixture
def web(clock: ManualClock) -> Web:
    """A door with nearly no limits: the tests of limits configure their own."""
    return Web(
        in_memory(clock),
        settings(**NO_LIMITS),
        clock,
    )


@pytest.fixture
def merchant(web: Web) -> Caller:
    return web.merchant()


@pytest.fixture
def member(web: Web) -> Member:
    return web.member()


@pytest.fixture
def stranger(web: Web) -> Caller:
    return web.merchant("Stranger")


@pytest.fixture
def contract(web: Web) -> Contract:
    return contract_of(web.app, web.settings)
