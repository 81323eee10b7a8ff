"""What `atomic doctor` concludes from facts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atomic_core.domain.backlog import NO_BACKLOG, Backlog
from atomic_core.domain.diagnosis import (
    Check,
    CheckState,
    DatabaseFacts,
    RedisFacts,
    SystemFacts,
    diagnose,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

DATABASE = DatabaseFacts(
    version=180_001,
    pending_migrations=(),
    role="atomic_app",
    excess_powers=(),
    missing_privileges=(),
    clock_offset=0.2 * SECOND,
    changes_backend=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    synchronous_names="ANY 1 (a, b)",
    synchronous_standbys=2,
    time_zone="UTC",
    free_disk=0.5,
    certificate_ends_at=NOW + 90 * DAY,
)
SEEN = {"worker": NOW - 20 * SECOND, "sweeper": NOW - 10 * SECOND, "webhooks": NOW}
REDIS = RedisFacts(
    version="9.0.1",
    is_primary=True,
    max_memory=1_000_000,
    eviction_policy="volatile-ttl",
    is_last_save_ok=True,
    certificate_ends_at=NOW + 90 * DAY,
    last_seen=SEEN,
    ledger_check=(NOW - timedelta(hours=1), 0),
)
HEALTHY = SystemFacts(
    NOW, DATABASE, REDIS, NO_BACKLOG, True, timedelta(hours=1), delivers_webhooks=True
)
FAILED, WARNING, UNKNOWN = CheckState.FAILED, CheckState.WARNING, CheckState.UNKNOWN


def list_troubles(facts: SystemFacts) -> Sequence[Check]:
    return [check for check in diagnose(facts) if check.state is not CheckState.OK]


def test_healthy_system_passes_every_check() -> None:
    assert list_troubles(HEALTHY) == []
    assert not any(check.advice for check in diagnose(HEALTHY))
    names = [check.name for check in diagnose(HEALTHY)]
    assert len(set(names)) == len(names) == 21


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"version": 170_009}, "postgresql", FAILED),
        ({"pending_migrations": ["0042.next"]}, "schema", FAILED),
        ({"excess_powers": ["is a superuser"]}, "role", FAILED),
        ({"missing_privileges": ["payments"]}, "privileges", FAILED),
        ({"clock_offset": 1.1 * SECOND}, "clock", FAILED),
        ({"clock_offset": -1.1 * SECOND}, "clock", FAILED),
        ({"changes_backend": True}, "pooler", FAILED),
        ({"fsync": False}, "durability", FAILED),
        ({"full_page_writes": False}, "durability", FAILED),
        ({"synchronous_commit": "off"}, "durability", FAILED),
        ({"synchronous_names": "", "synchronous_standbys": 0}, "standby", WARNING),
        ({"synchronous_standbys": 0}, "standby", FAILED),
        ({"synchronous_standbys": None}, "standby", UNKNOWN),
        ({"time_zone": "Asia/Kolkata"}, "timezone", WARNING),
        ({"free_disk": 0.09}, "disk", FAILED),
        ({"free_disk": None}, "disk", UNKNOWN),
        ({"certificate_ends_at": NOW + 14 * DAY}, "postgresql-certificate", WARNING),
        ({"certificate_ends_at": NOW}, "postgresql-certificate", FAILED),
    ],
    ids=str,
)
def test_fault_of_the_database_is_named(
    change: dict[str, Any], name: str, state: CheckState
) -> None:
    [trouble] = list_troubles(HEALTHY._replace(database=DATABASE._replace(**change)))
    assert (trouble.name, trouble.state) == (name, state)
    assert trouble.found
    assert trouble.advice.endswith(".")


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"version": "6.0.16"}, "redis", FAILED),
        ({"is_primary": False}, "redis-role", FAILED),
        ({"eviction_policy": "noeviction"}, "redis-eviction", WARNING),
        ({"eviction_policy": "allkeys-lru"}, "redis-eviction", WARNING),
        ({"is_last_save_ok": False}, "redis-persistence", FAILED),
        ({"certificate_ends_at": NOW - DAY}, "redis-certificate", FAILED),
        ({"last_seen": {**SEEN, "worker": NOW - 61 * SECOND}}, "worker", FAILED),
        ({"last_seen": {**SEEN, "sweeper": None}}, "sweeper", FAILED),
        ({"last_seen": {**SEEN, "webhooks": None}}, "webhooks", FAILED),
        ({"ledger_check": None}, "verification", WARNING),
        ({"ledger_check": (NOW - SECOND, 1)}, "verification", FAILED),
        ({"ledger_check": (NOW - timedelta(hours=4), 0)}, "verification", WARNING),
    ],
    ids=str,
)
def test_fault_in_redis_or_of_a_process_is_named(
    change: dict[str, Any], name: str, state: CheckState
) -> None:
    [trouble] = list_troubles(HEALTHY._replace(redis=REDIS._replace(**change)))
    assert (trouble.name, trouble.state) == (name, state)
    assert trouble.found
    assert trouble.advice.endswith(".")


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"database": "connection refused"}, "postgresql", FAILED),
        ({"redis": "connection refused"}, "redis", FAILED),
        ({"backlog": Backlog(3, 15 * SECOND)}, "backlog", FAILED),
        ({"backlog": None}, "backlog", UNKNOWN),
    ],
    ids=str,
)
def test_fault_of_the_system_is_named(change: dict[str, Any], name: str, state: CheckState) -> None:
    [trouble] = list_troubles(HEALTHY._replace(**change))
    assert (trouble.name, trouble.state) == (name, state)
    assert trouble.advice.endswith(".")


@pytest.mark.parametrize(
    "facts",
    [
        HEALTHY._replace(backlog=Backlog(3, 14 * SECOND)),
        HEALTHY._replace(database=DATABASE._replace(clock_offset=SECOND)),
        HEALTHY._replace(redis=REDIS._replace(max_memory=0, eviction_policy="noeviction")),
        HEALTHY._replace(redis=REDIS._replace(last_seen={**SEEN, "sweeper": NOW - 60 * SECOND})),
        HEALTHY._replace(redis=REDIS._replace(last_seen={**SEEN, "sweeper": NOW + SECOND})),
        HEALTHY._replace(
            redis=REDIS._replace(last_seen={**SEEN, "webhooks": None}), delivers_webhooks=False
        ),
    ],
)
def test_what_is_within_bounds_is_no_fault(facts: SystemFacts) -> None:
    assert list_troubles(facts) == []


def test_privileged_role_is_a_warning_outside_of_production() -> None:
    database = DATABASE._replace(excess_powers=["owns tables"])
    [trouble] = list_troubles(HEALTHY._replace(database=database, is_production=False))
    assert (trouble.name, trouble.state) == ("role", WARNING)


def test_connection_without_tls_has_no_certificate() -> None:
    facts = HEALTHY._replace(database=DATABASE._replace(certificate_ends_at=None))
    assert list_troubles(facts) == [Check("postgresql-certificate", UNKNOWN, "TLS is not used")]
