"""What is wrong with a deployment, judged from facts about its servers and processes.

Pure: adapters read the facts, `atomic doctor` prints the checks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from atomic_core.domain.backlog import BACKLOG_ALARM, Backlog

OLDEST_POSTGRES: Final = 180_000
"""Statements use uuidv7(), which is in PostgreSQL since 18."""

OLDEST_REDIS: Final = (6, 2)
"""Valkey counts from 7.2, its last common version with Redis."""

MAX_CLOCK_OFFSET: Final = timedelta(seconds=1)
"""Expiry of holds and keys uses both clocks."""

MAX_SILENCE: Final = timedelta(seconds=60)
"""A sweeper reports itself every 10 s, a worker every 20 s."""

CERTIFICATE_WARNING: Final = timedelta(days=14)
"""Enough to get another one."""

MIN_FREE_SHARE: Final = 0.1
"""Of a disk. PostgreSQL stops when it is full."""

LEDGER_CHECKS_MISSED: Final = 3
"""Intervals of LEDGER_CHECK_SECONDS after which a verification is late."""


class CheckState(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It could not be found out, or does not apply."""


class Check(NamedTuple):
    name: str
    state: CheckState
    found: str
    advice: str = ""
    """What to do. Empty if all is well."""


class DatabaseFacts(NamedTuple):
    version: int
    """As in `server_version_num`."""
    pending_migrations: Sequence[str]
    role: str
    excess_powers: Sequence[str]
    """With which it could change the books."""
    missing_privileges: Sequence[str]
    """Tables that the role cannot use."""
    clock_offset: timedelta
    """How far its clock is ahead of this machine's."""
    changes_backend: bool
    """Whether a connection meets different backends in two transactions."""
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    synchronous_names: str
    """`synchronous_standby_names`; empty without synchronous replication."""
    synchronous_standbys: int | None
    """Connected; None if the role may not know."""
    time_zone: str
    """The server's own, for sessions that set none."""
    free_disk: float | None
    """The share of its disk that is free, if this machine has that disk."""
    certificate_ends_at: datetime | None
    """None without TLS."""


class RedisFacts(NamedTuple):
    version: str
    is_primary: bool
    max_memory: int
    """Bytes; 0: no limit."""
    eviction_policy: str
    is_last_save_ok: bool
    """Of its snapshot and its append-only file."""
    certificate_ends_at: datetime | None
    """None without TLS."""
    last_seen: Mapping[str, datetime | None]
    """When each kind of process was seen last: `worker`, `sweeper`, `webhooks`."""
    ledger_check: tuple[datetime, int] | None
    """When the last verification of the ledger ended, and its findings."""


class SystemFacts(NamedTuple):
    now: datetime
    database: DatabaseFacts | str
    """Or why there are none."""
    redis: RedisFacts | str
    backlog: Backlog | None
    is_production: bool
    ledger_check_interval: timedelta
    delivers_webhooks: bool


def diagnose(facts: SystemFacts) -> Sequence[Check]:
    """Every check, in the order in which to read them. Without a server, what it would tell is
    unknown."""
    checks: list[Check] = []
    database, redis = facts.database, facts.redis
    if isinstance(database, str):
        advice = "Start PostgreSQL, or correct DATABASE_URL. Nothing works without it."
        checks.append(Check("postgresql", CheckState.FAILED, database, advice))
    else:
        checks += [check(facts, database) for check in _DATABASE_CHECKS]
        checks.append(_check_backlog(facts.backlog))
    if isinstance(redis, str):
        advice = "Start Redis, or correct REDIS_URL. The sweeper settles meanwhile."
        checks.append(Check("redis", CheckState.FAILED, redis, advice))
    else:
        checks += [check(facts, redis) for check in _REDIS_CHECKS]
        checks += _check_processes(facts, redis)
    return checks


def _check_postgres_version(_: SystemFacts, database: DatabaseFacts) -> Check:
    version = f"PostgreSQL {database.version // 10_000}.{database.version % 10_000}"
    if database.version < OLDEST_POSTGRES:
        advice = "Upgrade PostgreSQL: version 18 is the oldest that Atomic runs on."
        return Check("postgresql", CheckState.FAILED, version, advice)
    return Check("postgresql", CheckState.OK, version)


def _check_schema(_: SystemFacts, database: DatabaseFacts) -> Check:
    if not database.pending_migrations:
        return Check("schema", CheckState.OK, "up to date")
    found = f"pending: {', '.join(database.pending_migrations)}"
    advice = "Run `atomic migrate up` as the owner of the tables."
    return Check("schema", CheckState.FAILED, found, advice)


def _check_role(facts: SystemFacts, database: DatabaseFacts) -> Check:
    if not database.excess_powers:
        return Check("role", CheckState.OK, database.role)
    found = f"{database.role} {', '.join(database.excess_powers)}"
    advice = "It could change the books. Connect as a role that `atomic grant` has prepared."
    state = CheckState.FAILED if facts.is_production else CheckState.WARNING
    return Check("role", state, found, advice)


def _check_privileges(_: SystemFacts, database: DatabaseFacts) -> Check:
    if not database.missing_privileges:
        return Check("privileges", CheckState.OK, "complete")
    found = f"{database.role} cannot use {', '.join(database.missing_privileges)}"
    advice = "Run `atomic grant` as the owner of the tables."
    return Check("privileges", CheckState.FAILED, found, advice)


def _check_clock(_: SystemFacts, database: DatabaseFacts) -> Check:
    seconds = database.clock_offset.total_seconds()
    found = f"PostgreSQL's clock is {abs(seconds):.3f} s {'behind' if seconds < 0 else 'ahead'}"
    if abs(database.clock_offset) <= MAX_CLOCK_OFFSET:
        return Check("clock", CheckState.OK, found)
    advice = "Synchronize the clocks of both machines, with chrony for example."
    return Check("clock", CheckState.FAILED, found, advice)


def _check_pooler(_: SystemFacts, database: DatabaseFacts) -> Check:
    if not database.changes_backend:
        return Check("pooler", CheckState.OK, "each connection keeps its session")
    found = "the session changes between transactions: a pooler in transaction mode"
    advice = "Connect directly to PostgreSQL, or through a pooler in session mode."
    return Check("pooler", CheckState.FAILED, found, advice)


def _check_durability(_: SystemFacts, database: DatabaseFacts) -> Check:
    settings = {
        "fsync": database.fsync,
        "full_page_writes": database.full_page_writes,
        "synchronous_commit": database.synchronous_commit != "off",
    }
    off = [name for name, is_on in settings.items() if not is_on]
    if not off:
        return Check("durability", CheckState.OK, "commits survive a crash")
    found = f"off: {', '.join(off)}"
    advice = "Switch them on: a power cut loses or corrupts acknowledged payments."
    return Check("durability", CheckState.FAILED, found, advice)


def _check_standby(_: SystemFacts, database: DatabaseFacts) -> Check:
    if not database.synchronous_names:
        advice = (
            "Set synchronous_standby_names: a failover to an asynchronous standby loses the last"
            " payments."
        )
        return Check("standby", CheckState.WARNING, "no synchronous standby", advice)
    if database.synchronous_standbys is None:
        advice = "Grant pg_monitor to a role of your own and look at pg_stat_replication."
        found = "configured; the role may not know whether one is connected"
        return Check("standby", CheckState.UNKNOWN, found, advice)
    if not database.synchronous_standbys:
        advice = "Start a standby: every commit waits for one, and requests are answered 503."
        return Check("standby", CheckState.FAILED, "none is connected", advice)
    return Check("standby", CheckState.OK, f"{database.synchronous_standbys} connected")


def _check_time_zone(_: SystemFacts, database: DatabaseFacts) -> Check:
    if database.time_zone in ("UTC", "Etc/UTC", "GMT", "Etc/GMT"):
        return Check("timezone", CheckState.OK, database.time_zone)
    advice = (
        "Set TimeZone to UTC in PostgreSQL: psql and reports then show the days that Atomic uses."
    )
    return Check("timezone", CheckState.WARNING, database.time_zone, advice)


def _check_disk(_: SystemFacts, database: DatabaseFacts) -> Check:
    if database.free_disk is None:
        advice = "Watch the disk of PostgreSQL's machine there."
        return Check("disk", CheckState.UNKNOWN, "PostgreSQL's disk is not on this machine", advice)
    found = f"{database.free_disk:.0%} free"
    if database.free_disk >= MIN_FREE_SHARE:
        return Check("disk", CheckState.OK, found)
    advice = "Make room: PostgreSQL stops when its disk is full. Look for old WAL files first."
    return Check("disk", CheckState.FAILED, found, advice)


def _check_certificate(name: str, ends_at: datetime | None, now: datetime) -> Check:
    if ends_at is None:
        return Check(name, CheckState.UNKNOWN, "TLS is not used")
    found = f"ends {ends_at:%Y-%m-%d}"
    if ends_at - now > CERTIFICATE_WARNING:
        return Check(name, CheckState.OK, found)
    state = CheckState.WARNING if ends_at > now else CheckState.FAILED
    return Check(name, state, found, "Renew the server's certificate.")


def _check_postgres_certificate(facts: SystemFacts, database: DatabaseFacts) -> Check:
    return _check_certificate("postgresql-certificate", database.certificate_ends_at, facts.now)


def _check_redis_certificate(facts: SystemFacts, redis: RedisFacts) -> Check:
    return _check_certificate("redis-certificate", redis.certificate_ends_at, facts.now)


def _check_backlog(backlog: Backlog | None) -> Check:
    if backlog is None:
        advice = "See `schema` and `privileges`."
        return Check("backlog", CheckState.UNKNOWN, "could not be read", advice)
    if not backlog.due:
        return Check("backlog", CheckState.OK, "nothing is due")
    age = backlog.oldest_age.total_seconds()
    found = f"{backlog.due} due, the oldest for {age:.0f} s"
    if backlog.oldest_age < BACKLOG_ALARM:
        return Check("backlog", CheckState.OK, found)
    advice = "Nothing settles payments: start the sweeper and the worker, or read their logs."
    return Check("backlog", CheckState.FAILED, found, advice)


def _check_redis_version(_: SystemFacts, redis: RedisFacts) -> Check:
    numbers = tuple(int(part) for part in redis.version.split(".")[:2] if part.isdecimal())
    if numbers >= OLDEST_REDIS:
        return Check("redis", CheckState.OK, redis.version)
    return Check("redis", CheckState.FAILED, redis.version, "Upgrade Redis to 6.2 or newer.")


def _check_redis_role(_: SystemFacts, redis: RedisFacts) -> Check:
    if redis.is_primary:
        return Check("redis-role", CheckState.OK, "primary")
    advice = "Connect to the primary: a replica takes no writes, and rate limits are not counted."
    return Check("redis-role", CheckState.FAILED, "replica", advice)


def _check_eviction(_: SystemFacts, redis: RedisFacts) -> Check:
    policy = redis.eviction_policy
    if not redis.max_memory:
        return Check("redis-eviction", CheckState.OK, "no limit of memory")
    if policy.startswith("volatile-"):
        return Check("redis-eviction", CheckState.OK, policy)
    reason = (
        "a full Redis refuses writes, and workers are not woken"
        if policy == "noeviction"
        else "a full Redis forgets wake-ups, and which primary was replaced"
    )
    advice = f"Set maxmemory-policy to volatile-ttl: {reason}."
    return Check("redis-eviction", CheckState.WARNING, policy, advice)


def _check_persistence(_: SystemFacts, redis: RedisFacts) -> Check:
    if redis.is_last_save_ok:
        return Check("redis-persistence", CheckState.OK, "no save has failed")
    advice = "See Redis's log, usually its disk is full: it refuses writes until a save succeeds."
    return Check("redis-persistence", CheckState.FAILED, "the last save failed", advice)


def _check_processes(facts: SystemFacts, redis: RedisFacts) -> Iterator[Check]:
    for process, advice in _PROCESS_ADVICE.items():
        if process == "webhooks" and not facts.delivers_webhooks:
            continue
        seen_at = redis.last_seen.get(process)
        if seen_at is None:
            yield Check(process, CheckState.FAILED, "not seen", advice)
            continue
        silence = max(facts.now - seen_at, timedelta(0))
        found = f"seen {silence.total_seconds():.0f} s ago"
        is_away = silence > MAX_SILENCE
        state = CheckState.FAILED if is_away else CheckState.OK
        yield Check(process, state, found, advice if is_away else "")
    yield _check_ledger(facts, redis)


def _check_ledger(facts: SystemFacts, redis: RedisFacts) -> Check:
    if redis.ledger_check is None:
        advice = "Run `atomic verify`, and leave the sweeper running for LEDGER_CHECK_SECONDS."
        return Check("verification", CheckState.WARNING, "none is known", advice)
    ended_at, findings = redis.ledger_check
    age = facts.now - ended_at
    found = f"{findings} findings, {age.total_seconds():.0f} s ago"
    if findings:
        advice = "Run `atomic verify` and see docs/operations.md#the-books-do-not-agree."
        return Check("verification", CheckState.FAILED, found, advice)
    if age > LEDGER_CHECKS_MISSED * facts.ledger_check_interval:
        advice = "Look for `ledger verification aborted` in the sweeper's log; run `atomic verify`."
        return Check("verification", CheckState.WARNING, found, advice)
    return Check("verification", CheckState.OK, found)


_DATABASE_CHECKS: Final[Sequence[Callable[[SystemFacts, DatabaseFacts], Check]]] = (
    _check_postgres_version,
    _check_schema,
    _check_role,
    _check_privileges,
    _check_clock,
    _check_pooler,
    _check_durability,
    _check_standby,
    _check_time_zone,
    _check_disk,
    _check_postgres_certificate,
)

_REDIS_CHECKS: Final[Sequence[Callable[[SystemFacts, RedisFacts], Check]]] = (
    _check_redis_version,
    _check_redis_role,
    _check_eviction,
    _check_persistence,
    _check_redis_certificate,
)

_PROCESS_ADVICE: Final = {
    "worker": "Start `atomic worker`: until then the sweeper alone settles.",
    "sweeper": "Start `atomic sweep`: without it no hold expires, and nothing is verified.",
    "webhooks": "Start `atomic worker --queues webhooks`: until then the sweeper delivers.",
}
