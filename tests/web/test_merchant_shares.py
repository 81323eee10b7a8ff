"""Requests use their merchant's share of the database connections."""

from uuid import UUID

import pytest

from atomic_adapters.bulkhead import CURRENT_MERCHANT
from web.web_client import DASHBOARD, LOGIN, PAYMENTS, MerchantClient, SessionClient, WebApp


class MerchantSpy:
    """Records whose share a use case would use; stands for any use case."""

    def __init__(self) -> None:
        self.merchant_ids: list[UUID | None] = []

    def __call__(self, *_: object, **__: object) -> None:
        self.merchant_ids.append(CURRENT_MERCHANT.get())
        raise KeyboardInterrupt  # nothing to render

    for_caller = __call__
    require_active = __call__


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_uses_the_share_of_its_merchant(
    web: WebApp, merchant: MerchantClient, method: str
) -> None:
    spy = MerchantSpy()
    caller = web.with_use_cases({"payments.list": spy, "payments.create": spy}).connect(merchant)
    with pytest.raises(KeyboardInterrupt):
        _ = caller.get(PAYMENTS) if method == "GET" else caller.pay()
    assert spy.merchant_ids == [merchant.merchant_id]


def test_request_with_a_session_uses_the_share_of_its_merchant(
    web: WebApp, session_client: SessionClient
) -> None:
    spy = MerchantSpy()
    with pytest.raises(KeyboardInterrupt):
        web.with_use_cases({"merchants.get_dashboard": spy}).connect(session_client).get(DASHBOARD)
    assert spy.merchant_ids == [session_client.merchant_id]


def test_next_request_does_not_use_the_share_of_the_last_merchant(
    web: WebApp, merchant: MerchantClient
) -> None:
    """The requests of one connection share a context."""
    assert merchant.get(PAYMENTS).status_code == 200
    spy = MerchantSpy()
    with pytest.raises(KeyboardInterrupt):
        web.with_use_cases({"sessions.log_in": spy}).client.post(
            LOGIN, json={"email": "a@example.com", "password": "a long password"}
        )
    assert spy.merchant_ids == [None]
