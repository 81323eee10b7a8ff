"""Every use of authority is told, to its merchant and to nobody else."""

import pytest

from web.web_client import API_KEYS, AUDIT_LOG, EMAIL, LOGIN, LOGOUT, PASSWORD, Member, Web


def test_each_use_of_authority_is_told(web: Web, member: Member) -> None:
    made = member.new_key()
    turned = member.post(f"{API_KEYS}/{made['id']}/rotate", {}, X_Request_Id="turn").get_json()
    member.delete(f"{API_KEYS}/{turned['data']['id']}")
    web.client.post(LOGIN, json={"email": EMAIL, "password": "wrong password"})
    web.application.api_keys.issue(member.merchant_id, "by an operator")
    other = web.log_in()
    other.post(LOGOUT, {})
    rows = member.get(AUDIT_LOG).get_json()["data"]["items"]
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
    assert rows[5]["details"]["oldKeyId"] == made["id"]
    assert rows[5]["details"]["keyId"] == turned["data"]["id"]
    for secret in (PASSWORD, member.key, made["rawKey"], turned["data"]["rawKey"]):
        assert secret not in str(rows)


def test_what_was_refused_is_not_told_as_done(web: Web, member: Member) -> None:
    before = member.events()
    member.post(API_KEYS, {"name": ""})
    member.delete(f"{API_KEYS}/01999999-0000-7000-8000-000000000000")
    member.post(f"{API_KEYS}/01999999-0000-7000-8000-000000000000/rotate", {})
    member.post(API_KEYS, {"name": "x", "expiresAt": "2020-01-01T00:00:00Z"})
    assert member.events() == before


def test_it_is_its_merchants(web: Web, member: Member) -> None:
    other = web.member("other@shop.example")
    other.new_key()
    assert member.events() == ["login", "merchant_registered"]
    page = other.get(f"{AUDIT_LOG}?limit=1").get_json()["data"]
    assert page["nextCursor"]
    assert member.get(f"{AUDIT_LOG}?cursor={page['nextCursor']}").status_code == 400


def member_rows(member: Member) -> list[dict[str, str]]:
    return member.get(AUDIT_LOG).get_json()["data"]["items"]


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 100])
def test_page_by_page_each_row_is_shown_once_while_more_arrive(
    web: Web, member: Member, limit: int
) -> None:
    for _ in range(5):
        member.new_key()
    expected = [row["id"] for row in member_rows(member)]
    seen: list[str] = []
    path = f"{AUDIT_LOG}?limit={limit}"
    cursor = ""
    while True:
        page = member.get(path + cursor).get_json()["data"]
        assert len(page["items"]) <= limit
        seen += [row["id"] for row in page["items"]]
        member.new_key()
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == expected


def test_twenty_are_shown_unless_it_is_said(member: Member) -> None:
    for _ in range(20):
        member.new_key()
    page = member.get(AUDIT_LOG).get_json()["data"]
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
def test_a_bad_query_is_refused(member: Member, query: str) -> None:
    assert member.get(f"{AUDIT_LOG}?{query}").status_code == 400
