"""Settings are read from the environment; every invalid variable is reported by name."""

import base64
from datetime import timedelta
from pathlib import Path

import pytest

from atomic_adapters.environ import SettingsError, Window
from atomic_adapters.settings import Settings
from atomic_core.domain.money import CURRENCY_EXPONENTS

DATABASE = {"DATABASE_URL": "postgresql:///atomic"}


def test_defaults() -> None:
    settings = Settings.from_environ(DATABASE)
    assert settings.port == 3000
    assert settings.currencies == CURRENCY_EXPONENTS.keys()
    assert settings.rate_limits["global"] == Window(100, 900)
    assert settings.rate_limits["accounts"] is None
    assert settings.settle_lease == timedelta(seconds=2)
    assert not settings.is_production
    assert not settings.log_json


@pytest.mark.parametrize(
    ("value", "currencies"),
    [("USD,EUR,INR", {"USD", "EUR", "INR"}), (" JPY ,, KWD", {"JPY", "KWD"}), ("CLF", {"CLF"}),
     ("all", CURRENCY_EXPONENTS.keys()), ("", CURRENCY_EXPONENTS.keys())],
)  # fmt: skip
def test_currencies_can_be_narrowed(value: str, currencies: set[str]) -> None:
    assert Settings.from_environ({**DATABASE, "CURRENCIES": value}).currencies == currencies


@pytest.mark.parametrize("level", ["warn", "WARN", "Warning"])
def test_log_level_is_case_insensitive_and_accepts_node_names(level: str) -> None:
    assert Settings.from_environ({**DATABASE, "LOG_LEVEL": level}).log_level == "warning"


def test_production_logs_json() -> None:
    assert Settings.from_environ({**DATABASE, "ATOMIC_ENV": "production"}).log_json


PRODUCTION = {**DATABASE, "ATOMIC_ENV": "production"}


def test_metrics_are_on_in_production_unless_switched_off() -> None:
    def list_ports(settings: Settings) -> list[int | None]:
        return [
            settings.metrics_port,
            settings.settlement_metrics_port,
            settings.worker_metrics_port,
            settings.sweeper_metrics_port,
        ]

    assert list_ports(Settings.from_environ(DATABASE)) == [None] * 4
    assert list_ports(Settings.from_environ(PRODUCTION)) == [9464, 9465, 9466, 9467]
    changed = {"METRICS_PORT": "off", "SWEEPER_METRICS_PORT": "7000"}
    assert list_ports(Settings.from_environ({**PRODUCTION, **changed})) == [None, 9465, 9466, 7000]


def test_production_refuses_the_sandbox_network_unless_allowed() -> None:
    for refused in ({}, {"ALLOW_SANDBOX": "false"}, {"ALLOW_SANDBOX": ""}):
        with pytest.raises(SettingsError, match=r"^ALLOW_SANDBOX: .*ALLOW_SANDBOX=true"):
            Settings.from_environ({**PRODUCTION, **refused}).check_card_network()
    Settings.from_environ({**PRODUCTION, "ALLOW_SANDBOX": "true"}).check_card_network()
    for environment in ("development", "test"):
        Settings.from_environ({**DATABASE, "ATOMIC_ENV": environment}).check_card_network()


STRIPE = {"CARD_NETWORK": "stripe", "STRIPE_SECRET_KEY": "sk_live_hunter2"}


def test_stripe_needs_its_key_by_name() -> None:
    with pytest.raises(SettingsError, match=r"^STRIPE_SECRET_KEY: .*got nothing$"):
        Settings.from_environ({**DATABASE, "CARD_NETWORK": "stripe"})
    assert not Settings.from_environ(DATABASE).networks.is_stripe
    settings = Settings.from_environ({**DATABASE, **STRIPE}).networks
    assert settings.is_stripe
    assert (settings.stripe.api_base, settings.stripe.concurrency) == ("https://api.stripe.com", 64)


@pytest.mark.parametrize("key", ["pk_live_hunter2", "hunter2", "sk_live hunter2", "sk_\u00e9"])
def test_malformed_key_of_stripe_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({**DATABASE, **STRIPE, "STRIPE_SECRET_KEY": key})
    message = str(caught.value)
    assert message.startswith("STRIPE_SECRET_KEY: expected a secret key of Stripe, which begins")
    assert "\n" not in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url", ["http://api.stripe.com", "https://x/v1", "https://u:p@x", "ftp://x", "https://"]
)
def test_key_of_stripe_is_sent_encrypted_or_to_this_machine(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^STRIPE_API_BASE: expected an https:// URL"):
        Settings.from_environ({**DATABASE, "STRIPE_API_BASE": url})
    for allowed in ("https://x", "https://x:444/", "http://localhost:8420", "http://[::1]:1"):
        stripe = Settings.from_environ({**DATABASE, "STRIPE_API_BASE": allowed}).networks.stripe
        assert stripe.api_base == allowed.rstrip("/")


def test_production_takes_a_live_key_only() -> None:
    Settings.from_environ({**PRODUCTION, **STRIPE}).check_card_network()
    test_mode = {**PRODUCTION, **STRIPE, "STRIPE_SECRET_KEY": "sk_test_1"}
    with pytest.raises(SettingsError, match=r"^ALLOW_SANDBOX: .*Stripe's test mode.*live key"):
        Settings.from_environ(test_mode).check_card_network()
    allowed = Settings.from_environ({**test_mode, "ALLOW_SANDBOX": "true"})
    allowed.check_card_network()
    assert "Stripe in test mode" in allowed.start_notices[0]
    notices = Settings.from_environ({**PRODUCTION, **STRIPE}).start_notices
    assert not any("no card is charged" in notice for notice in notices)


def test_representation_of_settings_has_no_key_of_stripe() -> None:
    settings = Settings.from_environ({**DATABASE, **STRIPE})
    assert settings.networks.stripe.secret_key == "sk_live_hunter2"
    assert "hunter2" not in repr(settings)


def test_registration_is_closed_in_production_only_unless_opened() -> None:
    assert Settings.from_environ(DATABASE).is_registration_open
    assert not Settings.from_environ(PRODUCTION).is_registration_open
    assert Settings.from_environ({**PRODUCTION, "REGISTRATION": "open"}).is_registration_open
    assert not Settings.from_environ({**DATABASE, "REGISTRATION": "closed"}).is_registration_open


def test_production_states_sandbox_and_registration_at_its_start() -> None:
    assert Settings.from_environ(DATABASE).start_notices == ()
    sandbox, closed, _ = Settings.from_environ(PRODUCTION).start_notices
    assert "no card is charged" in sandbox
    assert "Registration is closed" in closed
    _, opened, _ = Settings.from_environ({**PRODUCTION, "REGISTRATION": "open"}).start_notices
    assert "Registration is open" in opened


KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


def test_production_states_that_webhooks_are_off_without_a_key() -> None:
    *_, off = Settings.from_environ(PRODUCTION).start_notices
    assert off.startswith("Webhooks are off: WEBHOOK_ENCRYPTION_KEYS is not set.")
    notices = Settings.from_environ({**PRODUCTION, "WEBHOOK_ENCRYPTION_KEYS": KEY}).start_notices
    assert not any("Webhooks" in notice for notice in notices)


def test_defaults_of_webhooks() -> None:
    webhooks = Settings.from_environ(DATABASE).webhooks
    assert (webhooks.encryption_keys, webhooks.proxy) == ((), "")
    assert (webhooks.concurrency, webhooks.timeout) == (64, timedelta(seconds=10))
    assert [str(network) for network in webhooks.allowed_networks] == ["127.0.0.0/8", "::1/128"]
    assert Settings.from_environ(PRODUCTION).webhooks.allowed_networks == ()


def test_private_networks_are_allowed_by_name() -> None:
    for environ in (DATABASE, PRODUCTION):
        for value, networks in (
            ("none", ()),
            ("10.1.0.0/16, fd00::/8", ("10.1.0.0/16", "fd00::/8")),
            ("10.0.0.5", ("10.0.0.5/32",)),
        ):
            webhooks = Settings.from_environ({**environ, "WEBHOOK_ALLOW_PRIVATE": value}).webhooks
            assert tuple(map(str, webhooks.allowed_networks)) == networks


def test_representation_of_settings_has_no_key_and_no_proxy() -> None:
    secrets = {
        "WEBHOOK_ENCRYPTION_KEYS": f"{KEY},{KEY}",
        "WEBHOOK_PROXY": "http://user:hunter2@proxy.example:3128",
    }
    settings = Settings.from_environ({**DATABASE, **secrets})
    assert settings.webhooks.encryption_keys == (KEY, KEY)
    assert settings.webhooks.proxy == secrets["WEBHOOK_PROXY"]
    assert KEY not in repr(settings)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATOMIC_ENV", "staging"),
        ("ALLOW_SANDBOX", "yes"),
        ("REGISTRATION", "true"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "3000.0"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://localhost/atomic"),
        ("REDIS_URL", "http://localhost"),
        ("MERCHANT_API_KEY_HASH", "abc"),
        ("MERCHANT_API_KEY_HASH", "g" * 64),
        ("CORS_ORIGIN", "https://shop.example/path"),
        ("CORS_ORIGIN", "shop.example"),
        ("TRUSTED_PROXIES", "-1"),
        ("CURRENCIES", "USD,XXX"),
        ("CURRENCIES", ","),
        ("CURRENCIES", "all,USD"),
        ("CURRENCIES", "usd"),
        ("RATE_LIMIT_GLOBAL", "100"),
        ("RATE_LIMIT_GLOBAL", "0/60"),
        ("RATE_LIMIT_ON_FAILURE", "maybe"),
        ("SETTLE_LEASE_SECONDS", "nan"),
        ("SWEEP_INTERVAL_SECONDS", "inf"),
        ("METRICS_PORT", "yes"),
        ("WEBHOOK_ENCRYPTION_KEYS", "secret"),
        ("WEBHOOK_ENCRYPTION_KEYS", KEY[:-1]),
        ("WEBHOOK_ENCRYPTION_KEYS", f"{KEY},{KEY}x"),
        ("WEBHOOK_ENCRYPTION_KEYS", f"{KEY[:-5]}é==="),
        ("WEBHOOK_ALLOW_PRIVATE", "10.0.0.1/8"),
        ("WEBHOOK_ALLOW_PRIVATE", "localhost"),
        ("WEBHOOK_ALLOW_PRIVATE", "all"),
        ("WEBHOOK_ALLOW_PRIVATE", ","),
        ("WEBHOOK_CONCURRENCY", "0"),
        ("SETTLEMENT_METRICS_PORT", "yes"),
        ("WORKER_METRICS_PORT", "yes"),
        ("SWEEPER_METRICS_PORT", "0"),
        ("EVENT_RETENTION_DAYS", "29"),
        ("WEBHOOK_TIMEOUT_SECONDS", "0"),
        ("WEBHOOK_TIMEOUT_SECONDS", "31"),
        ("WEBHOOK_PROXY", "proxy.example:3128"),
        ("WEBHOOK_PROXY", "https://proxy.example"),
        ("WEBHOOK_PROXY", "http://proxy.example:0"),
        ("WEBHOOK_PROXY", "http://proxy.example:x"),
        ("WEBHOOK_PROXY", "http://proxy.example/path"),
        ("WEBHOOK_PROXY", "http://a..b:3128"),
    ],
)
def test_malformed_variable_is_reported_with_the_expected_form(name: str, value: str) -> None:
    with pytest.raises(
        SettingsError, match=f"^{name}: expected .*, got ({value!r}|something else)$"
    ):
        Settings.from_environ({**DATABASE, name: value})


def test_all_malformed_variables_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({"PORT": "x", "WEB_CONNECTIONS": "y"})
    names = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert names == ["PORT", "DATABASE_URL", "WEB_CONNECTIONS"]


def test_errors_do_not_contain_secrets() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(
            {
                "DATABASE_URL": "mysql://atomic:hunter2@db/atomic",
                "REDIS_URL": "http://:hunter2@redis",
                "MERCHANT_API_KEY_HASH": "sk_test_hunter2",
                "WEBHOOK_ENCRYPTION_KEYS": "hunter2",
                "WEBHOOK_PROXY": "socks://user:hunter2@proxy",
            }
        )
    assert len(str(caught.value).splitlines()) == 5
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("METRICS_PORT", "PORT"),
        ("WORKER_METRICS_PORT", "PORT"),
        ("SETTLEMENT_METRICS_PORT", "METRICS_PORT"),
        ("WORKER_METRICS_PORT", "SETTLEMENT_METRICS_PORT"),
        ("WORKER_METRICS_PORT", "METRICS_PORT"),
        ("SWEEPER_METRICS_PORT", "METRICS_PORT"),
        ("SWEEPER_METRICS_PORT", "WORKER_METRICS_PORT"),
    ],
)
def test_processes_have_different_ports(name: str, other: str) -> None:
    with pytest.raises(
        SettingsError, match=f"^{name}: expected another port than {other}, got 9100$"
    ):
        Settings.from_environ({**DATABASE, name: "9100", other: "9100"})


def test_libpq_variables_replace_database_url() -> None:
    assert Settings.from_environ({"PGHOST": "db"}).database_url == ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with nothing configured."""
    for name in [*Settings.variables(), "PGSERVICE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".atomic").mkdir()
    return tmp_path


def test_environment_takes_precedence_over_env_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("DATABASE_URL=postgresql:///file\nPORT=4000\nHOST=::1\n")
    monkeypatch.setenv("PORT", "5000")
    settings = Settings.load()
    assert (settings.database_url, settings.port) == ("postgresql:///file", 5000)
    assert settings.host == "::1"


def test_running_dev_is_used_unless_a_database_is_configured(folder: Path) -> None:
    url = "postgresql://u@/a?host=/s"
    (folder / ".atomic/dev.env").write_text(f"export DEV_DATABASE_URL='{url}'\nexport API_KEY=k\n")
    settings = Settings.load()
    assert (settings.database_url, settings.uses_dev_servers) == (url, True)
    (folder / ".env").write_text("DATABASE_URL=postgresql:///file\n")
    settings = Settings.load()
    assert (settings.database_url, settings.uses_dev_servers) == ("postgresql:///file", False)


def test_missing_database_is_explained_by_make_run(folder: Path) -> None:
    with pytest.raises(SettingsError, match="got nothing; `make run` is not running here"):
        Settings.load()


def test_production_ignores_dev_env(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".atomic/dev.env").write_text("DEV_DATABASE_URL=postgresql:///dev\n")
    monkeypatch.setenv("ATOMIC_ENV", "production")
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        Settings.load()


def test_empty_variable_counts_as_unset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".atomic/dev.env").write_text("DEV_DATABASE_URL=postgresql:///dev\n")
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("PGHOST", "")
    assert Settings.load().database_url == "postgresql:///dev"
