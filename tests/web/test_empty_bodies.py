"""An empty body means `{}` on each route whose fields are all optional, and on no other."""

from typing import Any

import pytest

from atomic_web.context import BASE_PATH
from web.conformance import Contract
from web.test_hostile_bodies import send_chunked
from web.test_journal import create_ledger
from web.web_client import MerchantClient, SessionClient, WebApp, error_code

UNKNOWN = "01999999-0000-7000-8000-000000000000"

MEDIA_TYPES = [None, "application/json", "application/x-www-form-urlencoded", "text/plain"]
"""curl sends none without `-d`, and the form's with `-d ''`; many clients send JSON's always."""


def find_posts(contract: Contract, *, is_body_required: bool) -> set[str]:
    return {
        path
        for method, path, operation in contract.operations()
        if method == "POST" and operation.get("requestBody", {}).get("required") is is_body_required
    }


def build_headers(authorization: dict[str, str], media_type: str | None) -> dict[str, str]:
    return authorization if media_type is None else authorization | {"Content-Type": media_type}


def create_target(
    web: WebApp, merchant: MerchantClient, session_client: SessionClient, path: str
) -> tuple[str, dict[str, str]]:
    """The URL of a resource that the operation applies to, and the headers that authorize it."""
    if path.startswith("/merchants/"):
        key_id = session_client.create_key()["id"]
        return BASE_PATH + path.format(id=key_id), session_client.authorization
    if path.startswith("/ledger/"):
        ledger = create_ledger(web, merchant)
        is_pending = not path.endswith("/reverse")
        body = ledger.build(pending=is_pending)
        transaction = ledger.post(body).get_json()["data"]["id"]
        return BASE_PATH + path.format(id=transaction), merchant.authorization
    if path.startswith("/disputes/"):
        merchant.pay(source="tok_disputed")
        web.application.settlement.settle()
        web.application.disputes.process("sandbox")
        [dispute] = merchant.get(f"{BASE_PATH}/disputes").get_json()["data"]["items"]
        return BASE_PATH + path.format(id=dispute["id"]), merchant.authorization
    capture = "automatic" if path.endswith("/refunds") else "manual"
    payment = merchant.pay(capture=capture).get_json()["data"]["id"]
    web.application.settlement.settle()
    return BASE_PATH + path.format(id=payment), merchant.authorization


OPTIONAL = [
    *("/payments/{id}/capture", "/payments/{id}/cancel", "/payments/{id}/refunds"),
    *("/merchants/api-keys/{id}/rotate", "/disputes/{id}/accept"),
    *(f"/ledger/transactions/{{id}}/{action}" for action in ("reverse", "post", "void")),
]


def test_every_operation_with_only_optional_fields_is_tested_here(contract: Contract) -> None:
    # It needs one of two members.
    with_alternatives = {"/webhook-endpoints/{id}/replay"}
    assert find_posts(contract, is_body_required=False) - with_alternatives == set(OPTIONAL)
    for method, path, operation in contract.operations():
        body: dict[str, Any] = operation.get("requestBody", {})
        if method == "POST" and body:
            name = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            fields = contract.document["components"]["schemas"][name]
            assert body["required"] is bool(fields.get("required")), path


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize("path", OPTIONAL)
def test_empty_body_means_an_empty_object(
    web: WebApp,
    merchant: MerchantClient,
    session_client: SessionClient,
    path: str,
    media_type: str | None,
) -> None:
    url, authorization = create_target(web, merchant, session_client, path)
    headers = build_headers(authorization, media_type)
    response = web.client.post(url, headers=headers | {"Idempotency-Key": "k"})
    assert response.status_code in (200, 201, 202), response.data
    replay = web.client.post(url, json={}, headers=authorization | {"Idempotency-Key": "k"})
    assert replay.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("path", OPTIONAL)
def test_empty_chunked_body_means_an_empty_object(
    web: WebApp, merchant: MerchantClient, session_client: SessionClient, path: str
) -> None:
    url, authorization = create_target(web, merchant, session_client, path)
    assert send_chunked(web.client, url, b"", authorization).status_code in (200, 201, 202)


@pytest.mark.parametrize("body", [b" ", b"\n", b"\0"])
@pytest.mark.parametrize("path", OPTIONAL)
def test_body_of_white_space_is_not_empty(
    merchant: MerchantClient, session_client: SessionClient, path: str, body: bytes
) -> None:
    caller = session_client if path.startswith("/merchants/") else merchant
    response = caller.post(BASE_PATH + path.format(id=UNKNOWN), body)
    assert (response.status_code, error_code(response)) == (400, "malformed_request")


@pytest.mark.parametrize("path", OPTIONAL)
def test_body_with_another_media_type_returns_415(
    merchant: MerchantClient, session_client: SessionClient, path: str
) -> None:
    caller = session_client if path.startswith("/merchants/") else merchant
    url = BASE_PATH + path.format(id=UNKNOWN)
    for media_type in (None, "text/plain"):
        headers = build_headers(caller.authorization, media_type)
        response = caller.client.post(url, data=b"{}", headers=headers)
        assert (response.status_code, error_code(response)) == (415, "unsupported_media_type")


def test_empty_body_with_required_fields_is_refused(
    web: WebApp, merchant: MerchantClient, session_client: SessionClient, contract: Contract
) -> None:
    # Those of card networks are checked by their signature first.
    paths = find_posts(contract, is_body_required=True) - {"/networks/stripe/events"}
    assert {"/payments", "/payments/batch", "/accounts"} < paths
    for path in paths:
        is_session_required = path in ("/merchants/api-keys", "/merchants/password")
        caller = session_client if is_session_required else merchant
        url = BASE_PATH + path.replace("{id}", "01999999-0000-7000-8000-000000000000")
        response = caller.post(url, b"")
        assert error_code(response) == "malformed_request"
        message = response.get_json()["error"]["message"]
        assert message == "The body is empty; send a JSON object."
        response = caller.client.post(url, headers=caller.authorization)
        assert (response.status_code, error_code(response)) == (415, "unsupported_media_type")
