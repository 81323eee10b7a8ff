"""`atomic dev` lets one work: its rate limits are generous unless they are set."""

from atomic_adapters.settings import Settings
from atomic_worker.dev.rate_limits import DEVELOPMENT_LIMITS, set_development_limits

REQUIRED = {"ATOMIC_ENV": "development", "DATABASE_URL": "postgresql:///unused"}


def test_limits_are_generous_and_one_line_says_so() -> None:
    environ: dict[str, str] = {}
    line = set_development_limits(environ)
    assert environ == DEVELOPMENT_LIMITS
    assert line
    assert all(name in line for name in DEVELOPMENT_LIMITS)
    limits = Settings.from_environ(REQUIRED | environ).rate_limits
    for name in ("global", "payments", "service"):
        limit = limits[name]
        assert limit
        assert limit.quota / limit.seconds >= 1_000


def test_limits_that_are_set_are_kept() -> None:
    environ = {"RATE_LIMIT_GLOBAL": "100/900", "RATE_LIMIT_PAYMENTS": ""}
    line = set_development_limits(environ)
    assert environ["RATE_LIMIT_GLOBAL"] == "100/900"
    assert environ["RATE_LIMIT_PAYMENTS"] == DEVELOPMENT_LIMITS["RATE_LIMIT_PAYMENTS"]
    assert line
    assert "RATE_LIMIT_GLOBAL" not in line


def test_nothing_is_said_if_all_limits_are_set() -> None:
    environ = dict.fromkeys(DEVELOPMENT_LIMITS, "off")
    assert set_development_limits(environ) is None
    assert set(environ.values()) == {"off"}


def test_limits_that_protect_passwords_and_the_defaults_of_serve_stay() -> None:
    assert not any("LOGIN" in name or "PASSWORD" in name for name in DEVELOPMENT_LIMITS)
    limits = Settings.from_environ(REQUIRED).rate_limits
    assert (limits["global"], limits["payments"]) == ((100, 900), (10, 60))
