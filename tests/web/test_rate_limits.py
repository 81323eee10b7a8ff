import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from atomic_adapters.memory.services import MemoryRateLimiter
from atomic_core.ports.rate_limiter import (
    RateLimit,
    RateLimiterFull,
    RateLimiterUnavailable,
    RateState,
)
from atomic_web.access import rate_limiting
from atomic_web.access.rate_limiting import count_malformed_request
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    DASHBOARD,
    EMAIL,
    LOGIN,
    PASSWORD,
    PAYMENT_BODY,
    PAYMENTS,
    REGISTER,
    MerchantClient,
    WebApp,
    error_code,
)

UNKNOWN = f"{PAYMENTS}/01999999-0000-7000-8000-000000000000"

# RFC 9651: a list of strings, each with integer parameters.
POLICY = re.compile(r'"([a-z_]+)";q=(\d{1,15});w=(\d{1,15})')
STATE = re.compile(r'"([a-z_]+)";r=(\d{1,15});t=(\d{1,15})')


@dataclass
class RateLimiterSpy:
    """Records calls."""

    rate_limiter: MemoryRateLimiter
    calls: list[list[str]] = field(default_factory=list)

    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        self.calls.append([limit.name for limit in limits])
        return self.rate_limiter.count(limits)


@dataclass
class UnavailableRateLimiter:
    error: RateLimiterUnavailable = field(
        default_factory=lambda: RateLimiterUnavailable("connection refused")
    )

    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        raise self.error


def parse_header(pattern: re.Pattern[str], header: str) -> dict[str, tuple[int, int]]:
    members = header.split(", ")
    matches = [pattern.fullmatch(member) for member in members]
    assert all(matches), header
    return {match[1]: (int(match[2]), int(match[3])) for match in matches if match}


def test_response_reports_every_counted_limit(web: WebApp) -> None:
    merchant = web.with_settings().create_merchant()
    web.clock.time += timedelta(seconds=1)
    merchant.pay()
    web.clock.time += timedelta(seconds=20)
    response = merchant.pay()

    assert parse_header(POLICY, response.headers["RateLimit-Policy"]) == {
        "global": (100, 900),
        "payments": (10, 60),
    }
    assert parse_header(STATE, response.headers["RateLimit"]) == {
        "global": (98, 880),
        "payments": (8, 40),
    }
    assert "Retry-After" not in response.headers


def test_route_without_its_own_limit_reports_the_global_limit(web: WebApp) -> None:
    response = web.with_settings().create_merchant().get(UNKNOWN)
    assert response.headers["RateLimit-Policy"] == '"global";q=100;w=900'
    assert response.headers["RateLimit"] == '"global";r=99;t=900'


def test_all_limits_of_a_request_are_counted_in_one_round_trip(
    web: WebApp, merchant: MerchantClient
) -> None:
    spy = RateLimiterSpy(MemoryRateLimiter(web.clock))
    configured_web = web.with_settings(RATE_LIMIT_ACCOUNTS="5/60").with_use_cases(
        {"rate_limiter": spy}
    )
    caller = configured_web.connect(merchant)
    caller.pay()
    caller.post(ACCOUNTS, ACCOUNT_BODY)
    caller.get(UNKNOWN)
    configured_web.client.post(PAYMENTS)
    configured_web.client.get("/nowhere")
    assert spy.calls == [
        ["global", "payments"],
        ["global", "accounts"],
        ["global"],
        ["global"],
        ["global"],
    ]


def test_request_over_the_limit_returns_429_until_the_window_ends(web: WebApp) -> None:
    merchant = web.with_settings(
        RATE_LIMIT_GLOBAL="off", RATE_LIMIT_PAYMENTS="2/60"
    ).create_merchant()
    assert [merchant.pay().status_code for _ in range(4)] == [202, 202, 429, 429]
    web.clock.time += timedelta(seconds=14.5)
    refused = merchant.pay()

    assert error_code(refused) == "rate_limited"
    assert refused.headers["Retry-After"] == "46"
    assert parse_header(STATE, refused.headers["RateLimit"]) == {"payments": (0, 46)}
    assert web.effects[0] == 2

    web.clock.time += timedelta(seconds=int(refused.headers["Retry-After"]))
    assert merchant.pay().status_code == 202


def test_payments_limit_is_per_merchant_not_per_key(web: WebApp, merchant: MerchantClient) -> None:
    configured_web = web.with_settings(RATE_LIMIT_GLOBAL="off", RATE_LIMIT_PAYMENTS="1/60")
    caller, other = configured_web.connect(merchant), configured_web.create_merchant("Other")
    second_key = web.application.api_keys.issue(merchant.merchant_id, "second").raw
    assert caller.pay().status_code == 202
    again = caller.post(PAYMENTS, PAYMENT_BODY, Authorization=f"Bearer {second_key}")
    assert again.status_code == 429
    assert other.pay().status_code == 202


def test_reads_do_not_count_against_the_payments_limit(web: WebApp) -> None:
    merchant = web.with_settings(
        RATE_LIMIT_GLOBAL="off", RATE_LIMIT_PAYMENTS="1/60"
    ).create_merchant()
    for _ in range(3):
        assert merchant.get(UNKNOWN).status_code == 404
    assert merchant.pay().status_code == 202


def test_refused_requests_count_against_the_limit(web: WebApp) -> None:
    configured_web = web.with_settings(RATE_LIMIT_GLOBAL="5/60")
    merchant = configured_web.create_merchant()
    answers = [
        configured_web.client.post(PAYMENTS),
        configured_web.client.get("/nowhere"),
        configured_web.client.delete(PAYMENTS),
        merchant.pay(amount=0),
        merchant.get(UNKNOWN),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 405, 400, 404]
    left = [parse_header(STATE, answer.headers["RateLimit"])["global"][0] for answer in answers]
    assert left == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", PAYMENTS), ("GET", "/nowhere"), ("DELETE", PAYMENTS), ("GET", PAYMENTS)],
)
def test_any_request_over_the_global_limit_returns_429(web: WebApp, method: str, path: str) -> None:
    client = web.with_settings(RATE_LIMIT_GLOBAL="1/60").client
    client.get("/nowhere")
    response = client.open(path, method=method, headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 429
    assert error_code(response) == "rate_limited"
    assert response.headers["Retry-After"] == "60"


PROBES = [
    ("GET", "/api/v1/health"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/docs"),
    ("GET", "/api/v1/docs/errors/rate_limited"),
    ("GET", "/docs"),
    ("GET", "/"),
    ("GET", "/api/v1"),
    ("GET", "/api/v1/health/live"),
    ("GET", "/api/v1/health/ready"),
    ("OPTIONS", PAYMENTS),
    ("OPTIONS", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), PROBES)
def test_probes_documents_and_preflights_have_a_window_of_their_own(
    web: WebApp, method: str, path: str
) -> None:
    client = web.with_settings(RATE_LIMIT_GLOBAL="1/60", RATE_LIMIT_SERVICE="2/60").client
    answers = [client.open(path, method=method) for _ in range(3)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert parse_header(POLICY, answers[0].headers["RateLimit-Policy"]) == {"service": (2, 60)}
    assert answers[2].headers["Retry-After"] == "60"
    # They use up no quota of other requests, nor do these use up theirs.
    assert client.get("/nowhere").status_code == 404
    assert client.get("/nowhere").status_code == 429


def test_malformed_requests_count_against_the_global_limit(web: WebApp) -> None:
    configured_web = web.with_settings(RATE_LIMIT_GLOBAL="2/60")
    application, settings = configured_web.application, configured_web.settings
    states = [count_malformed_request(application, settings, "127.0.0.1") for _ in range(2)]
    assert [state.remaining for [state] in states] == [1, 0]
    assert configured_web.client.get("/nowhere").status_code == 429
    [state] = count_malformed_request(application, settings, "127.0.0.1")
    assert state.exceeded
    [state] = count_malformed_request(application, settings, "127.0.0.2")
    assert not state.exceeded


def test_malformed_requests_are_not_counted_against_a_trusted_proxy(web: WebApp) -> None:
    """All of its clients would be refused for one of them."""
    configured_web = web.with_settings(RATE_LIMIT_GLOBAL="1/60", TRUSTED_PROXIES="1")
    application, settings = configured_web.application, configured_web.settings
    for _ in range(3):
        assert count_malformed_request(application, settings, "127.0.0.1") == []


def test_malformed_requests_are_answered_without_a_rate_limiter(web: WebApp) -> None:
    configured_web = web.with_settings().with_use_cases({"rate_limiter": UnavailableRateLimiter()})
    before = get_unavailable_total()
    states = count_malformed_request(configured_web.application, configured_web.settings, "::1")
    assert states == []
    assert get_unavailable_total() - before == 1


def test_disabled_limits_are_neither_counted_nor_reported(
    web: WebApp, merchant: MerchantClient
) -> None:
    spy = RateLimiterSpy(MemoryRateLimiter(web.clock))
    response = web.with_use_cases({"rate_limiter": spy}).connect(merchant).pay()
    assert spy.calls == []
    assert "RateLimit" not in response.headers


@pytest.fixture
def fresh_log_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has logged nothing yet, and whose interval no test exceeds on a busy machine."""
    monkeypatch.setattr(rate_limiting, "LOG_INTERVAL_SECONDS", 3_600.0)
    monkeypatch.setattr(rate_limiting, "_log_throttle", rate_limiting._LogThrottle())


def get_unavailable_total() -> float:
    return REGISTRY.get_sample_value("atomic_rate_limiter_unavailable_total") or 0.0


@pytest.mark.usefixtures("fresh_log_throttle")
def test_unavailable_rate_limiter_lets_requests_pass_and_logs_once(
    web: WebApp, merchant: MerchantClient
) -> None:
    before = get_unavailable_total()
    caller = (
        web.with_settings()
        .with_use_cases({"rate_limiter": UnavailableRateLimiter()})
        .connect(merchant)
    )
    with capture_logs() as logs:
        answers = [caller.pay() for _ in range(20)]

    assert {answer.status_code for answer in answers} == {202}
    assert not any("RateLimit" in answer.headers for answer in answers)
    assert get_unavailable_total() - before == 20
    assert [line["log_level"] for line in logs if line["event"] == "rate_limiter_unavailable"] == [
        "warning"
    ]


@pytest.mark.usefixtures("fresh_log_throttle")
def test_unavailable_rate_limiter_refuses_requests_if_configured(
    web: WebApp, merchant: MerchantClient
) -> None:
    configured_web = web.with_settings(RATE_LIMIT_ON_FAILURE="refuse").with_use_cases(
        {"rate_limiter": UnavailableRateLimiter()}
    )
    for response in (configured_web.connect(merchant).pay(), configured_web.client.post(PAYMENTS)):
        assert response.status_code == 503
        assert error_code(response) == "service_unavailable"
        assert response.headers["Retry-After"] == "1"
    assert web.effects == (0, 0, 0)


@pytest.mark.usefixtures("fresh_log_throttle")
@pytest.mark.parametrize("path", [LOGIN, REGISTER])
@pytest.mark.parametrize("error", [RateLimiterUnavailable("down"), RateLimiterFull("OOM")])
def test_password_is_not_tested_without_a_rate_limiter(
    web: WebApp, path: str, error: RateLimiterUnavailable
) -> None:
    web.register_and_log_in()
    before = web.effects
    configured_web = web.with_settings(RATE_LIMIT_ON_FAILURE="allow").with_use_cases(
        {"rate_limiter": UnavailableRateLimiter(error)}
    )
    for password in ("a wrong password", PASSWORD):
        body = {"email": EMAIL, "password": password}
        response = configured_web.client.post(path, json=body)
        assert response.status_code == 503
        assert error_code(response) == "service_unavailable"
    assert web.effects == before
    # Only what tests a password: a session that exists still works.
    assert configured_web.connect(web.log_in()).get(DASHBOARD).status_code == 200


@pytest.mark.usefixtures("fresh_log_throttle")
def test_password_is_not_changed_without_a_rate_limiter(web: WebApp) -> None:
    session_client = web.register_and_log_in()
    configured_web = web.with_settings(RATE_LIMIT_PASSWORD="10/900").with_use_cases(
        {"rate_limiter": UnavailableRateLimiter()}
    )
    body = {"currentPassword": PASSWORD, "newPassword": f"another {PASSWORD}"}
    response = configured_web.connect(session_client).post("/api/v1/merchants/password", body)
    assert (response.status_code, error_code(response)) == (503, "service_unavailable")
    assert web.log_in().get(DASHBOARD).status_code == 200, "the password is still the old one"


@pytest.mark.usefixtures("fresh_log_throttle")
def test_full_rate_limiter_is_an_error_in_log_and_metrics(
    web: WebApp, merchant: MerchantClient
) -> None:
    before = REGISTRY.get_sample_value("atomic_rate_limiter_full_total") or 0.0
    caller = (
        web.with_settings()
        .with_use_cases({"rate_limiter": UnavailableRateLimiter(RateLimiterFull("OOM"))})
        .connect(merchant)
    )
    with capture_logs() as logs:
        assert [caller.pay().status_code for _ in range(3)] == [202] * 3
    assert REGISTRY.get_sample_value("atomic_rate_limiter_full_total") == before + 3
    assert [line["log_level"] for line in logs if line["event"] == "rate_limiter_full"] == ["error"]


@pytest.mark.parametrize("path", ["", "/live", "/ready"])
def test_health_passes_without_a_rate_limiter(web: WebApp, path: str) -> None:
    configured_web = web.with_settings(RATE_LIMIT_ON_FAILURE="refuse").with_use_cases(
        {"rate_limiter": UnavailableRateLimiter()}
    )
    assert configured_web.client.get(f"/api/v1/health{path}").status_code == 200
