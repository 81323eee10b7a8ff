"""Configuration: environment variables in, one frozen value out.

A missing or malformed variable stops the start, with its name and what was expected; all faults
are told at once. `.env.example` describes every variable.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from atomic_core.domain.money import EXPONENTS

T = TypeVar("T")

DEV_ENV: Final = Path(".atomic/dev.env")
"""What `atomic dev` leaves for scripts, and for the other commands while it runs."""


class SettingsError(Exception):
    """One or more variables are missing or malformed. The message names each."""


class Window(NamedTuple):
    """`quota` requests per `seconds`."""

    quota: int
    seconds: int


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
    rate_limits: Mapping[str, Window | None]
    rate_limit_passes_on_failure: bool
    body_limit: int
    """Bytes."""
    idempotency_retention: timedelta
    web_workers: int
    web_threads: int
    shutdown_grace: timedelta
    metrics_port: int | None
    settle_batch: int
    settle_lease: timedelta
    sweep_interval: timedelta
    ledger_check_interval: timedelta

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
        return cls._read(_Reader(environ))

    @classmethod
    def variables(cls) -> Sequence[str]:
        """The name of every variable that is read."""
        reader = _Reader({"DATABASE_URL": "postgresql:///atomic"})
        cls._read(reader)
        return tuple(reader.names)

    @classmethod
    def _read(cls, read: "_Reader") -> "Settings":
        environment = read.choice("ATOMIC_ENV", ("development", "test", "production"))
        production = environment == "production"
        settings = cls(
            environment=environment,
            host=read.text("HOST", "127.0.0.1"),
            port=read.integer("PORT", 3000, 1, 65_535),
            log_level=read.choice(
                "LOG_LEVEL", ("info", "debug", "warning", "error", "critical"), str.lower
            ),
            log_json=read.choice("LOG_FORMAT", ("json", "text") if production else ("text", "json"))
            == "json",
            database_url=read.database_url(),
            # One connection per thread: more would wait for PostgreSQL's cores anyway.
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
            currencies=read.currencies("CURRENCIES", "USD,EUR,INR"),
            rate_limits={
                "global": read.window("RATE_LIMIT_GLOBAL", "100/900"),
                "payments": read.window("RATE_LIMIT_PAYMENTS", "10/60"),
                "accounts": read.window("RATE_LIMIT_ACCOUNTS", "off"),
            },
            rate_limit_passes_on_failure=read.choice("RATE_LIMIT_ON_FAILURE", ("allow", "refuse"))
            == "allow",
            # The largest honest request is a tenth of this.
            body_limit=read.integer("BODY_LIMIT_BYTES", 65_536, 1_024, 16_777_216),
            idempotency_retention=read.seconds(
                "IDEMPOTENCY_RETENTION_SECONDS", 86_400, 1, 31_536_000
            ),
            web_workers=read.integer("WEB_WORKERS", 2, 1, 256),
            web_threads=read.integer("WEB_THREADS", 8, 1, 256),
            # Under the ten seconds that container runtimes wait before they kill.
            shutdown_grace=read.seconds("SHUTDOWN_GRACE_SECONDS", 8, 1, 300),
            metrics_port=read.optional_port("METRICS_PORT"),
            settle_batch=read.integer("SETTLE_BATCH", 1_000, 1, 10_000),
            settle_lease=read.seconds("SETTLE_LEASE_SECONDS", 5, 0.1, 3_600),
            sweep_interval=read.seconds("SWEEP_INTERVAL_SECONDS", 0.5, 0.05, 60),
            ledger_check_interval=read.seconds("LEDGER_CHECK_SECONDS", 3_600, 1, 604_800),
        )
        read.raise_faults()
        return settings


def _file(path: Path) -> dict[str, str]:
    return _said(dotenv_values(path))


def _said(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Those with a value: an empty variable is one that is not set."""
    return {name: value for name, value in variables.items() if value and value.strip()}


@dataclass(slots=True)
class _Reader:
    """Reads variables and collects what is wrong with them."""

    environ: Mapping[str, str]
    names: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def raise_faults(self) -> None:
        if self.faults:
            raise SettingsError("\n".join(self.faults))

    def _parsed(
        self,
        name: str,
        default: str,
        parse: Callable[[str], T],
        expected: str,
        *,
        secret: bool = False,
    ) -> T:
        """`secret` values are not repeated when they are malformed: messages end up in logs."""
        self.names.append(name)
        raw = self.environ.get(name, "").strip() or default
        try:
            return parse(raw)
        except ValueError:
            got = "something else" if secret else repr(raw)
            self.faults.append(f"{name}: expected {expected}, got {got}")
            return parse(default)

    def text(self, name: str, default: str) -> str:
        return self._parsed(name, default, str, "text")

    def choice(self, name: str, choices: Sequence[str], fold: Callable[[str], str] = str) -> str:
        """The first choice is the default."""

        def parse(raw: str) -> str:
            return choices[choices.index(fold(raw))]

        return self._parsed(name, choices[0], parse, "one of " + ", ".join(choices))

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        def parse(raw: str) -> int:
            return _between(int(raw), low, high)

        return self._parsed(name, str(default), parse, f"a whole number from {low} to {high}")

    def seconds(self, name: str, default: float, low: float, high: float) -> timedelta:
        def parse(raw: str) -> timedelta:
            return timedelta(seconds=_between(float(raw), low, high))

        return self._parsed(name, str(default), parse, f"seconds from {low} to {high}")

    def optional_port(self, name: str) -> int | None:
        def parse(raw: str) -> int | None:
            return None if raw == "off" else int(_between(int(raw), 1, 65_535))

        return self._parsed(name, "off", parse, "a port from 1 to 65535, or off")

    def database_url(self) -> str:
        def parse(raw: str) -> str:
            if raw and urlsplit(raw).scheme not in ("postgres", "postgresql"):
                raise ValueError
            return raw

        url = self._parsed("DATABASE_URL", "", parse, "a postgres:// URL", secret=True)
        self.names.extend(("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"))
        ways = ("DATABASE_URL", "PGHOST", "PGDATABASE", "PGSERVICE")
        if not any(self.environ.get(way, "").strip() for way in ways):
            self.faults.append(
                "DATABASE_URL: expected a postgres:// URL, or PGHOST and PGDATABASE, got nothing"
            )
        return url

    def redis_url(self, name: str, default: str) -> str:
        def parse(raw: str) -> str:
            if urlsplit(raw).scheme not in ("redis", "rediss", "unix"):
                raise ValueError
            return raw

        return self._parsed(
            name, default, parse, "a redis://, rediss:// or unix:// URL", secret=True
        )

    def sha256(self, name: str) -> bytes | None:
        def parse(raw: str) -> bytes | None:
            if not raw:
                return None
            if len(raw) != 64:
                raise ValueError
            return bytes.fromhex(raw)

        return self._parsed(
            name, "", parse, "64 hexadecimal digits, the SHA-256 of a key", secret=True
        )

    def origins(self, name: str) -> tuple[str, ...]:
        def parse(raw: str) -> tuple[str, ...]:
            origins = tuple(part.strip() for part in raw.split(",") if part.strip())
            for origin in origins:
                parts = urlsplit(origin)
                bare = parts.netloc and not (parts.path or parts.query or parts.fragment)
                if origin != "*" and not (parts.scheme in ("http", "https") and bare):
                    raise ValueError
            return origins

        return self._parsed(name, "", parse, "origins such as https://shop.example, by commas")

    def currencies(self, name: str, default: str) -> frozenset[str]:
        def parse(raw: str) -> frozenset[str]:
            codes = frozenset(part.strip() for part in raw.split(",") if part.strip())
            if not codes or not codes <= EXPONENTS.keys():
                raise ValueError
            return codes

        return self._parsed(name, default, parse, "ISO 4217 codes, by commas")

    def window(self, name: str, default: str) -> Window | None:
        def parse(raw: str) -> Window | None:
            if raw == "off":
                return None
            quota, seconds = raw.split("/")
            return Window(_between(int(quota), 1, 1_000_000_000), _between(int(seconds), 1, 86_400))

        return self._parsed(name, default, parse, "requests/seconds such as 100/900, or off")


Number = TypeVar("Number", int, float)


def _between(value: Number, low: Number, high: Number) -> Number:
    if not low <= value <= high:
        raise ValueError
    return value
