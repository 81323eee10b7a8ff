"""Merchants by themselves: they register, log in, look, and log out."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_adapters.security.argon2_password_hasher import MINIMAL_PARAMETERS, Argon2PasswordHasher
from atomic_core.domain.errors import HasherBusy
from atomic_core.ports.password_hasher import PasswordHasher
from atomic_web.access.idempotency import fingerprint_request
from web.web_client import (
    ACCOUNTS,
    API_KEYS,
    AUDIT_LOG,
    DASHBOARD,
    EMAIL,
    LOGIN,
    LOGOUT,
    NO_LIMITS,
    PASSWORD,
    PAYMENTS,
    REGISTER,
    Caller,
    Member,
    Web,
    error_code,
)

BOTH = {"email": EMAIL, "password": PASSWORD}
SESSION_ROUTES = [
    *(("GET", DASHBOARD), ("GET", API_KEYS), ("POST", API_KEYS), ("GET", AUDIT_LOG)),
    *(("POST", LOGOUT), ("DELETE", f"{API_KEYS}/x"), ("POST", f"{API_KEYS}/x/rotate")),
]


@dataclass
class Counting:
    """A hasher that counts what it is asked to do."""

    behind: PasswordHasher
    hashed: int = 0
    verified: list[str] = field(default_factory=list)

    @property
    def decoy(self) -> str:
        return self.behind.decoy

    def hash(self, password: str) -> str:
        self.hashed += 1
        return self.behind.hash(password)

    def verify(self, encoded: str, password: str) -> bool:
        self.verified.append(encoded)
        return self.behind.verify(encoded, password)

    def is_outdated(self, encoded: str) -> bool:
        return self.behind.is_outdated(encoded)


class Busy:
    decoy = ""

    def hash(self, password: str) -> str:
        raise HasherBusy

    def verify(self, encoded: str, password: str) -> bool:
        raise HasherBusy


def hashing_with(web: Web, passwords: Any) -> Web:
    application = web.application
    return web.with_use_cases(
        {
            "merchants.register": replace(application.merchants.register, passwords=passwords),
            "sessions.log_in": replace(application.sessions.log_in, passwords=passwords),
        }
    )


def tables(web: Web) -> Any:
    begin = web.application.payments.accept.begin
    return cast("MemoryStore", getattr(begin, "__self__")).tables  # noqa: B009


def register(web: Web, **changes: object) -> Any:
    key = changes.pop("key", None)
    headers = {"Idempotency-Key": str(key)} if key else {}
    body = {name: value for name, value in (BOTH | changes).items() if value is not None}
    return web.client.post(REGISTER, json=body, headers=headers)


def log_in(web: Web, key: str | None = None, **changes: object) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return web.client.post(LOGIN, json=BOTH | changes, headers=headers)


def test_who_registers_has_an_account_and_can_log_in(web: Web) -> None:
    answer = register(web, name="Shop")
    assert answer.status_code == 201
    data = answer.get_json()["data"]
    assert set(data) == {"id", "email", "accountId"}
    entered = log_in(web)
    assert entered.status_code == 200
    told = entered.get_json()["data"]
    assert told["merchant"] == data
    assert told["token"].startswith("st_")
    assert len(told["token"]) == 3 + 48
    member = Member(web.client, data["id"], data["id"], told["token"])
    board = member.get(DASHBOARD).get_json()["data"]
    assert board["merchant"]["name"] == "Shop"
    [account] = board["accounts"]
    assert (account["id"], account["currency"], account["balance"]) == (data["accountId"], "USD", 0)


def test_the_account_is_in_a_currency_that_is_taken(web: Web) -> None:
    door = web.configured(**NO_LIMITS, CURRENCIES="JPY,EUR")
    [account] = door.member().get(DASHBOARD).get_json()["data"]["accounts"]
    assert account["currency"] == "EUR"


@pytest.mark.parametrize("email", [EMAIL, EMAIL.upper(), "Owner@Shop.Example"])
def test_an_email_has_one_merchant_however_it_is_written(web: Web, email: str) -> None:
    first = register(web).get_json()["data"]
    before = web.effects
    again = register(web, email=email, password="another password")
    assert (again.status_code, error_code(again)) == (409, "conflict")
    assert web.effects == before
    entered = log_in(web, email=email).get_json()["data"]
    assert entered["merchant"] == first


def test_of_two_registrations_at_once_one_wins(web: Web) -> None:
    def register_once(number: int) -> int:
        return register(web, password=f"password number {number}").status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(register_once, range(8)))
    assert sorted(statuses) == [201] + [409] * 7
    house = sum(account.merchant_id is None for account in tables(web).accounts.rows.values())
    assert web.effects[1] - house == 1, "one account of a merchant"
    assert len(tables(web).merchants.rows) == 1


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
def test_what_is_no_email_is_refused(web: Web, email: object) -> None:
    for path in (REGISTER, LOGIN):
        answer = web.client.post(path, json=BOTH | {"email": email})
        assert answer.status_code == 400, path
        assert error_code(answer) == "validation_failed"
    assert web.effects == (0, 0, 0)
    assert not tables(web).audit_log.rows


@pytest.mark.parametrize(
    "email",
    [
        *("a@b.c", "first.last+tag@sub.shop.example", "o'neil@shop.example", "1@1.example"),
        *("a" * 64 + "@shop.example", "a@" + "b" * 63 + ".example", "a@xn--shp-hoa.example"),
        "a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".c0",
    ],
)
def test_what_is_an_email_is_taken(web: Web, email: str) -> None:
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
def test_a_bad_password_is_refused_before_it_is_hashed(web: Web, password: object) -> None:
    counting = Counting(Argon2PasswordHasher(MINIMAL_PARAMETERS))
    door = hashing_with(web, counting)
    for path in (REGISTER, LOGIN):
        answer = door.client.post(path, json=BOTH | {"password": password})
        assert answer.status_code == 400, path
        assert list(answer.get_json()["error"].get("details", {"password": ""})) == ["password"]
        if isinstance(password, str) and password:
            assert password.encode() not in answer.data
    assert (counting.hashed, counting.verified) == (0, [])


@pytest.mark.parametrize(
    "password",
    [
        "12345678",
        "x" * 128,
        "pässwörd",
        "密码密码密码密码",
        "        ",
        "\tq\n'\"\\{}%s",
        "😀" * 128,
    ],
)
def test_a_password_may_be_any_text(web: Web, password: str) -> None:
    assert register(web, password=password).status_code == 201
    assert log_in(web, password=password).status_code == 200
    for other in (password[:-1] + "y", password + " ", password.upper() + "x"):
        if 8 <= len(other) <= 128:
            assert log_in(web, password=other).status_code == 401


def test_a_password_is_the_same_however_a_keyboard_spells_it(web: Web) -> None:
    assert register(web, password="cafe\u0301 cafe\u0301").status_code == 201
    assert log_in(web, password="caf\u00e9 caf\u00e9").status_code == 200
    # The normal form C only: what merely looks alike is something else.
    assert log_in(web, password="\uff43af\u00e9 caf\u00e9").status_code == 401


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "a\u202eb", None, 5])
def test_a_name_must_be_printable(web: Web, name: object) -> None:
    assert web.client.post(REGISTER, json=BOTH | {"name": name}).status_code == 400
    assert web.effects == (0, 0, 0)


@pytest.mark.parametrize("member", ["role", "id", "merchantId", "accountId", "Password", "scopes"])
def test_unknown_members_are_refused(web: Web, member: str) -> None:
    for path in (REGISTER, LOGIN):
        assert web.client.post(path, json=BOTH | {member: "x"}).status_code == 400
        assert web.client.post(f"{path}?{member}=x", json=BOTH).status_code == 400


def test_wrong_password_and_unknown_email_are_one_answer_at_one_cost(web: Web) -> None:
    counting = Counting(Argon2PasswordHasher(MINIMAL_PARAMETERS))
    door = hashing_with(web, counting)
    register(door)
    counting.hashed = 0
    answers, costs = [], []
    for changes in ({"password": "wrong password"}, {"email": "nobody@shop.example"}):
        counting.verified.clear()
        rows = len(tables(web).audit_log.rows)
        answer = log_in(door, **changes)
        answers.append((answer.status_code, answer.get_json()["error"], set(answer.headers.keys())))
        parameters = [encoded.rsplit("$", 2)[0] for encoded in counting.verified]
        lengths = [len(encoded) for encoded in counting.verified]
        costs.append((parameters, lengths, len(tables(web).audit_log.rows) - rows))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert costs[0] == costs[1]
    assert costs[0][0] == ["$argon2id$v=19$m=8,t=1,p=1"], "one verification, at the full price"
    assert counting.hashed == 0


def test_the_decoy_lets_nobody_in(web: Web) -> None:
    assert log_in(web, email="nobody@shop.example", password="").status_code == 400
    assert log_in(web, email="nobody@shop.example", password="\x20" * 8).status_code == 401


def test_a_failed_login_of_nobody_keeps_no_email(web: Web) -> None:
    log_in(web, email="nobody@shop.example")
    [row] = tables(web).audit_log.rows.values()
    assert (row.deed.merchant_id, len(row.deed.email_hash)) == (None, 32)
    assert "nobody" not in str(row)


def test_a_full_hasher_is_a_503_that_may_be_repeated(web: Web) -> None:
    register(web)
    door = hashing_with(web, Busy())
    for answer in (register(door, email="other@shop.example"), log_in(door)):
        assert (answer.status_code, error_code(answer)) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "1"
    assert log_in(web).status_code == 200


def test_a_password_is_hashed_anew_when_the_price_has_risen(web: Web) -> None:
    register(web)
    [before] = [kept.password_hash for kept in tables(web).credentials.rows.values()]
    dearer = Counting(Argon2PasswordHasher(MINIMAL_PARAMETERS._replace(passes=2)))
    door = hashing_with(web, dearer)
    assert log_in(door, password="wrong password").status_code == 401
    assert dearer.hashed == 0
    assert [log_in(door).status_code for _ in range(2)] == [200, 200]
    [after] = [kept.password_hash for kept in tables(web).credentials.rows.values()]
    assert (dearer.hashed, "t=2" in after, after != before) == (1, True, True)
    assert log_in(web).status_code == 200, "the old price still verifies"
    assert "password_rehashed" in door.log_in().events()


def test_a_token_ends_with_its_time_or_at_its_logout(web: Web, member: Member) -> None:
    other = web.log_in()
    assert member.post(LOGOUT, {}).get_json()["data"] == {"revoked": True}
    assert member.post(LOGOUT, {}).status_code == 401
    assert member.get(DASHBOARD).status_code == 401
    assert other.get(DASHBOARD).status_code == 200
    web.clock.time += timedelta(hours=12) - timedelta(seconds=1)
    assert other.get(DASHBOARD).status_code == 200
    web.clock.time += timedelta(seconds=1)
    assert other.get(DASHBOARD).status_code == 401
    assert web.application.maintenance.purge_sessions() == 2


@pytest.mark.parametrize(("method", "path"), SESSION_ROUTES)
def test_only_a_session_opens_what_is_a_sessions(
    web: Web, member: Member, merchant: Caller, method: str, path: str
) -> None:
    own_key = member.new_key()["rawKey"]
    gone = web.log_in()
    gone.post(LOGOUT, {})
    wrong = [merchant.key, own_key, gone.key, "st_" + "0" * 48, member.key[:-1], member.key + "0"]
    headers = [None, "", f"Basic {member.key}", f"Bearer {member.key},{member.key}", member.key]
    headers += [f"Bearer {token}" for token in [*wrong, member.key.upper()]]
    for header in headers:
        sent = {"Authorization": header} if header is not None else {}
        answer = web.client.open(path, method=method, json={"name": "x"}, headers=sent)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        message = answer.get_json()["error"]["message"]
        assert message == "A valid session token is required."
    cookie = {"Cookie": f"token={member.key}"}
    assert web.client.open(path, method=method, headers=cookie).status_code == 401


def test_a_session_token_is_no_api_key(web: Web, member: Member) -> None:
    assert member.pay().status_code == 401
    assert member.post(ACCOUNTS, {"name": "x", "currency": "USD"}).status_code == 401
    assert member.get(f"{PAYMENTS}/01999999-0000-7000-8000-000000000000").status_code == 401
    assert web.effects[0] == 0


def test_the_dashboard_adds_up(web: Web, member: Member) -> None:
    key = replace(web.merchant(), merchant_id=member.merchant_id, key=member.new_key()["rawKey"])
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
    board = member.get(DASHBOARD).get_json()["data"]
    assert board["today"] == [
        {"status": "FAILED", "currency": "USD", "count": 6, "amount": 600},
        {"status": "SUCCESS", "currency": "EUR", "count": 1, "amount": 7},
        {"status": "SUCCESS", "currency": "USD", "count": 6, "amount": 600},
    ]
    [_, _, dollars] = board["last30Days"]
    assert dollars == {"status": "SUCCESS", "currency": "USD", "count": 8, "amount": 630}
    assert board["totalsComplete"]
    assert len(board["payments"]) == 10
    assert board["payments"][0]["currency"] == "EUR"
    moments = [payment["createdAt"] for payment in board["payments"]]
    assert moments == sorted(moments, reverse=True)
    assert {(each["currency"], each["balance"]) for each in board["accounts"]} == {
        ("USD", 660),
        ("EUR", 7),
    }


def test_a_dashboard_is_its_merchants(web: Web, member: Member) -> None:
    other = web.member("other@shop.example")
    caller = replace(web.merchant(), key=other.new_key()["rawKey"])
    caller.pay()
    mine, theirs = (each.get(DASHBOARD).get_json()["data"] for each in (member, other))
    assert (mine["payments"], mine["today"]) == ([], [])
    assert len(theirs["payments"]) == 1
    assert mine["merchant"]["id"] != theirs["merchant"]["id"]


@pytest.mark.parametrize(
    ("limits", "vary", "refused"),
    [
        ({"RATE_LIMIT_LOGIN_EMAIL": "3/60"}, "address", "login_email"),
        ({"RATE_LIMIT_LOGIN_ADDRESS": "3/60"}, "email", "login_address"),
    ],
)
def test_logins_are_limited_per_email_and_per_address(
    web: Web, limits: dict[str, str], vary: str, refused: str
) -> None:
    door = web.configured(**NO_LIMITS | limits)

    def attempt(number: int) -> Any:
        email = f"owner{number}@shop.example" if vary == "email" else EMAIL.title()
        address = f"192.0.2.{number}" if vary == "address" else "192.0.2.1"
        return door.client.post(
            LOGIN, json=BOTH | {"email": email}, environ_overrides={"REMOTE_ADDR": address}
        )

    register(web)
    assert [attempt(number).status_code == 429 for number in range(5)] == [False] * 3 + [True] * 2
    assert f'"{refused}";r=0' in attempt(6).headers["RateLimit"]
    web.clock.time += timedelta(seconds=60)
    assert attempt(7).status_code != 429


def test_what_is_no_login_is_counted_against_its_address(web: Web) -> None:
    door = web.configured(**NO_LIMITS | {"RATE_LIMIT_LOGIN_ADDRESS": "2/60"})
    answers = [door.client.post(LOGIN, json={}), door.client.post(LOGIN, data=b"x"), log_in(door)]
    assert [answer.status_code for answer in answers] == [400, 415, 429]


def test_registrations_are_limited_per_address(web: Web) -> None:
    door = web.configured(**NO_LIMITS | {"RATE_LIMIT_REGISTER": "2/60"})
    statuses = [register(door, email=f"a{n}@shop.example").status_code for n in range(3)]
    assert statuses == [201, 201, 429]


def test_a_registration_is_repeated_with_its_key_and_its_password(web: Web) -> None:
    first = register(web, key="k")
    again = register(web, key="k")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    for changes in ({"password": "another password"}, {"name": "Other"}):
        other = register(web, key="k", **changes)
        assert (other.status_code, error_code(other)) == (422, "idempotency_key_reused")
    assert register(web, key="k2").status_code == 409
    assert register(web, key="k", email="other@shop.example").status_code == 201
    [mine, theirs] = tables(web).idempotency.rows
    assert mine[0] != theirs[0], "a key is its email's"


def test_a_repeated_login_is_told_no_token(web: Web, member: Member) -> None:
    before = len(tables(web).sessions.rows)
    first, again = log_in(web, key="k"), log_in(web, key="k")
    assert first.get_json()["data"]["token"]
    told = again.get_json()
    assert told["data"].pop("token") is None
    expected = first.get_json()
    del expected["data"]["token"]
    assert told == expected
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(tables(web).sessions.rows) == before + 1
    assert log_in(web, key="k", password="wrong password").status_code == 401
    keys = list(tables(web).idempotency.rows)
    assert keys == [(member.merchant_id, "k")], "it is the merchant's own"


def test_a_password_leaves_no_fingerprint(web: Web) -> None:
    """It could be guessed by, at the speed of SHA-256."""
    register(web, key="r", name="Shop")
    log_in(web, key="l")
    kept = [row.record.fingerprint for row in tables(web).idempotency.rows.values()]
    assert kept == [
        fingerprint_request("POST", REGISTER, {"email": EMAIL, "name": "Shop"}),
        fingerprint_request("POST", LOGIN, {"email": EMAIL}),
    ]


def test_no_secret_is_kept_where_answers_are(web: Web) -> None:
    register(web, key="r")
    answer = log_in(web, key="l").get_json()["data"]
    member = Member(web.client, answer["merchant"]["id"], answer["merchant"]["id"], answer["token"])
    made = member.post(API_KEYS, {"name": "till"}, Idempotency_Key="k").get_json()["data"]
    path = f"{API_KEYS}/{made['id']}/rotate"
    rotated = member.post(path, {}, Idempotency_Key="o").get_json()["data"]
    kept = str(tables(web).idempotency.rows)
    assert len(tables(web).idempotency.rows) == 4
    for secret in (PASSWORD, answer["token"], made["rawKey"], rotated["rawKey"]):
        assert secret not in kept
