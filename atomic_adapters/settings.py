"""Configuration: environment variables in, one frozen value out.

A missing or malformed variable stops the start, with its name and what was expected; all faults
are told at once. `.env.example` describes every variable.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from atomic_adapters.environ import EnvironReader, Window

DEV_ENV: Final = Path(".atomic/dev.env")
"""What `atomic dev` leaves for scripts, and for the other commands while it runs."""

LOG_LEVELS: Final = ("info", "debug", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Settings:
    environment: str
    host: str
    port: int
    log_level: str
    log_json: bool
    database_url: str
    """A PostgreSQL URL; empty when libpq's own PG* variables say where to connect."""
    database_pool: int
    """Connections per process at most."""
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
    body_limit: int
    """Bytes."""
    idempotency_retention: timedelta
    web_workers: int
    web_connections: int
    """Per process at most."""
    request_timeout: timedelta
    """For a request to arrive, and for its answer to be taken."""
    shutdown_grace: timedelta
    metrics_port: int | None
    settle_batch: int
    settle_lease: timedelta
    hold_for: timedelta
    """How long an authorized payment waits for its capture."""
    sweep_interval: timedelta
    ledger_check_interval: timedelta

    @property
    def default_currency(self) -> str:
        """Of the account that comes with a merchant."""
        return "USD" if "USD" in self.currencies else min(self.currencies)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @classmethod
    def load(cls) -> "Settings":
        """Read the process environment, then `.env`, then (outside production) what a running
        `atomic dev` wrote. The first to name a variable wins."""
        environ = {**_file(Path(".env")), **_said(os.environ)}
        known = {"DATABASE_URL", "PGHOST", "PGDATABASE", "PGSERVICE"} & environ.keys()
        if not known and environ.get("ATOMIC_ENV") != "production":
            environ = {**_file(DEV_ENV), **environ}
        return cls.from_environ(environ)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        return cls._read(EnvironReader(environ))

    @classmethod
    def variables(cls) -> Sequence[str]:
        """The name of every variable that is read."""
        reader = EnvironReader({"DATABASE_URL": "postgresql:///atomic"})
        cls._read(reader)
        return tuple(reader.names)

    @classmethod
    def _read(cls, read: EnvironReader) -> "Settings":
        environment = read.choice("ATOMIC_ENV", ("development", "test", "production"))
        production = environment == "production"
        settings = cls(
            environment=environment,
            host=read.text("HOST", "127.0.0.1"),
            port=read.integer("PORT", 3000, 1, 65_535),
            log_level=read.choice("LOG_LEVEL", LOG_LEVELS, _level),
            log_json=read.choice("LOG_FORMAT", ("json", "text") if production else ("text", "json"))
            == "json",
            database_url=read.database_url(),
            # More would wait for PostgreSQL's cores anyway.
            database_pool=read.integer("DATABASE_POOL", 8, 1, 1_000),
            # Below every job's and every client's time-out, or a statement whose caller has
            # given up runs on.
            statement_timeout=read.seconds("STATEMENT_TIMEOUT_SECONDS", 10, 0.1, 3_600),
            # How long a duplicate waits for the first request with its Idempotency-Key.
            lock_timeout=read.seconds("LOCK_TIMEOUT_SECONDS", 3, 0.1, 600),
            redis_url=read.redis_url("REDIS_URL", "redis://localhost:6379"),
            # A request may lose 0.25 s to a dead Redis: connecting and one command.
            redis_timeout=read.seconds("REDIS_TIMEOUT_SECONDS", 0.1, 0.01, 5),
            merchant_api_key_hash=read.sha256("MERCHANT_API_KEY_HASH"),
            cors_origins=read.origins("CORS_ORIGIN"),
            trusted_proxies=read.integer("TRUSTED_PROXIES", 0, 0, 10),
            currencies=read.currencies("CURRENCIES"),
            session_lifetime=read.seconds("SESSION_SECONDS", 43_200, 60, 2_592_000),
            rate_limits={
                "global": read.window("RATE_LIMIT_GLOBAL", "100/900"),
                "payments": read.window("RATE_LIMIT_PAYMENTS", "10/60"),
                "accounts": read.window("RATE_LIMIT_ACCOUNTS", "off"),
                "register": read.window("RATE_LIMIT_REGISTER", "10/3600"),
                "login_address": read.window("RATE_LIMIT_LOGIN_ADDRESS", "20/900"),
                "login_email": read.window("RATE_LIMIT_LOGIN_EMAIL", "10/900"),
            },
            rate_limit_passes_on_failure=read.choice("RATE_LIMIT_ON_FAILURE", ("allow", "refuse"))
            == "allow",
            # A thousand payments of 2 KB each: four times what an honest one has.
            batch_body_limit=read.integer("BATCH_BODY_LIMIT_BYTES", 2_097_152, 1_024, 67_108_864),
            # The largest honest request is a tenth of this.
            body_limit=read.integer("BODY_LIMIT_BYTES", 65_536, 1_024, 16_777_216),
            idempotency_retention=read.seconds(
                "IDEMPOTENCY_RETENTION_SECONDS", 86_400, 1, 31_536_000
            ),
            web_workers=read.integer("WEB_WORKERS", 2, 1, 256),
            # Each may hold a body: at the default limit, 64 MB in all at worst.
            web_connections=read.integer("WEB_CONNECTIONS", 1_000, 1, 100_000),
            request_timeout=read.seconds("REQUEST_TIMEOUT_SECONDS", 15, 0.1, 3_600),
            # Under the ten seconds that container runtimes wait before they kill.
            shutdown_grace=read.seconds("SHUTDOWN_GRACE_SECONDS", 8, 1, 300),
            metrics_port=read.optional_port("METRICS_PORT"),
            settle_batch=read.integer("SETTLE_BATCH", 2_000, 1, 10_000),
            # From the claim to the locks, with the card network's answer in between: the
            # sandbox answers at once. What a stopped worker had in hand waits this long.
            settle_lease=read.seconds("SETTLE_LEASE_SECONDS", 2, 0.1, 3_600),
            # As long as card networks hold: seven days.
            hold_for=read.seconds("HOLD_SECONDS", 604_800, 1, 2_592_000),
            # With Redis away payments are settled within a second of their acceptance: after
            # one and a half of these at worst. A round that finds nothing is one look into an
            # empty index.
            sweep_interval=read.seconds("SWEEP_INTERVAL_SECONDS", 0.4, 0.05, 60),
            ledger_check_interval=read.seconds("LEDGER_CHECK_SECONDS", 3_600, 1, 604_800),
        )
        read.raise_faults()
        return settings


def _level(raw: str) -> str:
    """In any case; `warn` is what the Node project called it."""
    level = raw.lower()
    return "warning" if level == "warn" else level


def _file(path: Path) -> dict[str, str]:
    return _said(dotenv_values(path))


def _said(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Those with a value: an empty variable is one that is not set."""
    return {name: value for name, value in variables.items() if value and value.strip()}
