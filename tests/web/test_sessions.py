"""POST /merchants/password, GET and DELETE /merchants/sessions, and suspended merchants."""

from datetime import timedelta
from typing import Any

import pytest

from atomic_core.domain.credentials import MAX_LIVE_SESSIONS
from atomic_core.domain.origins import OPERATOR
from web.web_client import (
    CHANGE_PASSWORD,
    DASHBOARD,
    EMAIL,
    LOGIN,
    NO_LIMITS,
    PASSWORD,
    PAYMENTS,
    REGISTER,
    SESSIONS,
    MerchantClient,
    SessionClient,
    WebApp,
    error_code,
)

NEW = "seven purple mountains sing"
CHANGE = {"currentPassword": PASSWORD, "newPassword": NEW}


def list_sessions(session_client: SessionClient) -> list[dict[str, Any]]:
    return session_client.get(SESSIONS).get_json()["data"]


def log_in_with(web: WebApp, password: str) -> int:
    return web.client.post(LOGIN, json={"email": EMAIL, "password": password}).status_code


def test_changed_password_ends_other_sessions_only(
    web: WebApp, session_client: SessionClient
) -> None:
    other = web.log_in()
    answer = session_client.post(CHANGE_PASSWORD, CHANGE)
    assert answer.status_code == 200
    assert answer.get_json()["data"] == {"changed": True, "revokedSessions": 1}
    assert session_client.get(DASHBOARD).status_code == 200
    assert other.get(DASHBOARD).status_code == 401
    assert [log_in_with(web, password) for password in (PASSWORD, NEW)] == [401, 200]


def test_wrong_current_password_returns_403(web: WebApp, session_client: SessionClient) -> None:
    answer = session_client.post(CHANGE_PASSWORD, CHANGE | {"currentPassword": "wrong horse"})
    assert (answer.status_code, error_code(answer)) == (403, "wrong_password")
    assert log_in_with(web, PASSWORD) == 200
    assert "password_change_failed" in session_client.list_audit_events()


@pytest.mark.parametrize("name", ["currentPassword", "newPassword"])
@pytest.mark.parametrize("value", ["short", "x" * 129, "nul\0nul\0nul", None, 12345678, ["x"]])
def test_invalid_password_returns_400(
    session_client: SessionClient, name: str, value: object
) -> None:
    answer = session_client.post(CHANGE_PASSWORD, CHANGE | {name: value})
    assert answer.status_code == 400
    assert session_client.post(CHANGE_PASSWORD, {}).status_code == 400
    assert session_client.post(CHANGE_PASSWORD, CHANGE | {"email": EMAIL}).status_code == 400


@pytest.mark.parametrize("password", ["password", "12345678", "PassWord", " password ", "iloveyou"])
def test_common_passwords_are_refused_but_still_log_in(
    web: WebApp, session_client: SessionClient, password: str
) -> None:
    refused = web.client.post(REGISTER, json={"email": "new@shop.example", "password": password})
    assert (refused.status_code, error_code(refused)) == (400, "validation_failed")
    assert list(refused.get_json()["error"]["details"]) == ["password"]
    refused = session_client.post(CHANGE_PASSWORD, CHANGE | {"newPassword": password})
    assert list(refused.get_json()["error"]["details"]) == ["newPassword"]
    assert log_in_with(web, password) == 401, "a login is not refused for it"


def test_repeated_change_is_replayed(session_client: SessionClient) -> None:
    first, again = (
        session_client.post(CHANGE_PASSWORD, CHANGE, Idempotency_Key="k") for _ in range(2)
    )
    assert (again.status_code, again.data) == (200, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = CHANGE | {"newPassword": "eight purple mountains"}
    answer = session_client.post(CHANGE_PASSWORD, other, Idempotency_Key="k")
    assert (answer.status_code, error_code(answer)) == (422, "idempotency_key_reused")


def test_passwords_are_guessed_in_one_session_within_its_limit_only(
    web: WebApp, session_client: SessionClient
) -> None:
    configured_web = web.with_settings(**NO_LIMITS | {"RATE_LIMIT_PASSWORD": "2/900"})
    thief, owner = (
        SessionClient(configured_web.client, each.merchant_id, each.key_id, each.key)
        for each in (session_client, web.log_in())
    )
    wrong = CHANGE | {"currentPassword": "wrong horse"}
    statuses = [thief.post(CHANGE_PASSWORD, wrong).status_code for _ in range(4)]
    assert statuses == [403, 403, 429, 429]
    assert owner.post(CHANGE_PASSWORD, CHANGE).status_code == 200, "the owner still can"
    assert thief.get(DASHBOARD).status_code == 401


def test_sessions_are_listed_newest_first(web: WebApp, session_client: SessionClient) -> None:
    web.clock.time += timedelta(seconds=1)
    response = web.client.post(
        LOGIN,
        json={"email": EMAIL, "password": PASSWORD},
        environ_overrides={"REMOTE_ADDR": "2001:db8::1"},
    )
    token = response.get_json()["data"]["token"]
    other = SessionClient(web.client, session_client.merchant_id, session_client.key_id, token)
    newest, oldest = list_sessions(other)
    assert (newest["address"], newest["current"]) == ("2001:db8::1", True)
    assert (oldest["address"], oldest["current"]) == ("127.0.0.1", False)
    assert newest["createdAt"] > oldest["createdAt"]
    assert token not in str(list_sessions(other))
    stranger = web.register_and_log_in("other@shop.example")
    assert len(list_sessions(stranger)) == 1


def test_session_is_ended_by_its_id(web: WebApp, session_client: SessionClient) -> None:
    other = web.log_in()
    [other_id] = [each["id"] for each in list_sessions(other) if each["current"]]
    for _ in range(2):
        answer = session_client.delete(f"{SESSIONS}/{other_id}")
        assert (answer.status_code, answer.get_json()["data"]) == (200, {"revoked": True})
    assert other.get(DASHBOARD).status_code == 401
    assert len(list_sessions(session_client)) == 1
    assert session_client.list_audit_events().count("session_revoked") == 1


def test_own_session_is_ended_by_its_id(session_client: SessionClient) -> None:
    [own] = list_sessions(session_client)
    assert session_client.delete(f"{SESSIONS}/{own['id']}").status_code == 200
    assert session_client.get(DASHBOARD).status_code == 401


def test_another_merchants_session_is_404(web: WebApp, session_client: SessionClient) -> None:
    stranger = web.register_and_log_in("other@shop.example")
    [foreign] = list_sessions(stranger)
    unknown = "01999999-0000-7000-8000-000000000000"
    answers = [session_client.delete(f"{SESSIONS}/{id}") for id in (foreign["id"], unknown)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].get_json()["error"] == answers[1].get_json()["error"]
    assert stranger.get(DASHBOARD).status_code == 200


def test_all_other_sessions_are_ended(web: WebApp, session_client: SessionClient) -> None:
    others, stranger = [web.log_in() for _ in range(3)], web.register_and_log_in("o@shop.example")
    answer = session_client.delete(SESSIONS)
    assert answer.get_json()["data"] == {"revokedCount": 3}
    assert {other.get(DASHBOARD).status_code for other in others} == {401}
    assert session_client.get(DASHBOARD).status_code == stranger.get(DASHBOARD).status_code == 200
    assert session_client.delete(SESSIONS).get_json()["data"] == {"revokedCount": 0}


def test_login_above_the_maximum_ends_the_oldest_session(
    web: WebApp, session_client: SessionClient
) -> None:
    clients = [session_client]
    for _ in range(MAX_LIVE_SESSIONS):
        web.clock.time += timedelta(seconds=1)
        clients.append(web.log_in())
    statuses = [each.get(DASHBOARD).status_code for each in clients]
    assert statuses == [401] + [200] * MAX_LIVE_SESSIONS
    assert len(list_sessions(clients[-1])) == MAX_LIVE_SESSIONS


def test_suspended_merchants_keys_and_sessions_get_401(
    web: WebApp, session_client: SessionClient
) -> None:
    key = session_client.create_key()["rawKey"]
    caller = MerchantClient(web.client, session_client.merchant_id, session_client.key_id, key)
    payment = caller.pay().headers["Location"]
    web.application.merchants.suspend(session_client.merchant_id, OPERATOR)
    before = web.effects
    answers = [
        caller.pay(),
        caller.pay_batch({"amount": 5, "currency": "USD", "source": "tok_visa"}),
        caller.get(payment),
        caller.get(PAYMENTS),
        caller.post(f"{payment}/refunds", {}),
        session_client.get(DASHBOARD),
        session_client.post(CHANGE_PASSWORD, CHANGE),
    ]
    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert web.effects == before
    answer = web.client.post(LOGIN, json={"email": EMAIL, "password": PASSWORD})
    assert (answer.status_code, error_code(answer)) == (403, "login_suspended")
    assert log_in_with(web, "wrong horse battery") == 401
    web.application.merchants.resume(session_client.merchant_id, OPERATOR)
    assert caller.pay().status_code == 202
    assert session_client.get(DASHBOARD).status_code == 401, "it must log in again"
    assert web.log_in().get(DASHBOARD).status_code == 200
