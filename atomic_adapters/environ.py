"""Reading typed values from environment variables, and telling all that is wrong with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from atomic_core.domain.money import EXPONENTS

T = TypeVar("T")


class SettingsError(Exception):
    """One or more variables are missing or malformed. The message names each."""


class Window(NamedTuple):
    """`quota` requests per `seconds`."""

    quota: int
    seconds: int


@dataclass(slots=True)
class EnvironReader:
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

    def currencies(self, name: str) -> frozenset[str]:
        def parse(raw: str) -> frozenset[str]:
            if raw == "all":
                return frozenset(EXPONENTS)
            codes = frozenset(part.strip() for part in raw.split(",") if part.strip())
            if not codes or not codes <= EXPONENTS.keys():
                raise ValueError
            return codes

        return self._parsed(name, "all", parse, "ISO 4217 codes, by commas, or all")

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
