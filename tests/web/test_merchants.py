"""Registration, login, dashboard and logout."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_adapters.security.argon2_password_hasher import MINIMAL_PARAMETERS, Argon2PasswordHasher
from atomic_core.domain.errors import HasherBusy
from atomic_core.domain.fees import FeeTerms
from atomic_core.ports.password_hasher import PasswordHasher
from atomic_web.access.idempotency import fingerprint_request
from web.web_client import (
    ACCOUNTS,
    API_KEYS,
    AUDIT_LOG,
    CHANGE_PASSWORD,
    DASHBOARD,
    EMAIL,
    LOGIN,
    LOGOUT,
    NO_LIMITS,
    PASSWORD,
    PAYMENTS,
    REGISTER,
    SESSIONS,
    MerchantClient,
    SessionClient,
    WebApp,
    error_code,
    error_type,
)

BOTH = {"email": EMAIL, "password": PASSWORD}
SESSION_ROUTES = [
    *(("GET", SESSIONS), ("DELETE", SESSIONS), ("DELETE", f"{SESSIONS}/x")),
    ("POST", CHANGE_PASSWORD),
    *(("GET", DASHBOARD), ("GET", API_KEYS), ("POST", API_KEYS), ("GET", AUDIT_LOG)),
    *(("POST", LOGOUT), ("DELETE", f"{API_KEYS}/x"), ("POST", f"{API_KEYS}/x/rotate")),
]


@dataclass
class CountingHasher:
    """Counts hashes and verifications."""

    behind: PasswordHasher
    hashed: int = 0
    verified: list[str] = field(default_factory=list)

    @property
    def dummy_hash(self) -> str:
        return self.behind.dummy_hash

    def hash(self, password: str) -> str:
        self.hashed += 1
        return self.behind.hash(password)

    def verify(self, encoded: str, password: str) -> bool:
        self.verified.append(encoded)
        return self.behind.verify(encoded, password)

    def is_outdated(self, encoded: str) -> bool:
        return self.behind.is_outdated(encoded)


class BusyHasher:
    dummy_hash = ""

    def hash(self, password: str) -> str:
        raise HasherBusy

    def verify(self, encoded: str, password: str) -> bool:
        raise HasherBusy


def with_hasher(web: WebApp, passwords: Any) -> WebApp:
    application = web.application
    return web.with_use_cases(
        {
            "merchants.register": replace(
                application.merchants.register, password_hasher=passwords
            ),
            "sessions.log_in": replace(application.sessions.log_in, password_hasher=passwords),
        }
    )


def get_tables(web: WebApp) -> Any:
    begin = web.application.payments.record.begin
    return cast("MemoryStore", getattr(begin, "__self__")).tables  # noqa: B009


def register(web: WebApp, **changes: object) -> Any:
    key = changes.pop("key", None)
    headers = {"Idempotency-Key": str(key)} if key else {}
    body = {name: value for name, value in (BOTH | changes).items() if value is not None}
    return web.client.post(REGISTER, json=body, headers=headers)


def log_in(web: WebApp, key: str | None = None, **changes: object) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return web.client.post(LOGIN, json=BOTH | changes, headers=headers)


def test_registered_merchant_has_an_account_and_can_log_in(web: WebApp) -> None:
    answer = register(web, name="Shop")
    assert answer.status_code == 201
    data = answer.get_json()["data"]
    assert set(data) == {"id", "email", "accountId"}
    response = log_in(web)
    assert response.status_code == 200
    session = response.get_json()["data"]
    assert session["merchant"] == data
    assert session["token"].startswith("st_")
    assert len(session["token"]) == 3 + 48
    session_client = SessionClient(web.client, data["id"], data["id"], session["token"])
    board = session_client.get(DASHBOARD).get_json()["data"]
    assert board["merchant"]["name"] == "Shop"
    [account] = board["accounts"]
    assert (account["id"], account["currency"], account["balance"]) == (data["accountId"], "USD", 0)


def test_closed_registration_returns_403_and_login_still_works(web: WebApp) -> None:
    register(web)
    closed = web.with_settings(**NO_LIMITS, REGISTRATION="closed")
    for body in (BOTH | {"email": "other@shop.example"}, BOTH, {}):
        before = web.effects
        answer = closed.client.post(REGISTER, json=body)
        assert (answer.status_code, error_code(answer)) == (403, "registration_closed")
        assert "closed" in answer.get_json()["error"]["message"]
        assert web.effects == before
    assert log_in(closed).status_code == 200


def test_first_account_has_the_default_currency(web: WebApp) -> None:
    configured_web = web.with_settings(**NO_LIMITS, CURRENCIES="JPY,EUR")
    [account] = configured_web.register_and_log_in().get(DASHBOARD).get_json()["data"]["accounts"]
    assert account["currency"] == "EUR"


@pytest.mark.parametrize("email", [EMAIL, EMAIL.upper(), "Owner@Shop.Example"])
def test_email_is_unique_in_every_case(web: WebApp, email: str) -> None:
    first = register(web).get_json()["data"]
    before = web.effects
    again = register(web, email=email, password="another password")
    assert (again.status_code, error_code(again)) == (409, "email_taken")
    assert web.effects == before
    response = log_in(web, email=email).get_json()["data"]
    assert response["merchant"] == first


def test_only_one_of_two_concurrent_registrations_succeeds(web: WebApp) -> None:
    def register_once(number: int) -> int:
        return register(web, password=f"password number {number}").status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(register_once, range(8)))
    assert sorted(statuses) == [201] + [409] * 7
    system_accounts = sum(
        account.merchant_id is None for account in get_tables(web).accounts.rows.values()
    )
    assert web.effects[1] - system_accounts == 1, "one account of a merchant"
    assert len(get_tables(web).merchants.rows) == 1


BAD_EMAILS = [
    *(
        "",
        "x",
        "@",
        "a@b",
        "@shop.example",
        "a@",
        "a b@shop.example",
        "a@shop..example",
        "a@@b.example",
    ),
    *("a" * 65 + "@shop.example", "a" * 1_000 + "@shop.example", "a@" + "b." * 500 + "example"),
    *(
        "a@shop.example\n",
        "a@shop.example\x00",
        "\x00a@shop.example",
        "a\x7f@shop.example",
        "é@shop.example",
    ),
    *(
        "a@shóp.example",
        "a@shop.example ",
        " a@shop.example",
        '"a b"@shop.example',
        "a@[192.0.2.1]",
    ),
    *(
        "a@-shop.example",
        "a@shop-.example",
        "a..b@shop.example",
        ".a@shop.example",
        "a@shop.example.",
    ),
    *(
        "\u212a@shop.example",
        "a@shop。example",
        "a@x.example,b@x.example",
        "a@x.example\r\nBcc: b@x.example",
    ),
    *(None, 5, True, [EMAIL], {"a": EMAIL}, 1e9),
]


@pytest.mark.parametrize("email", BAD_EMAILS)
def test_invalid_email_returns_400(web: WebApp, email: object) -> None:
    for path in (REGISTER, LOGIN):
        answer = web.client.post(path, json=BOTH | {"email": email})
        assert answer.status_code == 400, path
        assert error_code(answer) == "validation_failed"
    assert web.effects == (0, 0, 0)
    assert not get_tables(web).audit_log.rows


@pytest.mark.parametrize(
    "email",
    [
        *("a@b.c", "first.last+tag@sub.shop.example", "o'neil@shop.example", "1@1.example"),
        *("a" * 64 + "@shop.example", "a@" + "b" * 63 + ".example", "a@xn--shp-hoa.example"),
        "a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".c0",
    ],
)
def test_valid_email_is_accepted(web: WebApp, email: str) -> None:
    assert register(web, email=email).status_code == 201
    assert log_in(web, email=email).status_code == 200


BAD_PASSWORDS = [
    *(
        "",
        "short",
        "1234567",
        "é" * 7,
        "e\u0301" * 7,
        "x" * 129,
        "x" * 1_000,
        "é" * 129,
        "x" * 60_000,
    ),
    *("nul\x00nul\x00nul", None, 12345678, True, ["password"], {"password": "password"}),
    "e\u0301" * 1_000,
]


@pytest.mark.parametrize("password", BAD_PASSWORDS)
def test_invalid_password_returns_400_without_hashing(web: WebApp, password: object) -> None:
    counting = CountingHasher(Argon2PasswordHasher(MINIMAL_PARAMETERS))
    configured_web = with_hasher(web, counting)
    for path in (REGISTER, LOGIN):
        answer = configured_web.client.post(path, json=BOTH | {"password": password})
        assert answer.status_code == 400, path
        assert list(answer.get_json()["error"].get("details", {"password": ""})) == ["password"]
        if isinstance(password, str) and password:
            assert password.encode() not in answer.data
    assert (counting.hashed, counting.verified) == (0, [])


@pytest.mark.parametrize(
    "password",
    [
        "73920518",
        "x" * 128,
        "pässwörd",
        "密码密码密码密码",
        "        ",
        "\tq\n'\"\\{}%s",
        "😀" * 128,
    ],
)
def test_any_text_of_valid_length_is_a_password(web: WebApp, password: str) -> None:
    assert register(web, password=password).status_code == 201
    assert log_in(web, password=password).status_code == 200
    for other in (password[:-1] + "y", password + " ", password.upper() + "x"):
        if 8 <= len(other) <= 128:
            assert log_in(web, password=other).status_code == 401


def test_password_is_compared_in_normal_form_c(web: WebApp) -> None:
    assert register(web, password="cafe\u0301 cafe\u0301").status_code == 201
    assert log_in(web, password="caf\u00e9 caf\u00e9").status_code == 200
    # The normal form C only: what merely looks alike is something else.
    assert log_in(web, password="\uff43af\u00e9 caf\u00e9").status_code == 401


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "a\u202eb", None, 5])
def test_unprintable_name_returns_400(web: WebApp, name: object) -> None:
    assert web.client.post(REGISTER, json=BOTH | {"name": name}).status_code == 400
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("field", ["role", "id", "merchantId", "accountId", "Password", "scopes"])
def test_unknown_fields_return_400(web: WebApp, field: str) -> None:
    for path in (REGISTER, LOGIN):
        assert web.client.post(path, json=BOTH | {field: "x"}).status_code == 400
        assert web.client.post(f"{path}?{field}=x", json=BOTH).status_code == 400


def test_wrong_password_and_unknown_email_get_one_response_after_the_same_work(web: WebApp) -> None:
    counting = CountingHasher(Argon2PasswordHasher(MINIMAL_PARAMETERS))
    configured_web = with_hasher(web, counting)
    register(configured_web)
    counting.hashed = 0
    answers, costs = [], []
    for changes in ({"password": "wrong password"}, {"email": "nobody@shop.example"}):
        counting.verified.clear()
        rows = len(get_tables(web).audit_log.rows)
        answer = log_in(configured_web, **changes)
        answers.append((answer.status_code, answer.get_json()["error"], set(answer.headers.keys())))
        parameters = [encoded.rsplit("$", 2)[0] for encoded in counting.verified]
        lengths = [len(encoded) for encoded in counting.verified]
        costs.append((parameters, lengths, len(get_tables(web).audit_log.rows) - rows))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert costs[0] == costs[1]
    assert costs[0][0] == ["$argon2id$v=19$m=8,t=1,p=1"], "one verification, at the full price"
    assert counting.hashed == 0


def test_decoy_password_does_not_log_in(web: WebApp) -> None:
    assert log_in(web, email="nobody@shop.example", password="").status_code == 400
    assert log_in(web, email="nobody@shop.example", password="\x20" * 8).status_code == 401


def test_failed_login_with_an_unknown_email_stores_its_hash_only(web: WebApp) -> None:
    log_in(web, email="nobody@shop.example")
    [row] = get_tables(web).audit_log.rows.values()
    assert (row.event.merchant_id, len(row.event.email_hash)) == (None, 32)
    assert "nobody" not in str(row)


def test_busy_hasher_returns_503_with_retry_after(web: WebApp) -> None:
    register(web)
    configured_web = with_hasher(web, BusyHasher())
    for answer in (register(configured_web, email="other@shop.example"), log_in(configured_web)):
        assert (answer.status_code, error_code(answer)) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "1"
    assert log_in(web).status_code == 200


def test_password_is_rehashed_when_the_parameters_change(web: WebApp) -> None:
    register(web)
    [before] = [kept.password_hash for kept in get_tables(web).credentials.rows.values()]
    dearer = CountingHasher(Argon2PasswordHasher(MINIMAL_PARAMETERS._replace(passes=2)))
    configured_web = with_hasher(web, dearer)
    assert log_in(configured_web, password="wrong password").status_code == 401
    assert dearer.hashed == 0
    assert [log_in(configured_web).status_code for _ in range(2)] == [200, 200]
    [after] = [kept.password_hash for kept in get_tables(web).credentials.rows.values()]
    assert (dearer.hashed, "t=2" in after, after != before) == (1, True, True)
    assert log_in(web).status_code == 200, "the old price still verifies"
    assert "password_rehashed" in configured_web.log_in().list_audit_events()


def test_token_ends_at_its_expiry_or_logout(web: WebApp, session_client: SessionClient) -> None:
    other = web.log_in()
    assert session_client.post(LOGOUT, {}).get_json()["data"] == {"revoked": True}
    assert session_client.post(LOGOUT, {}).status_code == 401
    assert session_client.get(DASHBOARD).status_code == 401
    assert other.get(DASHBOARD).status_code == 200
    web.clock.time += timedelta(hours=12) - timedelta(seconds=1)
    assert other.get(DASHBOARD).status_code == 200
    web.clock.time += timedelta(seconds=1)
    assert other.get(DASHBOARD).status_code == 401
    assert web.application.maintenance.purge_sessions() == 2


@pytest.mark.parametrize(("method", "path"), SESSION_ROUTES)
def test_session_routes_refuse_api_keys(
    web: WebApp, session_client: SessionClient, merchant: MerchantClient, method: str, path: str
) -> None:
    own_key = session_client.create_key()["rawKey"]
    gone = web.log_in()
    gone.post(LOGOUT, {})
    wrong = [
        merchant.key,
        own_key,
        gone.key,
        "st_" + "0" * 48,
        session_client.key[:-1],
        session_client.key + "0",
    ]
    headers = [
        None,
        "",
        f"Basic {session_client.key}",
        f"Bearer {session_client.key},{session_client.key}",
        session_client.key,
    ]
    headers += [f"Bearer {token}" for token in [*wrong, session_client.key.upper()]]
    for header in headers:
        sent = {"Authorization": header} if header is not None else {}
        answer = web.client.open(path, method=method, json={"name": "x"}, headers=sent)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert error_type(answer) == "unauthorized"
        assert error_code(answer).startswith(("session_token_", "session_invalid", "api_key_given"))
    cookie = {"Cookie": f"token={session_client.key}"}
    assert web.client.open(path, method=method, headers=cookie).status_code == 401


def test_api_key_routes_refuse_session_tokens(web: WebApp, session_client: SessionClient) -> None:
    assert session_client.pay().status_code == 401
    assert session_client.post(ACCOUNTS, {"name": "x", "currency": "USD"}).status_code == 401
    assert session_client.get(f"{PAYMENTS}/01999999-0000-7000-8000-000000000000").status_code == 401
    assert web.effects[0] == 0


def test_dashboard_totals_add_up(web: WebApp, session_client: SessionClient) -> None:
    key = replace(
        web.create_merchant(),
        merchant_id=session_client.merchant_id,
        key=session_client.create_key()["rawKey"],
    )
    for days in (30, 29, 1):
        web.clock.time -= timedelta(days=days)
        assert key.pay(amount=days).status_code == 202
        web.clock.time += timedelta(days=days)
    for number in range(12):
        declined = {"source": "tok_chargeDeclined"} if number % 2 else {}
        assert key.pay(amount=100, **declined).status_code == 202
        web.clock.time += timedelta(seconds=1)
    assert key.pay(amount=7, currency="EUR").status_code == 202
    web.application.settlement.settle()
    board = session_client.get(DASHBOARD).get_json()["data"]
    assert board["today"] == [
        {"status": "FAILED", "currency": "USD", "count": 6, "amount": 600, **build_money(0)},
        {"status": "SUCCESS", "currency": "EUR", "count": 1, "amount": 7, **build_money(7)},
        {"status": "SUCCESS", "currency": "USD", "count": 6, "amount": 600, **build_money(600)},
    ]
    [_, _, dollars] = board["last30Days"]
    expected = {"status": "SUCCESS", "currency": "USD", "count": 8, "amount": 630}
    assert dollars == expected | build_money(630)
    assert board["totalsComplete"]
    assert len(board["payments"]) == 10
    assert board["payments"][0]["currency"] == "EUR"
    moments = [payment["createdAt"] for payment in board["payments"]]
    assert moments == sorted(moments, reverse=True)
    assert {(each["currency"], each["balance"]) for each in board["accounts"]} == {
        ("USD", 660),
        ("EUR", 7),
    }


def build_money(captured: int, refunded: int = 0, fees: int = 0) -> dict[str, int]:
    net = captured - refunded - fees
    return {"captured": captured, "refunded": refunded, "fees": fees, "net": net}


def test_net_of_today_is_negative_if_earlier_payments_paid_for_refunds(
    web: WebApp, session_client: SessionClient
) -> None:
    merchant_id = session_client.merchant_id
    key = replace(
        web.create_merchant(),
        merchant_id=merchant_id,
        key=session_client.create_key()["rawKey"],
    )
    web.clock.time -= timedelta(days=1)
    key.pay(amount=1_000)
    web.application.settlement.settle()
    web.clock.time += timedelta(days=1)
    web.application.fees.set(merchant_id, "USD", FeeTerms(fixed=30))
    payment = key.pay(amount=100).get_json()["data"]
    web.application.settlement.settle()
    assert key.post(f"{PAYMENTS}/{payment['id']}/refunds", {}).status_code == 202
    web.application.settlement.settle()
    board = session_client.get(DASHBOARD).get_json()["data"]
    total = {"status": "SUCCESS", "currency": "USD"}
    assert board["today"] == [total | {"count": 1, "amount": 100} | build_money(100, 100, 30)]
    assert board["last30Days"] == [
        total | {"count": 2, "amount": 1_100} | build_money(1_100, 100, 30)
    ]
    assert board["accounts"][0]["balance"] == board["last30Days"][0]["net"] == 970


def test_dashboard_contains_own_data_only(web: WebApp, session_client: SessionClient) -> None:
    other = web.register_and_log_in("other@shop.example")
    caller = replace(web.create_merchant(), key=other.create_key()["rawKey"])
    caller.pay()
    own, others = (each.get(DASHBOARD).get_json()["data"] for each in (session_client, other))
    assert (own["payments"], own["today"]) == ([], [])
    assert len(others["payments"]) == 1
    assert own["merchant"]["id"] != others["merchant"]["id"]


def log_in_from(web: WebApp, address: str, **changes: object) -> Any:
    return web.client.post(LOGIN, json=BOTH | changes, environ_overrides={"REMOTE_ADDR": address})


def test_logins_are_rate_limited_per_address(web: WebApp) -> None:
    configured_web = web.with_settings(**NO_LIMITS | {"RATE_LIMIT_LOGIN_ADDRESS": "3/60"})

    def attempt(number: int) -> Any:
        return log_in_from(configured_web, "192.0.2.1", email=f"owner{number}@shop.example")

    assert [attempt(number).status_code == 429 for number in range(5)] == [False] * 3 + [True] * 2
    assert '"login_address";r=0' in attempt(6).headers["RateLimit"]
    web.clock.time += timedelta(seconds=60)
    assert attempt(7).status_code != 429


STRANGER, OWNER = "192.0.2.66", "198.51.100.7"


def test_wrong_logins_of_a_stranger_do_not_lock_the_owner_out(
    web: WebApp, session_client: SessionClient
) -> None:
    """Ten wrong logins, and then as many as the stranger likes, from one address or from many."""
    configured_web = web.with_settings(
        **NO_LIMITS | {"RATE_LIMIT_LOGIN_EMAIL": "10/900", "RATE_LIMIT_LOGIN_SLOW": "1/30"}
    )
    for number in range(40):
        address = STRANGER if number < 20 else f"203.0.113.{number}"
        log_in_from(configured_web, address, email=EMAIL.title(), password="a wrong password")
    assert log_in_from(configured_web, OWNER).status_code == 200
    assert session_client.get(DASHBOARD).status_code == 200, "an existing session is not touched"


def test_logins_above_the_limit_are_slowed_down_per_email_and_address(web: WebApp) -> None:
    configured_web = web.with_settings(
        **NO_LIMITS | {"RATE_LIMIT_LOGIN_EMAIL": "3/900", "RATE_LIMIT_LOGIN_SLOW": "1/30"}
    )
    register(web)

    def attempt(address: str = STRANGER, **changes: str) -> Any:
        return log_in_from(configured_web, address, password="a wrong password", **changes)

    assert [attempt().status_code for _ in range(6)] == [401] * 4 + [429] * 2
    refused = attempt()
    assert refused.headers["RateLimit"] == f'"login_slow";r=0;t={refused.headers["Retry-After"]}'
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert attempt(email="other@shop.example").status_code == 401, "another email"
    assert attempt(OWNER).status_code == 401, "another address has a turn of its own"
    assert attempt(OWNER).status_code == 429
    for _ in range(3):
        web.clock.time += timedelta(seconds=30)
        assert [attempt(address).status_code for address in (STRANGER, OWNER)] == [401, 401]
        assert [attempt(address).status_code for address in (STRANGER, OWNER)] == [429, 429]
    web.clock.time += timedelta(seconds=900)
    assert [attempt().status_code for _ in range(3)] == [401] * 3


def test_login_that_another_limit_refuses_does_not_slow_the_email_down(web: WebApp) -> None:
    configured_web = web.with_settings(
        **NO_LIMITS
        | {
            "RATE_LIMIT_LOGIN_ADDRESS": "2/900",
            "RATE_LIMIT_LOGIN_EMAIL": "3/900",
            "RATE_LIMIT_LOGIN_SLOW": "1/30",
        }
    )
    register(web)
    for _ in range(20):
        log_in_from(configured_web, STRANGER, password="a wrong password")
    assert "login_email" in log_in_from(configured_web, OWNER).headers["RateLimit"]


def test_invalid_login_counts_against_its_address(web: WebApp) -> None:
    configured_web = web.with_settings(**NO_LIMITS | {"RATE_LIMIT_LOGIN_ADDRESS": "2/60"})
    answers = [
        configured_web.client.post(LOGIN, json={}),
        configured_web.client.post(LOGIN, data=b"x"),
        log_in(configured_web),
    ]
    assert [answer.status_code for answer in answers] == [400, 415, 429]


def test_registrations_are_rate_limited_per_address(web: WebApp) -> None:
    configured_web = web.with_settings(**NO_LIMITS | {"RATE_LIMIT_REGISTER": "2/60"})
    statuses = [register(configured_web, email=f"a{n}@shop.example").status_code for n in range(3)]
    assert statuses == [201, 201, 429]


def test_registration_replay_requires_the_same_password(web: WebApp) -> None:
    first = register(web, key="k")
    again = register(web, key="k")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    for changes in ({"password": "another password"}, {"name": "Other"}):
        other = register(web, key="k", **changes)
        assert (other.status_code, error_code(other)) == (422, "idempotency_key_reused")
    assert register(web, key="k2").status_code == 409
    assert register(web, key="k", email="other@shop.example").status_code == 201
    [own, others] = get_tables(web).idempotency.rows
    assert own[0] != others[0], "a key is its email's"


def test_replayed_login_omits_the_token(web: WebApp, session_client: SessionClient) -> None:
    before = len(get_tables(web).sessions.rows)
    first, again = log_in(web, key="k"), log_in(web, key="k")
    assert first.get_json()["data"]["token"]
    replayed = again.get_json()
    assert replayed["data"].pop("token") is None
    expected = first.get_json()
    del expected["data"]["token"]
    assert replayed == expected
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(get_tables(web).sessions.rows) == before + 1
    assert log_in(web, key="k", password="wrong password").status_code == 401
    keys = list(get_tables(web).idempotency.rows)
    assert keys == [(session_client.merchant_id, "k")], "it is the merchant's own"


def test_password_is_not_part_of_the_fingerprint(web: WebApp) -> None:
    """A password could be guessed from its SHA-256 at high speed."""
    register(web, key="r", name="Shop")
    log_in(web, key="l")
    kept = [row.record.fingerprint for row in get_tables(web).idempotency.rows.values()]
    assert kept == [
        fingerprint_request("POST", REGISTER, {"email": EMAIL, "name": "Shop"}),
        fingerprint_request("POST", LOGIN, {"email": EMAIL}),
    ]


def test_stored_responses_contain_no_secret(web: WebApp) -> None:
    register(web, key="r")
    answer = log_in(web, key="l").get_json()["data"]
    session_client = SessionClient(
        web.client, answer["merchant"]["id"], answer["merchant"]["id"], answer["token"]
    )
    made = session_client.post(API_KEYS, {"name": "till"}, Idempotency_Key="k").get_json()["data"]
    path = f"{API_KEYS}/{made['id']}/rotate"
    rotated = session_client.post(path, {}, Idempotency_Key="o").get_json()["data"]
    kept = str(get_tables(web).idempotency.rows)
    assert len(get_tables(web).idempotency.rows) == 4
    for secret in (PASSWORD, answer["token"], made["rawKey"], rotated["rawKey"]):
        assert secret not in kept
