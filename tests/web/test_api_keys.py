"""API keys: created, listed, revoked and rotated with a session; and their scopes."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, Scope
from atomic_web.access.authentication import get_access_policy
from web.web_client import (
    API_KEYS,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    SessionClient,
    WebApp,
    error_code,
)

UNKNOWN = "01999999-0000-7000-8000-000000000000"


def build_key_client(
    web: WebApp, session_client: SessionClient, created: dict[str, Any]
) -> MerchantClient:
    return replace(
        web.create_merchant(), merchant_id=session_client.merchant_id, key=created["rawKey"]
    )


def list_keys(session_client: SessionClient) -> dict[str, dict[str, Any]]:
    return {key["id"]: key for key in session_client.get(API_KEYS).get_json()["data"]}


def test_new_key_works_and_is_returned_once(web: WebApp, session_client: SessionClient) -> None:
    created = session_client.create_key("till 1")
    assert created["rawKey"].startswith(created["prefix"])
    assert created["scopes"] == [scope.value for scope in Scope]
    [listed_key] = session_client.get(API_KEYS).get_json()["data"]
    assert "rawKey" not in listed_key
    assert created["rawKey"] not in str(listed_key)
    assert (listed_key["name"], listed_key["active"], listed_key["revokedAt"]) == (
        "till 1",
        True,
        None,
    )
    assert listed_key["lastUsedAt"] is None
    assert build_key_client(web, session_client, created).pay().status_code == 202


def test_list_shows_last_use_of_a_key(web: WebApp, session_client: SessionClient) -> None:
    created = session_client.create_key()
    caller = build_key_client(web, session_client, created)
    web.clock.time += timedelta(hours=1)
    caller.pay()
    assert list_keys(session_client)[created["id"]]["lastUsedAt"] == "2026-11-22T16:30:13.153Z"


def test_revoked_key_returns_401_at_once_and_stays_listed(
    web: WebApp, session_client: SessionClient
) -> None:
    created = session_client.create_key()
    caller = build_key_client(web, session_client, created)
    assert caller.pay().status_code == 202
    first = session_client.delete(f"{API_KEYS}/{created['id']}")
    web.clock.time += timedelta(seconds=5)
    again = session_client.delete(f"{API_KEYS}/{created['id']}")
    assert first.status_code == again.status_code == 200
    assert (
        again.get_json()["data"]
        == first.get_json()["data"]
        == list_keys(session_client)[created["id"]]
    )
    assert not first.get_json()["data"]["active"]
    assert caller.pay().status_code == 401
    assert session_client.list_audit_events().count("key_revoked") == 1


def test_key_expires_at_its_expiry(web: WebApp, session_client: SessionClient) -> None:
    end = "2026-11-22T16:30:14Z"
    created = session_client.create_key(expiresAt=end)
    assert created["expiresAt"] == "2026-11-22T16:30:14.000Z"
    caller = build_key_client(web, session_client, created)
    location = caller.pay().headers["Location"]
    web.clock.time += timedelta(hours=1)
    assert caller.pay().status_code == caller.get(location).status_code + 2 == 202
    web.clock.time += timedelta(seconds=1)
    for answer in (
        caller.pay(),
        caller.pay(key="k"),
        caller.pay_batch(PAYMENT_BODY),
        caller.get(location),
    ):
        assert answer.status_code == 401
    assert caller.post("/api/v1/accounts", {"name": "x", "currency": "EUR"}).status_code == 401
    assert not list_keys(session_client)[created["id"]]["active"]


@pytest.mark.parametrize(
    "end",
    [
        *(
            "2026-11-22T15:30:13Z",
            "2026-11-22T15:30:13.153999Z",
            "1970-01-01T00:00:00Z",
            "",
            "never",
        ),
        *("2027-01-01", "2027-01-01T00:00:00", "2027-01-01T00:00:00+00:00", "2027-02-30T00:00:00Z"),
        *(
            "2027-01-01T00:00:00z",
            "2027-01-01T24:00:01Z",
            "99999-01-01T00:00:00Z",
            " 2027-01-01T00:00:00Z",
        ),
        *(
            "2027-01-01T00:00:00Z\n",
            "２027-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            1798761600,
            None,
            True,
        ),
    ],
)
def test_invalid_expiry_returns_400(session_client: SessionClient, end: object) -> None:
    answer = session_client.post(API_KEYS, {"name": "till", "expiresAt": end})
    assert answer.status_code == 400
    assert list(answer.get_json()["error"]["details"]) == ["expiresAt"]
    assert list_keys(session_client) == {}


@pytest.mark.parametrize(
    "scopes",
    [
        *([], ["payments"], ["payments:*"], ["*"], ["payments:write", "payments:write"], None, "x"),
        *(["PAYMENTS:WRITE"], [None], [5], [["payments:write"]], {"payments:write": True}),
        *(["payments:write\n"], ["payments:write"] * 3_000, "payments:write"),
    ],
)
def test_invalid_scopes_return_400(session_client: SessionClient, scopes: object) -> None:
    answer = session_client.post(API_KEYS, {"name": "till", "scopes": scopes})
    assert (answer.status_code, error_code(answer)) == (400, "validation_failed")
    assert all(name.startswith("scopes") for name in answer.get_json()["error"]["details"])
    assert len(answer.data) < 4_000
    assert list_keys(session_client) == {}


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "x" * 1_000, "a\nb", "\x00", None, 5, ["x"]])
def test_invalid_names_return_400(session_client: SessionClient, name: object) -> None:
    assert session_client.post(API_KEYS, {"name": name}).status_code == 400
    assert session_client.post(API_KEYS, {}).status_code == 400
    assert list_keys(session_client) == {}


def list_scoped_routes(web: WebApp) -> list[tuple[str, str, set[str]]]:
    """Method, path and scopes of every route that requires an API key. One of the scopes
    suffices."""
    return [
        (method, rule.rule.replace("<id>", UNKNOWN), set(access.scopes))
        for rule in web.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
        if (access := get_access_policy(web.app.view_functions[rule.endpoint])) and access.scope
    ]


@pytest.mark.parametrize("scope", sorted(ALL_SCOPES))
def test_key_is_limited_to_its_scopes(
    web: WebApp, session_client: SessionClient, scope: str
) -> None:
    only = build_key_client(web, session_client, session_client.create_key(scopes=[scope]))
    others = build_key_client(
        web, session_client, session_client.create_key(scopes=sorted(ALL_SCOPES - {scope}))
    )
    met = 0
    for method, path, needed in list_scoped_routes(web):
        for caller, allowed in ((only, scope in needed), (others, needed != {scope})):
            answer = caller.client.open(
                path, method=method, headers=caller.authorization, json={"x": 1}
            )
            assert (answer.status_code == 403) != allowed, (method, path)
            if answer.status_code == 403 and method != "HEAD":
                error = answer.get_json()["error"]
                [detail] = error["details"]["scope"]
                assert error["code"] == "scope_missing"
                assert set(re.findall(r"[a-z]+:[a-z]+", detail)) == needed
                assert all(name in error["message"] for name in needed)
        met += scope in needed
    assert met
    assert web.effects[0] == 0


def test_revoked_key_returns_401_and_not_403(web: WebApp, session_client: SessionClient) -> None:
    created = session_client.create_key(scopes=["refunds:write"])
    caller = build_key_client(web, session_client, created)
    requests = [caller.pay, lambda: caller.get(f"{PAYMENTS}/{UNKNOWN}")]
    assert [send().status_code for send in requests] == [403, 403]
    session_client.delete(f"{API_KEYS}/{created['id']}")
    assert [send().status_code for send in requests] == [401, 401]


def test_operator_issued_keys_have_all_scopes(web: WebApp, merchant: MerchantClient) -> None:
    for method, path, _ in list_scoped_routes(web):
        answer = merchant.client.open(path, method=method, headers=merchant.authorization)
        assert answer.status_code not in (401, 403)


def test_rotated_key_has_the_same_scopes(web: WebApp, session_client: SessionClient) -> None:
    scopes, end = ["payments:write", "accounts:read"], "2027-01-01T00:00:00.000Z"
    old = session_client.create_key("till", scopes=scopes, expiresAt=end)
    answer = session_client.post(f"{API_KEYS}/{old['id']}/rotate", {"overlapSeconds": 3_600})
    assert answer.status_code == 201
    new = answer.get_json()["data"]
    assert (new["name"], new["scopes"], new["expiresAt"]) == ("till", scopes, end)
    assert new["rawKey"] != old["rawKey"]
    callers = [build_key_client(web, session_client, key) for key in (old, new)]
    assert [caller.pay().status_code for caller in callers] == [202, 202]
    web.clock.time += timedelta(seconds=3_599)
    assert [caller.pay().status_code for caller in callers] == [202, 202]
    web.clock.time += timedelta(seconds=1)
    assert [caller.pay().status_code for caller in callers] == [401, 202]
    assert session_client.list_audit_events()[0] == "key_rotated"


def test_rotation_does_not_postpone_expiry(web: WebApp, session_client: SessionClient) -> None:
    old = session_client.create_key(expiresAt="2026-11-22T15:31:00Z")
    session_client.post(f"{API_KEYS}/{old['id']}/rotate", {"overlapSeconds": 604_800})
    assert list_keys(session_client)[old["id"]]["expiresAt"] == "2026-11-22T15:31:00.000Z"


def test_rotation_without_overlap_ends_the_old_key_at_once(
    web: WebApp, session_client: SessionClient
) -> None:
    old = session_client.create_key()
    assert (
        session_client.client.post(
            f"{API_KEYS}/{old['id']}/rotate", headers=session_client.authorization
        ).status_code
        == 201
    )
    assert build_key_client(web, session_client, old).pay().status_code == 401
    again = session_client.post(f"{API_KEYS}/{old['id']}/rotate", {})
    assert (again.status_code, error_code(again)) == (409, "api_key_inactive")


@pytest.mark.parametrize("overlap", [-1, 604_801, 2**63, 1.5, 1.0, "60", True, None, [60], 1e3])
def test_invalid_overlap_returns_400(session_client: SessionClient, overlap: object) -> None:
    old = session_client.create_key()
    answer = session_client.post(f"{API_KEYS}/{old['id']}/rotate", {"overlapSeconds": overlap})
    assert answer.status_code == 400
    assert list_keys(session_client).keys() == {old["id"]}
    assert list_keys(session_client)[old["id"]]["expiresAt"] is None


def test_only_one_of_two_concurrent_rotations_succeeds(
    web: WebApp, session_client: SessionClient
) -> None:
    old = session_client.create_key()
    path = f"{API_KEYS}/{old['id']}/rotate"
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: session_client.post(path, {}).status_code, range(8)))
    assert sorted(statuses) == [201] + [409] * 7


def test_another_merchants_key_returns_404(web: WebApp, session_client: SessionClient) -> None:
    other = web.register_and_log_in("other@shop.example")
    others_key = other.create_key()
    before = list_keys(other)
    for id in (others_key["id"], UNKNOWN):
        answers = [
            session_client.delete(f"{API_KEYS}/{id}"),
            session_client.post(f"{API_KEYS}/{id}/rotate", {}),
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
    assert list_keys(other) == before
    assert list_keys(session_client) == {}
    assert build_key_client(web, other, others_key).pay().status_code == 202


@pytest.mark.parametrize(
    "id", ["x", "%00", "{" + UNKNOWN + "}", UNKNOWN.replace("0", "A"), "0" * 3_900]
)
def test_invalid_key_id_returns_400(session_client: SessionClient, id: str) -> None:
    assert session_client.delete(f"{API_KEYS}/{id}").status_code == 400
    assert session_client.post(f"{API_KEYS}/{id}/rotate", {}).status_code == 400


def test_number_of_active_keys_is_limited(web: WebApp, session_client: SessionClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        created = list(
            threads.map(lambda n: session_client.post(API_KEYS, {"name": f"k{n}"}), range(108))
        )
    statuses = [answer.status_code for answer in created]
    assert (statuses.count(201), statuses.count(409)) == (MAX_LIVE_KEYS, 8)
    one = next(iter(list_keys(session_client)))
    crowded = session_client.post(f"{API_KEYS}/{one}/rotate", {"overlapSeconds": 60})
    assert crowded.status_code == 409
    assert list_keys(session_client)[one]["expiresAt"] is None, "what was refused changed nothing"
    assert session_client.post(f"{API_KEYS}/{one}/rotate", {}).status_code == 201
    assert (
        session_client.delete(f"{API_KEYS}/{list(list_keys(session_client))[5]}").status_code == 200
    )
    session_client.create_key()


def test_list_is_bounded_and_contains_every_active_key(session_client: SessionClient) -> None:
    first = session_client.create_key("first")
    for number in range(MAX_LIVE_KEYS + 10):
        created = session_client.create_key(f"k{number}")
        session_client.delete(f"{API_KEYS}/{created['id']}")
    keys = list_keys(session_client)
    assert len(keys) == MAX_LIVE_KEYS + 1
    assert next(iter(keys)) == first["id"]


def test_replay_omits_the_raw_key(web: WebApp, session_client: SessionClient) -> None:
    answers = [
        session_client.post(API_KEYS, {"name": "till"}, Idempotency_Key="k").get_json()
        for _ in range(2)
    ]
    assert answers[0]["data"].pop("rawKey")
    assert answers[1]["data"].pop("rawKey") is None
    assert answers[0] == answers[1]
    assert len(list_keys(session_client)) == 1
    path = f"{API_KEYS}/{answers[0]['data']['id']}/rotate"
    turned = [session_client.post(path, {}, Idempotency_Key="r") for _ in range(2)]
    assert [turn.status_code for turn in turned] == [201, 201]
    assert turned[1].get_json()["data"]["rawKey"] is None
    assert len(list_keys(session_client)) == 2
    reused = session_client.post(API_KEYS, {"name": "other"}, Idempotency_Key="k")
    assert (reused.status_code, error_code(reused)) == (422, "idempotency_key_reused")
