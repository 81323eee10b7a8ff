"""Checks the URLs of PostgreSQL and Redis with the parsers of their drivers.

Not a part of the settings, because gunicorn's master reads them before its workers patch the
standard library, and a driver must not be imported before that.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from redis import ConnectionPool, RedisError

from atomic_adapters.environ import SettingsError
from atomic_adapters.settings import Settings

MAX_PORT: Final = 65_535

_EXPECTED_DATABASE_URL: Final = (
    "a URL such as postgresql://user:password@host:5432/database with parameters that libpq knows;"
    " special characters in the password must be percent-encoded"
)
_EXPECTED_REDIS_URL: Final = (
    "a URL such as redis://user:password@host:6379/0 with known parameters; special characters in"
    " the password must be percent-encoded"
)

_REDIS_PARAMETERS: Final = frozenset(
    {"client_name", "db", "health_check_interval", "password", "protocol", "socket_keepalive"}
    | {"ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname"}
    | {"ssl_keyfile", "ssl_keyfile_password", "ssl_min_version", "username"}
)
"""redis-py passes any parameter of the URL on, also those that replace Atomic's own: its time-outs,
its retries, and the encoding that RQ requires."""


def check_connection_urls(settings: Settings) -> None:
    """Raise SettingsError, with a line per URL, unless the drivers can parse both. The message does
    not repeat a URL, because it may contain a password. Connects to nothing."""
    checks = (
        ("DATABASE_URL", settings.database_url, _check_database_url, _EXPECTED_DATABASE_URL),
        (
            *("MIGRATION_DATABASE_URL", settings.migration_database_url),
            *(_check_database_url, _EXPECTED_DATABASE_URL),
        ),
        (
            *("DATABASE_DIRECT_URL", settings.database_direct_url),
            *(_check_database_url, _EXPECTED_DATABASE_URL),
        ),
        ("REDIS_URL", settings.redis_url, _check_redis_url, _EXPECTED_REDIS_URL),
    )
    errors = [
        f"{name}: expected {expected}, got something else"
        for name, url, check, expected in checks
        if not _is_accepted(check, url)
    ]
    if errors:
        raise SettingsError("\n".join(errors))


def _is_accepted(check: Callable[[str], None], url: str) -> bool:
    try:
        check(url)
    # Which errors a parser raises depends on the part of the URL that is wrong.
    except (psycopg.Error, RedisError, ValueError, TypeError, LookupError):
        return False
    return True


def _check_database_url(url: str) -> None:
    parts: Mapping[str, Any] = conninfo_to_dict(url)
    for host in str(parts.get("host", "")).split(","):
        _check_host(host)
    for port in str(parts.get("port", "")).split(","):
        _check_port(port)


def _check_redis_url(url: str) -> None:
    pool = ConnectionPool.from_url(url)
    pool.make_connection()  # without connecting; raises TypeError for an unknown parameter
    parts = urlsplit(url)
    if not parse_qs(parts.query).keys() <= _REDIS_PARAMETERS:
        raise ValueError
    _check_host(parts.hostname or "")
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not (database.isascii() and database.isdecimal()):
        raise ValueError  # redis-py would use database 0


def _check_host(host: str) -> None:
    """As it is encoded for a look-up: raises UnicodeError, a ValueError, for an impossible name."""
    host.encode("idna")


def _check_port(port: str) -> None:
    if port and not 1 <= int(port) <= MAX_PORT:
        raise ValueError
