"""Parses environment variables, and reports every malformed one at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from atomic_core.domain.money import CURRENCY_EXPONENTS

T = TypeVar("T")

_SHA256: Final = re.compile("[0-9A-Fa-f]{64}")

CONNECTION_VARIABLES: Final = ("DATABASE_URL", "PGHOST", "PGDATABASE", "PGSERVICE")
"""At least one of them must say where PostgreSQL is."""

MAX_ROLE_BYTES: Final = 63


class SettingsError(Exception):
    """Variables are missing or malformed. The message has one line per variable: its name, what was
    expected and what was found."""


def read_env_file(path: Path) -> dict[str, str]:
    """The names and values in a file of settings; empty if there is no file.

    Raises SettingsError if the file cannot be read.
    """
    try:
        # Read here: dotenv takes a folder for a missing file.
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: expected UTF-8 text") from error
    values = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


class Window(NamedTuple):
    """`quota` requests per `seconds`."""

    quota: int
    seconds: int


class DatabaseRoles(NamedTuple):
    """The roles that `atomic grant` gives privileges to, and the passwords that it sets."""

    app: str = "atomic_app"
    """Of the API, the workers, the sweeper and the commands."""
    readonly: str = "atomic_readonly"
    """Of reports and of people who look things up."""
    app_password: str = ""
    readonly_password: str = ""


@dataclass(slots=True)
class EnvironReader:
    """Reads variables and collects errors; `raise_errors` reports them together."""

    environ: Mapping[str, str]
    names: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    database_hint: str = ""
    """Added to the error for an unnamed database."""

    def raise_errors(self) -> None:
        if self.errors:
            raise SettingsError("\n".join(self.errors))

    def read(
        self,
        name: str,
        default: str,
        parse: Callable[[str], T],
        expected: str,
        *,
        secret: bool = False,
    ) -> T:
        """`parse` raises ValueError for what is not `expected`. The error for a malformed `secret`
        does not repeat its value: messages end up in logs."""
        self.names.append(name)
        raw = self.environ.get(name, "").strip() or default
        try:
            raw.encode()  # Bytes that are no UTF-8 are lone surrogates here.
            return parse(raw)
        except ValueError:
            got = "something else" if secret else repr(raw)
            self.errors.append(f"{name}: expected {expected}, got {got}")
            return parse(default)

    def read_host(self, name: str, default: str) -> str:
        def parse(raw: str) -> str:
            _check_hosts(raw)
            return raw

        return self.read(name, default, parse, "an IP address or a host name")

    def read_choice(
        self, name: str, choices: Sequence[str], normalize: Callable[[str], str] = str
    ) -> str:
        """One of `choices`, the first by default. `normalize` maps the value before comparison."""

        def parse(raw: str) -> str:
            return choices[choices.index(normalize(raw))]

        return self.read(name, choices[0], parse, "one of " + ", ".join(choices))

    def read_integer(self, name: str, default: int, low: int, high: int) -> int:
        def parse(raw: str) -> int:
            return _check_range(int(raw), low, high)

        return self.read(name, str(default), parse, f"a whole number from {low} to {high}")

    def read_seconds(self, name: str, default: float, low: float, high: float) -> timedelta:
        def parse(raw: str) -> timedelta:
            return timedelta(seconds=_check_range(float(raw), low, high))

        return self.read(name, str(default), parse, f"seconds from {low} to {high}")

    def read_optional_port(self, name: str, default: str = "off") -> int | None:
        def parse(raw: str) -> int | None:
            return None if raw == "off" else int(_check_range(int(raw), 1, 65_535))

        return self.read(name, default, parse, "a port from 1 to 65535, or off")

    def read_optional_database_url(self, name: str) -> str:
        def parse(raw: str) -> str:
            if raw and urlsplit(raw).scheme not in ("postgres", "postgresql"):
                raise ValueError
            return raw

        return self.read(name, "", parse, "a postgres:// URL", secret=True)

    def read_database_url(self) -> str:
        url = self.read_optional_database_url("DATABASE_URL")
        # libpq reads these itself; checked here for a message that names the variable.
        self.read("PGHOST", "", _check_hosts, "a host name, or several separated by commas")
        self.read("PGPORT", "", _check_ports, "a port, or several separated by commas")
        for name in ("PGUSER", "PGPASSWORD", "PGDATABASE"):
            self.read(name, "", str, "UTF-8 text", secret=True)
        if not any(self.environ.get(name, "").strip() for name in CONNECTION_VARIABLES):
            hint = f"; {self.database_hint}" if self.database_hint else ""
            self.errors.append(
                "DATABASE_URL: expected a postgres:// URL, or PGHOST and PGDATABASE, got nothing"
                + hint
            )
        return url

    def read_database_roles(self) -> DatabaseRoles:
        def parse_name(raw: str) -> str:
            # PostgreSQL would cut a longer name.
            if not 1 <= len(raw.encode()) <= MAX_ROLE_BYTES or not raw.isprintable():
                raise ValueError
            return raw

        expected = f"the name of a role, of up to {MAX_ROLE_BYTES} bytes"
        return DatabaseRoles(
            self.read("APP_ROLE", DatabaseRoles().app, parse_name, expected),
            self.read("READONLY_ROLE", DatabaseRoles().readonly, parse_name, expected),
            self.read("APP_ROLE_PASSWORD", "", str, "UTF-8 text", secret=True),
            self.read("READONLY_ROLE_PASSWORD", "", str, "UTF-8 text", secret=True),
        )

    def read_redis_url(self, name: str, default: str) -> str:
        def parse(raw: str) -> str:
            if urlsplit(raw).scheme not in ("redis", "rediss", "unix"):
                raise ValueError
            return raw

        return self.read(name, default, parse, "a redis://, rediss:// or unix:// URL", secret=True)

    def read_sha256(self, name: str) -> bytes | None:
        def parse(raw: str) -> bytes | None:
            if not raw:
                return None
            if not _SHA256.fullmatch(raw):
                raise ValueError
            return bytes.fromhex(raw)

        return self.read(
            name, "", parse, "64 hexadecimal digits, the SHA-256 of a key", secret=True
        )

    def read_origins(self, name: str) -> tuple[str, ...]:
        def parse(raw: str) -> tuple[str, ...]:
            origins = tuple(part.strip() for part in raw.split(",") if part.strip())
            for origin in origins:
                parts = urlsplit(origin)
                is_bare = parts.netloc and not (parts.path or parts.query or parts.fragment)
                if origin != "*" and not (parts.scheme in ("http", "https") and is_bare):
                    raise ValueError
            return origins

        return self.read(
            name, "", parse, "origins such as https://shop.example, separated by commas"
        )

    def read_currencies(self, name: str) -> frozenset[str]:
        def parse(raw: str) -> frozenset[str]:
            if raw == "all":
                return frozenset(CURRENCY_EXPONENTS)
            codes = frozenset(part.strip() for part in raw.split(",") if part.strip())
            if not codes or not codes <= CURRENCY_EXPONENTS.keys():
                raise ValueError
            return codes

        return self.read(name, "all", parse, "ISO 4217 codes separated by commas, or all")

    def read_window(self, name: str, default: str) -> Window | None:
        def parse(raw: str) -> Window | None:
            if raw == "off":
                return None
            quota, seconds = raw.split("/")
            return Window(
                _check_range(int(quota), 1, 1_000_000_000), _check_range(int(seconds), 1, 86_400)
            )

        return self.read(name, default, parse, "requests/seconds such as 100/900, or off")


def _check_hosts(raw: str) -> None:
    for host in raw.split(","):
        host.encode("idna")  # as for a look-up: a label has 1 to 63 characters


def _check_ports(raw: str) -> None:
    for port in raw.split(","):
        if port:
            _check_range(int(port), 1, 65_535)


Number = TypeVar("Number", int, float)


def _check_range(value: Number, low: Number, high: Number) -> Number:
    if not low <= value <= high:
        raise ValueError
    return value
