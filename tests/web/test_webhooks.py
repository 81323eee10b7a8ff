"""/webhook-endpoints and /deliveries over HTTP."""

import json
from typing import Any

import pytest

from atomic_adapters.memory.services import MemoryWebhookSender
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from atomic_core.ports.secret_cipher import SecretUnreadable
from atomic_core.use_cases.webhook_endpoints import MAX_PINGS
from atomic_web.schemas.times import INVALID_TIME
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    PAYMENT_BODY,
    MerchantClient,
    SessionClient,
    WebApp,
    error_code,
)

ENDPOINTS = "/api/v1/webhook-endpoints"
URL = "https://shop.example/webhooks"


@pytest.fixture
def sender(web: WebApp) -> MemoryWebhookSender:
    sender = web.application.webhooks.deliver.sender
    assert isinstance(sender, MemoryWebhookSender)
    return sender


def create(merchant: MerchantClient, **body: Any) -> dict[str, Any]:
    response = merchant.post(ENDPOINTS, {"url": URL, **body})
    assert response.status_code == 201, response.text
    return response.get_json()["data"]


def test_body_of_a_webhook_is_the_event_that_the_api_returns(
    web: WebApp, merchant: MerchantClient, sender: MemoryWebhookSender
) -> None:
    create(merchant)
    payment = merchant.pay(metadata={"größe": "\u2028"}).headers["Location"]
    web.application.settlement.settle()
    merchant.post(f"{payment}/refunds", {"reason": "broken"}, X_Request_Id="refund-1")
    web.application.settlement.settle()
    gone = create(merchant, url="https://gone.example/")["endpoint"]["id"]
    sender.answer = lambda request: WebhookResult(
        *((410, "status 410") if "gone" in request.url else (200, None)), 1, "", None
    )
    merchant.post(ACCOUNTS, ACCOUNT_BODY)
    for _ in range(2):
        web.application.webhooks.deliver()
    assert merchant.get(f"{ENDPOINTS}/{gone}").get_json()["data"]["status"] == "disabled"
    sent = {
        request.id: json.loads(request.body) for request in sender.requests if request.url == URL
    }
    events = merchant.get("/api/v1/events?limit=100").get_json()["data"]["items"]
    assert {event["type"].partition(".")[0] for event in events} == {
        *("account", "payment", "refund", "webhook_endpoint")
    }
    assert sent == {event["id"]: event for event in events}


def test_secret_is_returned_once(merchant: MerchantClient) -> None:
    first, replay = (
        merchant.post(ENDPOINTS, {"url": URL}, Idempotency_Key="create") for _ in range(2)
    )
    issued = first.get_json()["data"]
    assert issued["secret"].startswith("whsec_")
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert replay.get_json()["data"] == {**issued, "secret": None}
    path = f"{ENDPOINTS}/{issued['endpoint']['id']}"
    rotated, again = (
        merchant.post(f"{path}/rotate-secret", {}, Idempotency_Key="rotate") for _ in range(2)
    )
    assert rotated.get_json()["data"]["secret"] not in (None, issued["secret"])
    assert again.get_json()["data"]["secret"] is None
    for response in (merchant.get(path), merchant.get(ENDPOINTS)):
        assert "whsec_" not in response.text


def test_endpoint_is_changed_member_by_member(merchant: MerchantClient) -> None:
    endpoint = create(merchant, eventTypes=["payment.*"], description="Orders", ordered=True)
    path = f"{ENDPOINTS}/{endpoint['endpoint']['id']}"
    for change in (
        {"url": "https://new.example/"},
        {"eventTypes": []},
        {"description": ""},
        {"ordered": False},
        {"status": "disabled"},
        {"status": "enabled"},
        {},
    ):
        before = merchant.get(path).get_json()["data"]
        changed = merchant.patch(path, change)
        assert changed.status_code == 200, changed.text
        after = changed.get_json()["data"]
        ignored = {"updatedAt", "disabledReason"}
        assert {name for name in after if after[name] != before[name]} - ignored == set(change)
        assert after["disabledReason"] == ("requested" if "disabled" in change.values() else None)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "url"),
        *(
            ({"url": url}, "url")
            for url in (
                *("ftp://shop.example/", "https://user:pw@shop.example/", "nonsense", ""),
                *("http://127.0.0.1/", "http://0x7f.1/", "http://[::1]/", "http://localhost/"),
                *("http://[::ffff:10.0.0.1]/", "http://169.254.169.254/", 5, None),
                "https://" + "x" * 2_048,
            )
        ),
        *(
            ({"url": URL, "eventTypes": types}, "eventTypes")
            for types in (["payment.*"] * 2, "payment.*", None)
        ),
        ({"url": URL, "eventTypes": ["payment.unknown"]}, "eventTypes.0"),
        ({"url": URL, "eventTypes": [5]}, "eventTypes.0"),
        ({"url": URL, "description": "x" * 201}, "description"),
        ({"url": URL, "ordered": "yes"}, "ordered"),
        ({"url": URL, "ordered": 1}, "ordered"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
    ],
)
def test_invalid_endpoint_returns_400_by_name(
    merchant: MerchantClient, body: dict[str, Any], name: str
) -> None:
    response = merchant.post(ENDPOINTS, body)
    assert (response.status_code, error_code(response)) == (400, "validation_failed")
    assert list(response.get_json()["error"]["details"]) == [name]
    assert merchant.get(ENDPOINTS).get_json()["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        *({"url": f"{URL}?key=sk_test_{'0' * 48}"}, {"url": URL, "description": "a\0b"}),
        {"url": URL, "description": f"sk_test_{'0' * 48}"},
    ],
)
def test_keys_and_nul_characters_are_refused(
    merchant: MerchantClient, body: dict[str, Any]
) -> None:
    assert merchant.post(ENDPOINTS, body).status_code == 400
    assert merchant.get(ENDPOINTS).get_json()["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"fromSequence": 1, "since": "2026-11-22T00:00:00Z"}, {"fromSequence": 0}),
        *({"fromSequence": "1"}, {"since": "yesterday"}, {"fromSequence": 2}),
    ],
)
def test_invalid_replay_returns_400(merchant: MerchantClient, body: dict[str, Any]) -> None:
    id = create(merchant)["endpoint"]["id"]
    assert merchant.post(f"{ENDPOINTS}/{id}/replay", body).status_code == 400


def test_deliveries_are_listed_by_status_and_type_in_pages(
    web: WebApp, merchant: MerchantClient, sender: MemoryWebhookSender
) -> None:
    id = create(merchant)["endpoint"]["id"]
    for _ in range(5):
        merchant.post(ACCOUNTS, ACCOUNT_BODY)
    merchant.pay()
    web.application.settlement.settle()
    sender.answer = lambda request: (
        WebhookResult(500, "status 500", 1, "no", None)
        if b"payment.succeeded" in request.body
        else WebhookResult(200, None, 1, "", None)
    )
    web.application.webhooks.deliver()
    path = f"{ENDPOINTS}/{id}/deliveries"

    def list_sequences(query: str) -> list[int]:
        items = merchant.get(f"{path}?{query}").get_json()["data"]["items"]
        return [item["sequence"] for item in items]

    everything = list_sequences("limit=100")
    assert sorted(everything) == list(range(1, len(everything) + 1))
    [failed] = list_sequences("status=pending")
    assert list_sequences("type=payment.*") == [failed]
    assert sorted([*list_sequences("status=succeeded"), failed]) == sorted(everything)
    assert list_sequences("status=pending&type=account.*") == []
    assert list_sequences("createdFrom=2099-01-01") == []
    collected: list[int] = []
    cursor = ""
    while True:
        page = merchant.get(f"{path}?limit=2{cursor}").get_json()["data"]
        collected += [item["sequence"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert collected == everything
    delivery_id = merchant.get(f"{path}?status=pending").get_json()["data"]["items"][0]["id"]
    details = merchant.get(f"/api/v1/deliveries/{delivery_id}").get_json()["data"]
    [attempt] = details["attempts"]
    assert (attempt["statusCode"], attempt["response"]) == (500, "no")
    retried = merchant.post(f"/api/v1/deliveries/{delivery_id}/retry", {})
    assert retried.status_code == 202
    web.application.webhooks.deliver()
    details = merchant.get(f"/api/v1/deliveries/{delivery_id}").get_json()["data"]
    assert [attempt["number"] for attempt in details["attempts"]] == [1, 2]


def test_payments_own_url_is_called_also_from_a_batch(
    web: WebApp, merchant: MerchantClient, sender: MemoryWebhookSender
) -> None:
    urls = ["https://one.example/", "https://two.example/"]
    merchant.pay(webhookUrl=urls[0])
    merchant.pay_batch({**PAYMENT_BODY, "webhookUrl": urls[1]}, PAYMENT_BODY)
    web.application.settlement.settle()
    web.application.webhooks.deliver()
    assert sorted(request.url for request in sender.requests) == urls
    [endpoint] = merchant.get(ENDPOINTS).get_json()["data"]
    assert endpoint["url"] is None
    assert merchant.patch(f"{ENDPOINTS}/{endpoint['id']}", {"url": URL}).status_code == 409
    assert merchant.post(f"{ENDPOINTS}/{endpoint['id']}/test", {}).status_code == 409
    assert merchant.delete(f"{ENDPOINTS}/{endpoint['id']}").status_code == 409
    rotated = merchant.post(f"{ENDPOINTS}/{endpoint['id']}/rotate-secret", {}).get_json()["data"]
    merchant.pay(webhookUrl=urls[0])
    web.application.settlement.settle()
    web.application.webhooks.deliver()
    assert sender.requests[-1].secrets[0] == rotated["secret"]


def test_secret_that_cannot_be_decrypted_is_a_conflict(
    web: WebApp, merchant: MerchantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = create(merchant)["endpoint"]["id"]

    def refuse(_: object, __: bytes) -> str:
        raise SecretUnreadable

    monkeypatch.setattr(type(web.application.webhooks.ping.cipher), "decrypt", refuse)
    response = merchant.post(f"{ENDPOINTS}/{id}/test", {})
    assert (response.status_code, error_code(response)) == (409, "signing_secret_unreadable")


def test_every_command_is_audited_with_its_key(
    web: WebApp, session_client: SessionClient, sender: MemoryWebhookSender
) -> None:
    created = session_client.create_key(
        scopes=["accounts:write", "webhooks:read", "webhooks:write"]
    )
    caller = MerchantClient(
        web.client, session_client.merchant_id, session_client.key_id, created["rawKey"]
    )
    endpoint = create(caller)["endpoint"]["id"]
    path = f"{ENDPOINTS}/{endpoint}"
    caller.patch(path, {"description": "till"})
    caller.post(f"{path}/rotate-secret", {})
    caller.post(ACCOUNTS, ACCOUNT_BODY)
    web.application.webhooks.deliver()
    [delivery] = caller.get(f"{path}/deliveries").get_json()["data"]["items"]
    retried = caller.post(f"/api/v1/deliveries/{delivery['id']}/retry", {}, X_Request_Id="retry-1")
    caller.post(f"{path}/replay", {"fromSequence": 1})
    caller.delete(path)
    events = session_client.get("/api/v1/merchants/audit-log?limit=100").get_json()["data"]["items"]
    of_endpoint = [
        event for event in reversed(events) if event["details"].get("webhookEndpointId") == endpoint
    ]
    assert [event["event"] for event in of_endpoint] == [
        "webhook_endpoint_created",
        "webhook_endpoint_changed",
        "webhook_secret_rotated",
        "webhook_delivery_retried",
        "webhooks_replayed",
        "webhook_endpoint_deleted",
    ]
    assert {(event["actor"], event["actorId"]) for event in of_endpoint} == {("key", created["id"])}
    retry, replay = of_endpoint[3:5]
    assert retry["details"]["deliveryId"] == delivery["id"]
    assert retry["requestId"] == retried.headers["X-Request-Id"] == "retry-1"
    assert replay["details"]["fromSequence"] == "1"


def test_tests_of_one_merchant_do_not_take_all_connections(
    merchant: MerchantClient, sender: MemoryWebhookSender
) -> None:
    id, inner = create(merchant)["endpoint"]["id"], list[int]()

    def answer(request: WebhookRequest) -> WebhookResult:
        if len(sender.requests) <= MAX_PINGS:
            inner.append(merchant.post(f"{ENDPOINTS}/{id}/test", {}).status_code)
        return WebhookResult(200, None, 1, "", None)

    sender.answer = answer
    first = merchant.post(f"{ENDPOINTS}/{id}/test", {})
    assert first.status_code == 200
    # Each is sent while the one before waits for its answer; the last is refused.
    assert sorted(inner) == [200] * (MAX_PINGS - 1) + [429]
    assert merchant.post(f"{ENDPOINTS}/{id}/test", {}).status_code == 200


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("2026-01-01", 202),
        ("2026-01-01T00:00:00Z", 202),
        ("2026-01-01T00:00:00.123456+01:00", 202),
        ("2026-13-01", 400),
        ("2026-02-30", 400),
        ("2026-01-01T00:00:00 01:00", 400),
        ("2026-01-01T00:00:00", 400),
    ],
)
def test_replay_since_a_date_or_a_time(merchant: MerchantClient, since: str, status: int) -> None:
    id = create(merchant)["endpoint"]["id"]
    response = merchant.post(f"{ENDPOINTS}/{id}/replay", {"since": since})
    assert response.status_code == status
    if status == 400:
        assert response.get_json()["error"]["details"]["since"] == [INVALID_TIME]


def test_endpoint_of_payments_own_urls_is_audited_with_the_key_of_the_first(
    web: WebApp, session_client: SessionClient
) -> None:
    created = session_client.create_key(scopes=["payments:write"])
    caller = MerchantClient(
        web.client, session_client.merchant_id, session_client.key_id, created["rawKey"]
    )
    for _ in range(2):
        caller.pay(webhookUrl="https://one.example/")
    events = session_client.get("/api/v1/merchants/audit-log?limit=100").get_json()["data"]["items"]
    [event] = [event for event in events if event["event"] == "webhook_endpoint_created"]
    assert (event["actor"], event["actorId"]) == ("key", created["id"])
    assert event["details"].keys() == {"webhookEndpointId"}
