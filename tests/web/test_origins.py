"""Each route that writes passes on the actor, the client's address and the server's request id."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from atomic_core.domain.events import EventType
from atomic_core.domain.origins import ActorType, Origin
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    AUDIT_LOG,
    PAYMENT_BODY,
    MerchantClient,
    SessionClient,
    WebApp,
)

CHOSEN = "7c4a2f9e-3b0d-4f6a-9c1e-5d8b7a60f213"
"""An X-Request-Id that looks like one of the server's."""


def list_origins(web: WebApp, merchant: MerchantClient, path: str) -> dict[str, Origin | None]:
    id = UUID(path.rsplit("/", 1)[1])
    timeline = web.application.payments.get_timeline(merchant.merchant_id, id)
    return {row.event.type.timeline_name: row.event.origin for row in timeline.events}


def assert_origin_of_key(origin: Origin | None, merchant: MerchantClient) -> None:
    assert origin
    assert (origin.actor, origin.actor_id) == (ActorType.KEY, merchant.key_id)
    assert (origin.address, origin.request_id) == ("127.0.0.1", CHOSEN)
    assert origin.server_request_id
    assert origin.server_request_id != UUID(CHOSEN)


def create_payment(merchant: MerchantClient) -> str:
    return merchant.post(
        "/api/v1/payments", PAYMENT_BODY | {"capture": "manual"}, X_Request_Id=CHOSEN
    ).headers["Location"]


def create_batch(merchant: MerchantClient) -> str:
    payments = [PAYMENT_BODY | {"capture": "manual"}] * 2
    response = merchant.pay_batch(*payments, X_Request_Id=CHOSEN)
    return f"/api/v1/payments/{response.get_json()['data']['payments'][1]['id']}"


@pytest.mark.parametrize("create", [create_payment, create_batch])
@pytest.mark.parametrize("has_account", [True, False])
def test_new_payment_has_the_origin_of_its_request(
    web: WebApp,
    merchant: MerchantClient,
    create: Callable[[MerchantClient], str],
    has_account: bool,
) -> None:
    if has_account:
        merchant.post(ACCOUNTS, ACCOUNT_BODY)
    path = create(merchant)
    assert_origin_of_key(list_origins(web, merchant, path)[EventType.CREATED], merchant)


@pytest.mark.parametrize("action", ["capture", "cancel"])
def test_resolved_hold_has_the_origin_of_its_request(
    web: WebApp, merchant: MerchantClient, action: str
) -> None:
    path = merchant.pay(capture="manual").headers["Location"]
    web.application.settlement.settle()
    assert merchant.post(f"{path}/{action}", {}, X_Request_Id=CHOSEN).status_code == 202
    origins = list_origins(web, merchant, path)
    assert_origin_of_key(origins[f"{action}_requested"], merchant)
    created = origins[EventType.CREATED]
    assert created
    assert created.request_id == str(created.server_request_id), "no client chose another"


def test_refund_has_the_origin_of_its_request(web: WebApp, merchant: MerchantClient) -> None:
    path = merchant.pay().headers["Location"]
    web.application.settlement.settle()
    merchant.post(f"{path}/refunds", {"amount": 1}, X_Request_Id=CHOSEN)
    origins = list_origins(web, merchant, path)
    assert_origin_of_key(origins[EventType.REFUND_CREATED], merchant)


def test_opened_account_is_in_the_audit_log_with_its_key(
    web: WebApp, session_client: SessionClient
) -> None:
    created = session_client.create_key()
    key = MerchantClient(
        web.client, session_client.merchant_id, UUID(created["id"]), created["rawKey"]
    )
    body = ACCOUNT_BODY | {"currency": "EUR"}
    account = key.post(ACCOUNTS, body, X_Request_Id=CHOSEN).get_json()["data"]
    first, *_ = session_client.get(AUDIT_LOG).get_json()["data"]["items"]
    assert UUID(first["serverRequestId"]) != UUID(CHOSEN)
    expected: dict[str, Any] = {
        "event": "account_opened",
        "actor": "key",
        "actorId": created["id"],
        "address": "127.0.0.1",
        "requestId": CHOSEN,
        "details": {"accountId": account["id"], "currency": "EUR"},
    }
    assert {name: first[name] for name in expected} == expected


def test_change_by_a_session_has_the_servers_request_id(session_client: SessionClient) -> None:
    session_client.post("/api/v1/merchants/api-keys", {"name": "till"}, X_Request_Id=CHOSEN)
    created, login, *_ = session_client.get(AUDIT_LOG).get_json()["data"]["items"]
    assert (created["actor"], created["actorId"]) == ("session", login["actorId"])
    assert created["requestId"] == CHOSEN
    assert login["requestId"] == login["serverRequestId"]
    assert UUID(created["serverRequestId"]) != UUID(CHOSEN)


def test_timeline_shows_actor_and_requests_and_no_address(
    web: WebApp, merchant: MerchantClient
) -> None:
    path = create_payment(merchant)
    web.application.settlement.settle()
    timeline = merchant.get(f"{path}/timeline")
    created, processing, _ = timeline.get_json()["data"]["events"]
    assert created["actor"] == {"type": "key", "id": str(merchant.key_id)}
    assert created["requestId"] == CHOSEN
    assert UUID(created["serverRequestId"]) != UUID(CHOSEN)
    assert (processing["actor"], processing["serverRequestId"]) == (None, None)
    assert b"127.0.0.1" not in timeline.data
    assert b"127.0.0.1" not in merchant.get(path).data


def test_timeline_does_not_name_operators(web: WebApp, merchant: MerchantClient) -> None:
    path = merchant.pay().headers["Location"]
    operator = Origin(ActorType.OPERATOR, operator="Ada Lovelace")
    web.application.admin.retry_payment(UUID(path.rsplit("/", 1)[1]), operator)
    timeline = merchant.get(f"{path}/timeline")
    *_, retried = timeline.get_json()["data"]["events"]
    assert (retried["event"], retried["actor"]) == (
        "retry_requested",
        {"type": "operator", "id": None},
    )
    assert b"Lovelace" not in timeline.data


def test_servers_request_id_is_in_the_log(web: WebApp, merchant: MerchantClient) -> None:
    with capture_logs(processors=[merge_contextvars]) as logs:
        path = create_payment(merchant)
    origin = list_origins(web, merchant, path)[EventType.CREATED]
    assert origin
    [line] = [line for line in logs if line["event"] == "request"]
    assert line["request_id"] == CHOSEN
    assert line["server_request_id"] == str(origin.server_request_id)


def test_replay_keeps_the_first_origin(web: WebApp, merchant: MerchantClient) -> None:
    first, second = (
        merchant.post("/api/v1/payments", PAYMENT_BODY, Idempotency_Key="k", X_Request_Id=id)
        for id in ("first", "second")
    )
    assert first.headers["Location"] == second.headers["Location"]
    origin = list_origins(web, merchant, first.headers["Location"])[EventType.CREATED]
    assert origin
    assert origin.request_id == "first"
