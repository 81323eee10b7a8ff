"""Configuration: environment variables parsed into one frozen value.

A missing or malformed variable prevents the start; the error names every such variable and what it
should hold. `.env.example` describes all variables.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from atomic_adapters.environ import (
    CONNECTION_VARIABLES,
    DatabaseRoles,
    EnvironReader,
    SettingsError,
    Window,
    read_env_file,
)
from atomic_adapters.network_settings import NetworkSettings
from atomic_adapters.webhook_settings import WebhookSettings
from atomic_core.domain.payments import DEFAULT_ACTION_PERIOD
from atomic_core.domain.settlement import DEFAULT_NETWORK_PATIENCE
from atomic_core.use_cases.in_doubt import DEFAULT_IN_DOUBT_ALARM

DEV_ENV: Final = Path(".atomic/dev.env")
"""Written by `atomic dev` for scripts, and for other commands while it runs."""

DEV_PREFIX: Final = "DEV_"
"""Of the settings in that file: a shell that has sourced it starts `atomic dev` as before, and not
with the servers of the last run as if they were configured."""

LOG_LEVELS: Final = ("info", "debug", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Settings:
    environment: str
    allow_sandbox: bool
    """Whether production may use a card network that charges no card: the sandbox, or Stripe with a
    key of its test mode."""
    allow_privileged_role: bool
    """Whether production may connect to PostgreSQL as a role that could change the books."""
    is_registration_open: bool
    """Whether POST /merchants/register is available to everybody."""
    host: str
    port: int
    log_level: str
    log_json: bool
    database_url: str
    """A PostgreSQL URL; empty when libpq's own PG* variables say where to connect."""
    migration_database_url: str
    """The same database, as the owner of its tables; empty when `database_url` is the owner's."""
    database_direct_url: str
    """The same database as `database_url`, around a pooler; empty when that is direct."""
    has_transaction_pooler: bool
    """Whether `database_url` leads through a pooler that gives each transaction another session."""
    requires_synchronous_replication: bool
    """Whether an API is not ready on a PostgreSQL that acknowledges commits without a replica."""
    database_roles: DatabaseRoles
    database_pool: int
    """Maximum number of connections per process."""
    statement_timeout: timedelta
    lock_timeout: timedelta
    redis_url: str
    redis_timeout: timedelta
    merchant_api_key_hash: bytes | None
    cors_origins: tuple[str, ...]
    trusted_proxies: int
    currencies: frozenset[str]
    session_lifetime: timedelta
    rate_limits: Mapping[str, Window | None]
    rate_limit_passes_on_failure: bool
    batch_body_limit: int
    """Bytes."""
    body_limit: int
    """Bytes."""
    idempotency_retention: timedelta
    web_workers: int
    web_connections: int
    """Maximum number per process."""
    request_timeout: timedelta
    """For receiving a request, and for sending its response."""
    drain: timedelta
    """How long a stopping API still accepts connections while its readiness probe fails."""
    shutdown_grace: timedelta
    metrics_port: int | None
    settlement_metrics_port: int | None
    """Of a worker's process that settles."""
    worker_metrics_port: int | None
    """Of a worker's process that delivers webhooks."""
    sweeper_metrics_port: int | None
    networks: NetworkSettings
    settles: bool
    """Whether worker and sweeper work. Off after a restore: they would act on what is past."""
    settle_batch: int
    settle_lease: timedelta
    network_timeout: timedelta
    """Of one call of the card network."""
    network_patience: timedelta
    in_doubt_alarm: timedelta
    action_period: timedelta
    """How long a request that cannot be sent to the card network is retried."""
    hold_period: timedelta
    """How long an authorized payment waits for its capture."""
    sweep_interval: timedelta
    ledger_check_interval: timedelta
    event_retention: timedelta
    """At least 30 days."""
    webhooks: WebhookSettings
    uses_dev_servers: bool = False
    """Whether the servers are those of `atomic dev` in this folder."""

    def with_direct_database(self) -> "Settings":
        """For a process that keeps sessions, or whose statements take long: it connects around a
        pooler, if DATABASE_DIRECT_URL says how."""
        if not self.database_direct_url:
            return self
        return replace(self, database_url=self.database_direct_url, has_transaction_pooler=False)

    @property
    def default_currency(self) -> str:
        """Of the account that a new merchant gets."""
        return "USD" if "USD" in self.currencies else min(self.currencies)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def refuses_privileged_role(self) -> bool:
        """Whether no connection may be made as a role that could change the books."""
        return self.is_production and not self.allow_privileged_role

    @property
    def start_notices(self) -> tuple[str, ...]:
        """What the operator must know at the start of a process in production."""
        if not self.is_production:
            return ()
        network = "Stripe in test mode" if self.networks.is_stripe else "the sandbox"
        sandbox = (
            f"The card network is {network}: payments succeed and no card is charged"
            " (ALLOW_SANDBOX=true)."
        )
        registration = (
            "Registration is open: anybody who reaches the API can register a merchant"
            " (REGISTRATION=open)."
            if self.is_registration_open
            else "Registration is closed: POST /merchants/register answers 403 until"
            " REGISTRATION=open."
        )
        webhooks = (
            "Webhooks are off: WEBHOOK_ENCRYPTION_KEYS is not set. `atomic webhooks new-key` prints"
            " a key."
        )
        sandbox_notices = [] if self.charges_cards else [sandbox]
        return (
            *sandbox_notices,
            registration,
            *([] if self.webhooks.encryption_keys else [webhooks]),
        )

    @property
    def has_sandbox(self) -> bool:
        """Whether payments can be settled through the sandbox, be it for single merchants."""
        return not self.networks.is_stripe or self.allow_sandbox

    @property
    def charges_cards(self) -> bool:
        """Whether a payment moves real money."""
        return self.networks.is_stripe and not self.networks.stripe.is_test_mode

    def check_card_network(self) -> None:
        """Called before a process accepts or settles payments. Raises SettingsError if the card
        network charges no card in production: it approves invented cards."""
        if not self.is_production or self.allow_sandbox or self.charges_cards:
            return
        network = "Stripe's test mode" if self.networks.is_stripe else "the sandbox"
        way_out = "a live key" if self.networks.is_stripe else "CARD_NETWORK=stripe"
        raise SettingsError(
            f"ALLOW_SANDBOX: the card network is {network}, which approves payments and charges no"
            f" card, so production does not start with it. Set {way_out}, or for a demonstration"
            " ALLOW_SANDBOX=true."
        )

    @classmethod
    def load(cls) -> "Settings":
        """Read the process environment, then `.env`, then, outside production and if neither says
        where PostgreSQL is, the file of a running `atomic dev`. The first value of a variable
        wins. Raises SettingsError."""
        environ = {**_read_file(Path(".env")), **_drop_empty(os.environ)}
        has_database = any(name in environ for name in CONNECTION_VARIABLES)
        if has_database or environ.get("ATOMIC_ENV") == "production":
            return cls.from_environ(environ)
        written = _read_file(DEV_ENV)
        if not written:
            return cls._read(EnvironReader(environ, database_hint="`make run` is not running here"))
        named = {name.removeprefix(DEV_PREFIX): value for name, value in written.items()}
        return replace(cls.from_environ({**named, **environ}), uses_dev_servers=True)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        return cls._read(EnvironReader(environ))

    @classmethod
    def variables(cls) -> Sequence[str]:
        """The names of all variables that settings are read from."""
        reader = EnvironReader({"DATABASE_URL": "postgresql:///atomic"})
        cls._read(reader)
        return tuple(reader.names)

    @classmethod
    def _read(cls, reader: EnvironReader) -> "Settings":
        environment = reader.read_choice("ATOMIC_ENV", ("development", "test", "production"))
        production = environment == "production"
        settings = cls(
            environment=environment,
            allow_sandbox=reader.read_choice(
                "ALLOW_SANDBOX", ("false", "true") if production else ("true", "false")
            )
            == "true",
            allow_privileged_role=reader.read_choice(
                "ALLOW_PRIVILEGED_ROLE", ("false", "true") if production else ("true", "false")
            )
            == "true",
            is_registration_open=reader.read_choice(
                "REGISTRATION", ("closed", "open") if production else ("open", "closed")
            )
            == "open",
            host=reader.read_host("HOST", "127.0.0.1"),
            port=reader.read_integer("PORT", 3000, 1, 65_535),
            log_level=reader.read_choice("LOG_LEVEL", LOG_LEVELS, _normalize_level),
            log_json=reader.read_choice(
                "LOG_FORMAT", ("json", "text") if production else ("text", "json")
            )
            == "json",
            database_url=reader.read_database_url(),
            migration_database_url=reader.read_optional_database_url("MIGRATION_DATABASE_URL"),
            database_direct_url=reader.read_optional_database_url("DATABASE_DIRECT_URL"),
            has_transaction_pooler=reader.read_choice("DATABASE_POOLER", ("none", "transaction"))
            == "transaction",
            requires_synchronous_replication=reader.read_choice("REQUIRE_SYNC", ("0", "1")) == "1",
            database_roles=reader.read_database_roles(),
            # More concurrent statements would only queue for PostgreSQL's cores.
            database_pool=reader.read_integer("DATABASE_POOL", 8, 1, 1_000),
            # Below the time-outs of jobs and clients: otherwise a statement would continue after
            # its caller has given up.
            statement_timeout=reader.read_seconds("STATEMENT_TIMEOUT_SECONDS", 10, 0.1, 3_600),
            # How long a duplicate waits for the first request with its Idempotency-Key.
            lock_timeout=reader.read_seconds("LOCK_TIMEOUT_SECONDS", 3, 0.1, 600),
            redis_url=reader.read_redis_url("REDIS_URL", "redis://localhost:6379"),
            # Bounds connecting and each command: together they delay a request by less than the
            # 0.25 s that the ports allow, when Redis does not respond.
            redis_timeout=reader.read_seconds("REDIS_TIMEOUT_SECONDS", 0.1, 0.01, 5),
            merchant_api_key_hash=reader.read_sha256("MERCHANT_API_KEY_HASH"),
            cors_origins=reader.read_origins("CORS_ORIGIN"),
            trusted_proxies=reader.read_integer("TRUSTED_PROXIES", 0, 0, 10),
            currencies=reader.read_currencies("CURRENCIES"),
            session_lifetime=reader.read_seconds("SESSION_SECONDS", 43_200, 60, 2_592_000),
            rate_limits={
                "global": reader.read_window("RATE_LIMIT_GLOBAL", "100/900"),
                # Ten per second: more than the supervisors and load balancers of one address send.
                "service": reader.read_window("RATE_LIMIT_SERVICE", "600/60"),
                "payments": reader.read_window("RATE_LIMIT_PAYMENTS", "10/60"),
                "accounts": reader.read_window("RATE_LIMIT_ACCOUNTS", "off"),
                "network_events": reader.read_window("RATE_LIMIT_NETWORK_EVENTS", "6000/60"),
                "register": reader.read_window("RATE_LIMIT_REGISTER", "10/3600"),
                "login_address": reader.read_window("RATE_LIMIT_LOGIN_ADDRESS", "20/900"),
                "login_email": reader.read_window("RATE_LIMIT_LOGIN_EMAIL", "10/900"),
                # At most 30 in the 900 s of the two limits before: guessing stays slow, and an
                # owner who mistypes waits for half a minute at most.
                "login_slow": reader.read_window("RATE_LIMIT_LOGIN_SLOW", "1/30"),
                "password": reader.read_window("RATE_LIMIT_PASSWORD", "10/900"),
            },
            rate_limit_passes_on_failure=reader.read_choice(
                "RATE_LIMIT_ON_FAILURE", ("allow", "refuse")
            )
            == "allow",
            # 1,000 payments of 2 KB each, four times the size of a payment with all its fields.
            batch_body_limit=reader.read_integer(
                "BATCH_BODY_LIMIT_BYTES", 2_097_152, 1_024, 67_108_864
            ),
            # Ten times the largest valid request.
            body_limit=reader.read_integer("BODY_LIMIT_BYTES", 65_536, 1_024, 16_777_216),
            idempotency_retention=reader.read_seconds(
                "IDEMPOTENCY_RETENTION_SECONDS", 86_400, 1, 31_536_000
            ),
            web_workers=reader.read_integer("WEB_WORKERS", 2, 1, 256),
            # Each may buffer a body: up to 64 MB per process at the default BODY_LIMIT_BYTES.
            web_connections=reader.read_integer("WEB_CONNECTIONS", 1_000, 1, 100_000),
            request_timeout=reader.read_seconds("REQUEST_TIMEOUT_SECONDS", 15, 0.1, 3_600),
            # 0: only a load balancer that polls /health/ready needs time to react.
            drain=reader.read_seconds("DRAIN_SECONDS", 0, 0, 300),
            # Less than the 10 s that container runtimes wait between SIGTERM and SIGKILL.
            shutdown_grace=reader.read_seconds("SHUTDOWN_GRACE_SECONDS", 8, 1, 300),
            # Fixed ports would collide on a developer's machine, where several systems may run.
            metrics_port=reader.read_optional_port("METRICS_PORT", "9464" if production else "off"),
            settlement_metrics_port=reader.read_optional_port(
                "SETTLEMENT_METRICS_PORT", "9465" if production else "off"
            ),
            worker_metrics_port=reader.read_optional_port(
                "WORKER_METRICS_PORT", "9466" if production else "off"
            ),
            sweeper_metrics_port=reader.read_optional_port(
                "SWEEPER_METRICS_PORT", "9467" if production else "off"
            ),
            # More than a year, for what is looked into once a year. The database refuses less than
            # 30 days.
            event_retention=timedelta(
                days=reader.read_integer("EVENT_RETENTION_DAYS", 400, 30, 36_500)
            ),
            networks=NetworkSettings.read(reader),
            settles=reader.read_choice("SETTLE", ("on", "off")) == "on",
            settle_batch=reader.read_integer("SETTLE_BATCH", 2_000, 1, 10_000),
            # Claims of a frozen worker wait this long before another worker takes over. A worker
            # that runs renews its leases, however long the card network takes.
            settle_lease=reader.read_seconds("SETTLE_LEASE_SECONDS", 2, 0.1, 3_600),
            # Per call. A settlement job has 180 s and may wait for the network for twice this after
            # its last batch began at 60 s.
            network_timeout=reader.read_seconds("NETWORK_TIMEOUT_SECONDS", 10, 0.1, 30),
            # Four hours: an outage of a card network ends sooner, and a customer is not charged the
            # next day.
            network_patience=reader.read_seconds(
                "NETWORK_PATIENCE_SECONDS", DEFAULT_NETWORK_PATIENCE.total_seconds(), 1, 604_800
            ),
            # A customer who pays is at the screen; less than a minute is too short for a code by
            # text message. A day: as long as networks keep what they know of a request.
            action_period=reader.read_seconds(
                "CUSTOMER_ACTION_SECONDS", DEFAULT_ACTION_PERIOD.total_seconds(), 60, 86_400
            ),
            # A doubt of less than a minute has usually ended by itself; a day after a silence the
            # goods are sent, and the network may have forgotten the request.
            in_doubt_alarm=reader.read_seconds(
                "IN_DOUBT_EVENT_SECONDS", DEFAULT_IN_DOUBT_ALARM.total_seconds(), 60, 86_400
            ),
            # Seven days, as long as card networks hold an authorization.
            hold_period=reader.read_seconds("HOLD_SECONDS", 604_800, 1, 2_592_000),
            # Without Redis, payments are settled at most 1.5 intervals after acceptance: within a
            # second. A sweep that finds nothing due costs one probe of an empty index.
            sweep_interval=reader.read_seconds("SWEEP_INTERVAL_SECONDS", 0.4, 0.05, 60),
            ledger_check_interval=reader.read_seconds("LEDGER_CHECK_SECONDS", 3_600, 1, 604_800),
            webhooks=WebhookSettings.read(reader, is_production=production),
        )
        reader.errors += settings._find_port_conflicts()
        reader.raise_errors()
        return settings

    def _find_port_conflicts(self) -> list[str]:
        """Two processes of a host cannot listen on one port."""
        ports = {
            "PORT": self.port,
            "METRICS_PORT": self.metrics_port,
            "SETTLEMENT_METRICS_PORT": self.settlement_metrics_port,
            "WORKER_METRICS_PORT": self.worker_metrics_port,
            "SWEEPER_METRICS_PORT": self.sweeper_metrics_port,
        }
        names_by_port: dict[int, str] = {}
        conflicts: list[str] = []
        for name, port in ports.items():
            if port is None:
                continue
            if other := names_by_port.get(port):
                conflicts.append(f"{name}: expected another port than {other}, got {port}")
            names_by_port.setdefault(port, name)
        return conflicts


def _normalize_level(raw: str) -> str:
    """In lower case; `warn` is an alias that the Node implementation used."""
    level = raw.lower()
    return "warning" if level == "warn" else level


def _read_file(path: Path) -> dict[str, str]:
    return _drop_empty(read_env_file(path))


def _drop_empty(variables: Mapping[str, str]) -> dict[str, str]:
    """An empty variable counts as not set."""
    return {name: value for name, value in variables.items() if value.strip()}
