"""Parses environment variables, and reports every malformed one at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from atomic_core.domain.money import CURRENCY_EXPONENTS

T = TypeVar("T")

CONNECTION_VARIABLES: Final = ("DATABASE_URL", "PGHOST", "PGDATABASE", "PGSERVICE")
"""At least one of them must say where PostgreSQL is."""


class SettingsError(Exception):
    """Variables are missing or malformed. The message has one line per variable: its name, what was
    expected and what was found."""


class Window(NamedTuple):
    """`quota` requests per `seconds`."""

    quota: int
    seconds: int


@dataclass(slots=True)
class EnvironReader:
    """Reads variables and collects errors; `raise_errors` reports them together."""

    environ: Mapping[str, str]
    names: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def raise_errors(self) -> None:
        if self.errors:
            raise SettingsError("\n".join(self.errors))

    def _parse(
        self,
        name: str,
        default: str,
        parse: Callable[[str], T],
        expected: str,
        *,
        secret: bool = False,
    ) -> T:
        """The error for a malformed `secret` does not repeat its value: messages end up in logs."""
        self.names.append(name)
        raw = self.environ.get(name, "").strip() or default
        try:
            return parse(raw)
        except ValueError:
            got = "something else" if secret else repr(raw)
            self.errors.append(f"{name}: expected {expected}, got {got}")
            return parse(default)

    def read_text(self, name: str, default: str) -> str:
        return self._parse(name, default, str, "text")

    def read_choice(
        self, name: str, choices: Sequence[str], normalize: Callable[[str], str] = str
    ) -> str:
        """One of `choices`, the first by default. `normalize` maps the value before comparison."""

        def parse(raw: str) -> str:
            return choices[choices.index(normalize(raw))]

        return self._parse(name, choices[0], parse, "one of " + ", ".join(choices))

    def read_integer(self, name: str, default: int, low: int, high: int) -> int:
        def parse(raw: str) -> int:
            return _check_range(int(raw), low, high)

        return self._parse(name, str(default), parse, f"a whole number from {low} to {high}")

    def read_seconds(self, name: str, default: float, low: float, high: float) -> timedelta:
        def parse(raw: str) -> timedelta:
            return timedelta(seconds=_check_range(float(raw), low, high))

        return self._parse(name, str(default), parse, f"seconds from {low} to {high}")

    def read_optional_port(self, name: str) -> int | None:
        def parse(raw: str) -> int | None:
            return None if raw == "off" else int(_check_range(int(raw), 1, 65_535))

        return self._parse(name, "off", parse, "a port from 1 to 65535, or off")

    def read_database_url(self) -> str:
        def parse(raw: str) -> str:
            if raw and urlsplit(raw).scheme not in ("postgres", "postgresql"):
                raise ValueError
            return raw

        url = self._parse("DATABASE_URL", "", parse, "a postgres:// URL", secret=True)
        self.names.extend(("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"))
        if not any(self.environ.get(name, "").strip() for name in CONNECTION_VARIABLES):
            self.errors.append(
                "DATABASE_URL: expected a postgres:// URL, or PGHOST and PGDATABASE, got nothing"
            )
        return url

    def read_redis_url(self, name: str, default: str) -> str:
        def parse(raw: str) -> str:
            if urlsplit(raw).scheme not in ("redis", "rediss", "unix"):
                raise ValueError
            return raw

        return self._parse(
            name, default, parse, "a redis://, rediss:// or unix:// URL", secret=True
        )

    def read_sha256(self, name: str) -> bytes | None:
        def parse(raw: str) -> bytes | None:
            if not raw:
                return None
            if len(raw) != 64:
                raise ValueError
            return bytes.fromhex(raw)

        return self._parse(
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

        return self._parse(
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

        return self._parse(name, "all", parse, "ISO 4217 codes separated by commas, or all")

    def read_window(self, name: str, default: str) -> Window | None:
        def parse(raw: str) -> Window | None:
            if raw == "off":
                return None
            quota, seconds = raw.split("/")
            return Window(
                _check_range(int(quota), 1, 1_000_000_000), _check_range(int(seconds), 1, 86_400)
            )

        return self._parse(name, default, parse, "requests/seconds such as 100/900, or off")


Number = TypeVar("Number", int, float)


def _check_range(value: Number, low: Number, high: Number) -> Number:
    if not low <= value <= high:
        raise ValueError
    return value
