import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from atomic_adapters.memory.services import MemoryRateLimiter
from atomic_core.ports.rate_limiter import RateLimit, RateLimiterUnavailable, RateState
from atomic_web.access import rate_limiting
from web.web_client import (
    ACCOUNT_BODY,
    ACCOUNTS,
    PAYMENT_BODY,
    PAYMENTS,
    MerchantClient,
    WebApp,
    error_code,
)

UNKNOWN = f"{PAYMENTS}/01999999-0000-7000-8000-000000000000"

# RFC 9651: a list of strings, each with integer parameters.
POLICY = re.compile(r'"([a-z]+)";q=(\d{1,15});w=(\d{1,15})')
STATE = re.compile(r'"([a-z]+)";r=(\d{1,15});t=(\d{1,15})')


@dataclass
class RateLimiterSpy:
    """Records calls."""

    rate_limiter: MemoryRateLimiter
    calls: list[list[str]] = field(default_factory=list)

    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        self.calls.append([limit.name for limit in limits])
        return self.rate_limiter.count(limits)


class UnavailableRateLimiter:
    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        raise RateLimiterUnavailable("connection refused")


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
    [("POST", PAYMENTS), ("GET", "/nowhere"), ("DELETE", PAYMENTS), ("GET", "/api/v1/health")],
)
def test_any_request_over_the_global_limit_returns_429(web: WebApp, method: str, path: str) -> None:
    client = web.with_settings(RATE_LIMIT_GLOBAL="1/60").client
    client.get("/nowhere")
    response = client.open(path, method=method, headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 429
    assert error_code(response) == "rate_limited"
    assert response.headers["Retry-After"] == "60"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/health/live"),
        ("GET", "/api/v1/health/ready"),
        ("OPTIONS", PAYMENTS),
    ],
)
def test_probes_and_preflights_are_not_rate_limited(web: WebApp, method: str, path: str) -> None:
    client = web.with_settings(RATE_LIMIT_GLOBAL="1/60").client
    for _ in range(3):
        response = client.open(path, method=method)
        assert response.status_code == 200
        assert "RateLimit" not in response.headers
        assert "RateLimit-Policy" not in response.headers


def test_disabled_limits_are_neither_counted_nor_reported(
    web: WebApp, merchant: MerchantClient
) -> None:
    spy = RateLimiterSpy(MemoryRateLimiter(web.clock))
    response = web.with_use_cases({"rate_limiter": spy}).connect(merchant).pay()
    assert spy.calls == []
    assert "RateLimit" not in response.headers


@pytest.fixture
def fresh_log_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("path", ["", "/live", "/ready"])
def test_health_passes_without_a_rate_limiter(web: WebApp, path: str) -> None:
    configured_web = web.with_settings(RATE_LIMIT_ON_FAILURE="refuse").with_use_cases(
        {"rate_limiter": UnavailableRateLimiter()}
    )
    assert configured_web.client.get(f"/api/v1/health{path}").status_code == 200
