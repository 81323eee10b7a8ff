"""API keys by their merchant's session: made, listed, revoked, rotated; and what they may do."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, Scope
from atomic_web.access.authentication import get_access_policy
from web.web_client import API_KEYS, ORDER, PAYMENTS, Caller, Member, Web, error_code

UNKNOWN = "01999999-0000-7000-8000-000000000000"


def holder(web: Web, member: Member, made: dict[str, Any]) -> Caller:
    return replace(web.merchant(), merchant_id=member.merchant_id, key=made["rawKey"])


def listed(member: Member) -> dict[str, dict[str, Any]]:
    return {key["id"]: key for key in member.get(API_KEYS).get_json()["data"]}


def test_a_key_is_shown_once_and_works(web: Web, member: Member) -> None:
    made = member.new_key("till 1")
    assert made["rawKey"].startswith(made["prefix"])
    assert made["scopes"] == [scope.value for scope in Scope]
    [shown] = member.get(API_KEYS).get_json()["data"]
    assert "rawKey" not in shown
    assert made["rawKey"] not in str(shown)
    assert (shown["name"], shown["active"], shown["revokedAt"]) == ("till 1", True, None)
    assert shown["lastUsedAt"] is None
    assert holder(web, member, made).pay().status_code == 202


def test_when_it_was_used_is_shown(web: Web, member: Member) -> None:
    made = member.new_key()
    caller = holder(web, member, made)
    web.clock.time += timedelta(hours=1)
    caller.pay()
    assert listed(member)[made["id"]]["lastUsedAt"] == "2026-11-22T16:30:13.153Z"


def test_a_revoked_key_is_refused_at_once_and_stays_listed(web: Web, member: Member) -> None:
    made = member.new_key()
    caller = holder(web, member, made)
    assert caller.pay().status_code == 202
    first = member.delete(f"{API_KEYS}/{made['id']}")
    web.clock.time += timedelta(seconds=5)
    again = member.delete(f"{API_KEYS}/{made['id']}")
    assert first.status_code == again.status_code == 200
    assert again.get_json()["data"] == first.get_json()["data"] == listed(member)[made["id"]]
    assert not first.get_json()["data"]["active"]
    assert caller.pay().status_code == 401
    assert member.events().count("key_revoked") == 1


def test_a_key_ends_when_it_was_to_end(web: Web, member: Member) -> None:
    end = "2026-11-22T16:30:14Z"
    made = member.new_key(expiresAt=end)
    assert made["expiresAt"] == "2026-11-22T16:30:14.000Z"
    caller = holder(web, member, made)
    location = caller.pay().headers["Location"]
    web.clock.time += timedelta(hours=1)
    assert caller.pay().status_code == caller.get(location).status_code + 2 == 202
    web.clock.time += timedelta(seconds=1)
    for answer in (caller.pay(), caller.pay(key="k"), caller.pay_all(ORDER), caller.get(location)):
        assert answer.status_code == 401
    assert caller.post("/api/v1/accounts", {"name": "x", "currency": "EUR"}).status_code == 401
    assert not listed(member)[made["id"]]["active"]


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
def test_an_end_that_is_none_is_refused(member: Member, end: object) -> None:
    answer = member.post(API_KEYS, {"name": "till", "expiresAt": end})
    assert answer.status_code == 400
    assert list(answer.get_json()["error"]["details"]) == ["expiresAt"]
    assert listed(member) == {}


@pytest.mark.parametrize(
    "scopes",
    [
        *([], ["payments"], ["payments:*"], ["*"], ["payments:write", "payments:write"], None, "x"),
        *(["PAYMENTS:WRITE"], [None], [5], [["payments:write"]], {"payments:write": True}),
        *(["payments:write\n"], ["payments:write"] * 3_000, "payments:write"),
    ],
)
def test_scopes_that_are_none_are_refused(member: Member, scopes: object) -> None:
    answer = member.post(API_KEYS, {"name": "till", "scopes": scopes})
    assert (answer.status_code, error_code(answer)) == (400, "validation_failed")
    assert all(name.startswith("scopes") for name in answer.get_json()["error"]["details"])
    assert len(answer.data) < 4_000
    assert listed(member) == {}


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "x" * 1_000, "a\nb", "\x00", None, 5, ["x"]])
def test_names_that_are_none_are_refused(member: Member, name: object) -> None:
    assert member.post(API_KEYS, {"name": name}).status_code == 400
    assert member.post(API_KEYS, {}).status_code == 400
    assert listed(member) == {}


def routes(web: Web) -> list[tuple[str, str, str]]:
    """Method, path and scope of every route that asks for a key."""
    return [
        (method, rule.rule.replace("<id>", UNKNOWN), access.scope)
        for rule in web.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
        if (access := get_access_policy(web.app.view_functions[rule.endpoint])) and access.scope
    ]


@pytest.mark.parametrize("scope", sorted(ALL_SCOPES))
def test_a_key_may_do_what_its_scopes_say_and_nothing_else(
    web: Web, member: Member, scope: str
) -> None:
    only = holder(web, member, member.new_key(scopes=[scope]))
    others = holder(web, member, member.new_key(scopes=sorted(ALL_SCOPES - {scope})))
    met = 0
    for method, path, needed in routes(web):
        for caller, allowed in ((only, needed == scope), (others, needed != scope)):
            answer = caller.client.open(
                path, method=method, headers=caller.authorization, json={"x": 1}
            )
            assert (answer.status_code == 403) != allowed, (method, path)
            if answer.status_code == 403 and method != "HEAD":
                error = answer.get_json()["error"]
                assert (error["code"], error["details"]["scope"]) == (
                    "forbidden",
                    [f"Must include {needed}."],
                )
                assert needed in error["message"]
        met += needed == scope
    assert met
    assert web.effects[0] == 0


def test_who_shows_a_revoked_key_is_not_told_what_it_lacks(web: Web, member: Member) -> None:
    made = member.new_key(scopes=["refunds:write"])
    caller = holder(web, member, made)
    asked = [caller.pay, lambda: caller.get(f"{PAYMENTS}/{UNKNOWN}")]
    assert [ask().status_code for ask in asked] == [403, 403]
    member.delete(f"{API_KEYS}/{made['id']}")
    assert [ask().status_code for ask in asked] == [401, 401]


def test_keys_of_operators_may_do_everything(web: Web, merchant: Caller) -> None:
    for method, path, _ in routes(web):
        answer = merchant.client.open(path, method=method, headers=merchant.authorization)
        assert answer.status_code not in (401, 403)


def test_rotation_gives_a_key_of_the_same_rights(web: Web, member: Member) -> None:
    scopes, end = ["payments:write", "accounts:read"], "2027-01-01T00:00:00.000Z"
    old = member.new_key("till", scopes=scopes, expiresAt=end)
    answer = member.post(f"{API_KEYS}/{old['id']}/rotate", {"overlapSeconds": 3_600})
    assert answer.status_code == 201
    new = answer.get_json()["data"]
    assert (new["name"], new["scopes"], new["expiresAt"]) == ("till", scopes, end)
    assert new["rawKey"] != old["rawKey"]
    callers = [holder(web, member, key) for key in (old, new)]
    assert [caller.pay().status_code for caller in callers] == [202, 202]
    web.clock.time += timedelta(seconds=3_599)
    assert [caller.pay().status_code for caller in callers] == [202, 202]
    web.clock.time += timedelta(seconds=1)
    assert [caller.pay().status_code for caller in callers] == [401, 202]
    assert member.events()[0] == "key_rotated"


def test_rotation_never_lengthens_a_life(web: Web, member: Member) -> None:
    old = member.new_key(expiresAt="2026-11-22T15:31:00Z")
    member.post(f"{API_KEYS}/{old['id']}/rotate", {"overlapSeconds": 604_800})
    assert listed(member)[old["id"]]["expiresAt"] == "2026-11-22T15:31:00.000Z"


def test_without_overlap_the_old_key_ends_at_once(web: Web, member: Member) -> None:
    old = member.new_key()
    assert (
        member.client.post(
            f"{API_KEYS}/{old['id']}/rotate", headers=member.authorization
        ).status_code
        == 201
    )
    assert holder(web, member, old).pay().status_code == 401
    again = member.post(f"{API_KEYS}/{old['id']}/rotate", {})
    assert (again.status_code, error_code(again)) == (409, "conflict")


@pytest.mark.parametrize("overlap", [-1, 604_801, 2**63, 1.5, 1.0, "60", True, None, [60], 1e3])
def test_an_overlap_that_is_none_is_refused(member: Member, overlap: object) -> None:
    old = member.new_key()
    answer = member.post(f"{API_KEYS}/{old['id']}/rotate", {"overlapSeconds": overlap})
    assert answer.status_code == 400
    assert listed(member).keys() == {old["id"]}
    assert listed(member)[old["id"]]["expiresAt"] is None


def test_of_two_rotations_at_once_one_wins(web: Web, member: Member) -> None:
    old = member.new_key()
    path = f"{API_KEYS}/{old['id']}/rotate"
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: member.post(path, {}).status_code, range(8)))
    assert sorted(statuses) == [201] + [409] * 7


def test_another_merchants_key_is_nobodys(web: Web, member: Member) -> None:
    other = web.member("other@shop.example")
    theirs = other.new_key()
    before = listed(other)
    for id in (theirs["id"], UNKNOWN):
        answers = [
            member.delete(f"{API_KEYS}/{id}"),
            member.post(f"{API_KEYS}/{id}/rotate", {}),
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
    assert listed(other) == before
    assert listed(member) == {}
    assert holder(web, other, theirs).pay().status_code == 202


@pytest.mark.parametrize(
    "id", ["x", "%00", "{" + UNKNOWN + "}", UNKNOWN.replace("0", "A"), "0" * 3_900]
)
def test_an_id_that_is_none_is_refused(member: Member, id: str) -> None:
    assert member.delete(f"{API_KEYS}/{id}").status_code == 400
    assert member.post(f"{API_KEYS}/{id}/rotate", {}).status_code == 400


def test_there_is_room_for_so_many_live_keys(web: Web, member: Member) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: member.post(API_KEYS, {"name": f"k{n}"}), range(108)))
    statuses = [answer.status_code for answer in made]
    assert (statuses.count(201), statuses.count(409)) == (MAX_LIVE_KEYS, 8)
    one = next(iter(listed(member)))
    crowded = member.post(f"{API_KEYS}/{one}/rotate", {"overlapSeconds": 60})
    assert crowded.status_code == 409
    assert listed(member)[one]["expiresAt"] is None, "what was refused changed nothing"
    assert member.post(f"{API_KEYS}/{one}/rotate", {}).status_code == 201
    assert member.delete(f"{API_KEYS}/{list(listed(member))[5]}").status_code == 200
    member.new_key()


def test_the_list_is_bounded_and_shows_every_live_key(member: Member) -> None:
    first = member.new_key("first")
    for number in range(MAX_LIVE_KEYS + 10):
        made = member.new_key(f"k{number}")
        member.delete(f"{API_KEYS}/{made['id']}")
    shown = listed(member)
    assert len(shown) == MAX_LIVE_KEYS + 1
    assert next(iter(shown)) == first["id"]


def test_a_repeat_is_told_everything_but_the_key(web: Web, member: Member) -> None:
    answers = [
        member.post(API_KEYS, {"name": "till"}, Idempotency_Key="k").get_json() for _ in range(2)
    ]
    assert answers[0]["data"].pop("rawKey")
    assert answers[1]["data"].pop("rawKey") is None
    assert answers[0] == answers[1]
    assert len(listed(member)) == 1
    path = f"{API_KEYS}/{answers[0]['data']['id']}/rotate"
    turned = [member.post(path, {}, Idempotency_Key="r") for _ in range(2)]
    assert [turn.status_code for turn in turned] == [201, 201]
    assert turned[1].get_json()["data"]["rawKey"] is None
    assert len(listed(member)) == 2
    reused = member.post(API_KEYS, {"name": "other"}, Idempotency_Key="k")
    assert (reused.status_code, error_code(reused)) == (422, "idempotency_key_reused")
