"""GET /merchants/audit-log."""

import pytest

from web.web_client import (
    API_KEYS,
    AUDIT_LOG,
    EMAIL,
    LOGIN,
    LOGOUT,
    PASSWORD,
    SessionClient,
    WebApp,
)


def test_audit_log_records_every_event(web: WebApp, session_client: SessionClient) -> None:
    created = session_client.create_key()
    rotated = session_client.post(
        f"{API_KEYS}/{created['id']}/rotate", {}, X_Request_Id="turn"
    ).get_json()
    session_client.delete(f"{API_KEYS}/{rotated['data']['id']}")
    web.client.post(LOGIN, json={"email": EMAIL, "password": "wrong password"})
    web.application.api_keys.issue(session_client.merchant_id, "by an operator")
    other = web.log_in()
    other.post(LOGOUT, {})
    rows = session_client.get(AUDIT_LOG).get_json()["data"]["items"]
    assert [(row["event"], row["actor"]) for row in rows] == [
        ("logout", "session"),
        ("login", "session"),
        ("key_created", "operator"),
        ("login_failed", "anonymous"),
        ("key_revoked", "session"),
        ("key_rotated", "session"),
        ("key_created", "session"),
        ("login", "session"),
        ("merchant_registered", "anonymous"),
    ]
    assert rows[0]["actorId"] == rows[1]["actorId"] != rows[4]["actorId"]
    assert rows[4]["actorId"] == rows[7]["actorId"]
    assert [row["address"] for row in rows] == ["127.0.0.1"] * 2 + [None] + ["127.0.0.1"] * 6
    assert (rows[5]["requestId"], rows[2]["requestId"]) == ("turn", None)
    assert rows[5]["details"]["oldKeyId"] == created["id"]
    assert rows[5]["details"]["keyId"] == rotated["data"]["id"]
    for secret in (PASSWORD, session_client.key, created["rawKey"], rotated["data"]["rawKey"]):
        assert secret not in str(rows)


def test_refused_requests_are_not_in_the_audit_log(
    web: WebApp, session_client: SessionClient
) -> None:
    before = session_client.list_audit_events()
    session_client.post(API_KEYS, {"name": ""})
    session_client.delete(f"{API_KEYS}/01999999-0000-7000-8000-000000000000")
    session_client.post(f"{API_KEYS}/01999999-0000-7000-8000-000000000000/rotate", {})
    session_client.post(API_KEYS, {"name": "x", "expiresAt": "2020-01-01T00:00:00Z"})
    assert session_client.list_audit_events() == before


def test_audit_log_contains_own_events_only(web: WebApp, session_client: SessionClient) -> None:
    other = web.register_and_log_in("other@shop.example")
    other.create_key()
    assert session_client.list_audit_events() == ["login", "merchant_registered"]
    page = other.get(f"{AUDIT_LOG}?limit=1").get_json()["data"]
    assert page["nextCursor"]
    assert session_client.get(f"{AUDIT_LOG}?cursor={page['nextCursor']}").status_code == 400


def list_audit_rows(session_client: SessionClient) -> list[dict[str, str]]:
    return session_client.get(AUDIT_LOG).get_json()["data"]["items"]


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 100])
def test_pages_contain_each_event_once_while_events_are_added(
    web: WebApp, session_client: SessionClient, limit: int
) -> None:
    for _ in range(5):
        session_client.create_key()
    expected = [row["id"] for row in list_audit_rows(session_client)]
    seen: list[str] = []
    path = f"{AUDIT_LOG}?limit={limit}"
    cursor = ""
    while True:
        page = session_client.get(path + cursor).get_json()["data"]
        assert len(page["items"]) <= limit
        seen += [row["id"] for row in page["items"]]
        session_client.create_key()
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == expected


def test_default_limit_is_twenty(session_client: SessionClient) -> None:
    for _ in range(20):
        session_client.create_key()
    page = session_client.get(AUDIT_LOG).get_json()["data"]
    assert len(page["items"]) == 20
    assert page["nextCursor"]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=-1", "limit=1.0", "limit=", "limit=٣", "limit=%201"),
        *("limit=1e1", "limit=01", "limit=9999999999", "limit=1&limit=2", "limit=x", "offset=1"),
        *("cursor=", "cursor=x", "cursor=" + "A" * 31, "cursor=" + "A" * 33, "cursor=" + "/" * 32),
        *("cursor=" + "_" * 32, "cursor=" + "A" * 4_000, "cursor=%00", "cursor=" + "é" * 32),
        *("cursor=null", "cursor=" + "A" * 32 + "&cursor=" + "A" * 32, "page=2", "LIMIT=5"),
        *("cursor=" + "A" * 32 + "%0a", "cursor=" + "A" * 31 + "=", "limit[]=5"),
    ],
)
def test_invalid_query_returns_400(session_client: SessionClient, query: str) -> None:
    assert session_client.get(f"{AUDIT_LOG}?{query}").status_code == 400
