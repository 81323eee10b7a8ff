"""`atomic doctor` on real servers, with faults put in by hand."""

import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from atomic_adapters.certificates import read_certificate_end
from atomic_adapters.embedded import EmbeddedValkey
from atomic_adapters.embedded.postgres import SUPERUSER
from atomic_adapters.postgres import server_facts
from atomic_adapters.redis.connections import CircuitBreaker
from atomic_adapters.redis.process_reports import RedisProcessReports
from atomic_adapters.redis.rq_job_queue import get_wakeup_queue
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import read_server_facts
from atomic_core.domain.backlog import NO_BACKLOG
from atomic_core.domain.diagnosis import Check, CheckState, RedisFacts, SystemFacts, diagnose
from atomic_core.ports.job_queue import Job
from atomic_worker.settlement_worker import SettlementWorker
from processes import as_role
from webhook_receivers import Certificates

FAILED, WARNING = CheckState.FAILED, CheckState.WARNING

SettingsFor = Callable[..., Settings]


@pytest.fixture
def own_valkey(scratch: Path) -> Iterator[EmbeddedValkey]:
    """For tests that change its configuration."""
    server = EmbeddedValkey.start(scratch / f"doctor-{secrets.token_hex(4)}")
    yield server
    server.stop()


def check(settings: Settings) -> dict[str, Check]:
    database, redis = read_server_facts(settings)
    facts = SystemFacts(
        datetime.now(UTC),
        database,
        redis,
        NO_BACKLOG,
        True,
        timedelta(hours=1),
        delivers_webhooks=True,
    )
    return {each.name: each for each in diagnose(facts)}


def change(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.replace("{}", connection.info.dbname).encode())


def test_database_as_it_should_be_has_only_the_faults_of_a_test_server(
    database_url: str, settings_for: SettingsFor
) -> None:
    """It runs without fsync, and without a standby."""
    checks = check(settings_for(database_url))
    troubles = {name for name, each in checks.items() if each.state in (FAILED, WARNING)}
    assert troubles == {"durability", "standby", "redis"}
    assert checks["durability"].found == "off: fsync, full_page_writes, synchronous_commit"
    assert checks["role"].found == "atomic_app"
    assert checks["disk"].state is CheckState.UNKNOWN, "atomic_app may not know the folder"


def test_disk_is_measured_where_it_can_be_known(database_url: str) -> None:
    settings = Settings.from_environ({"DATABASE_URL": as_role(database_url, SUPERUSER)})
    assert check(settings)["disk"].found.endswith("% free")


def test_unreachable_servers_are_faults(settings_for: SettingsFor) -> None:
    checks = check(settings_for("postgresql://localhost:1/none", "redis://localhost:1"))
    assert {name: each.state for name, each in checks.items()} == {
        "postgresql": FAILED,
        "redis": FAILED,
    }


def test_empty_database_has_pending_migrations(
    own_database: Callable[..., str], settings_for: SettingsFor
) -> None:
    schema = check(settings_for(own_database()))["schema"]
    assert schema.state is FAILED
    assert "0001." in schema.found


def test_missing_migration_is_named(
    own_database: Callable[..., str], migrated: str, settings_for: SettingsFor
) -> None:
    url = own_database(migrated)
    change(url, "DELETE FROM _yoyo_migration WHERE migration_id LIKE '0039.%'")
    assert check(settings_for(url))["schema"].found.startswith("pending: 0039.")


def test_superuser_is_a_fault(database_url: str) -> None:
    settings = Settings.from_environ({"DATABASE_URL": as_role(database_url, SUPERUSER)})
    role = check(settings)["role"]
    assert (role.state, role.found) == (FAILED, f"{SUPERUSER} is a superuser")


def test_revoked_privilege_is_named(
    own_database: Callable[..., str], migrated: str, settings_for: SettingsFor
) -> None:
    url = own_database(migrated)
    change(url, "REVOKE ALL ON payments, refunds FROM atomic_app")
    privileges = check(settings_for(url))["privileges"]
    assert privileges.state is FAILED
    assert privileges.found == "atomic_app cannot use payments, refunds"


def test_time_zone_of_the_database_is_named(
    own_database: Callable[..., str], migrated: str, settings_for: SettingsFor
) -> None:
    url = own_database(migrated)
    change(url, "ALTER DATABASE {} SET timezone TO 'Asia/Kolkata'")
    zone = check(settings_for(url))["timezone"]
    assert (zone.state, zone.found) == (WARNING, "Asia/Kolkata")


@pytest.mark.parametrize("hours", [1, -1])
def test_clock_that_is_off_by_an_hour_is_a_fault(
    database_url: str, settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    statement = server_facts._SQL["read_settings"]
    shifted = statement.replace(
        b"clock_timestamp()", b"clock_timestamp() + interval '%d hours'" % hours
    )
    monkeypatch.setitem(server_facts._SQL, "read_settings", shifted)
    clock = check(settings_for(database_url))["clock"]
    assert clock.state is FAILED
    assert clock.found.endswith("ahead" if hours > 0 else "behind")


def test_session_that_changes_is_a_pooler(
    database_url: str, settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a pooler in transaction mode answers."""
    changing = b"SELECT (random() * 1000000)::integer"
    monkeypatch.setitem(server_facts._SQL, "read_backend", changing)
    assert check(settings_for(database_url))["pooler"].state is FAILED


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_eviction_policy_is_checked_where_memory_is_limited(
    database_url: str, own_valkey: EmbeddedValkey, settings_for: SettingsFor, policy: str
) -> None:
    settings = settings_for(database_url, own_valkey.url)
    redis = Redis.from_url(own_valkey.url)
    redis.config_set("maxmemory-policy", policy)
    assert check(settings)["redis-eviction"].state is CheckState.OK
    redis.config_set("maxmemory", "100mb")
    eviction = check(settings)["redis-eviction"]
    assert (eviction.state, eviction.found) == (WARNING, policy)


def test_replica_of_redis_is_a_fault(
    database_url: str, own_valkey: EmbeddedValkey, settings_for: SettingsFor
) -> None:
    settings = settings_for(database_url, own_valkey.url)
    assert check(settings)["redis-role"].state is CheckState.OK
    Redis.from_url(own_valkey.url).execute_command("REPLICAOF", "localhost", "1")
    assert check(settings)["redis-role"].state is FAILED


def test_processes_are_seen_once_they_run(
    database_url: str, valkey: Redis, valkey_server: EmbeddedValkey, settings_for: SettingsFor
) -> None:
    settings = settings_for(database_url, valkey_server.url)
    processes = ("worker", "sweeper", "webhooks")
    checks = check(settings)
    assert [checks[name].found for name in processes] == ["not seen"] * 3
    RedisProcessReports(valkey, CircuitBreaker()).report_running("sweeper")
    for job in Job:
        SettlementWorker([get_wakeup_queue(valkey, job)], connection=valkey).register_birth()
    checks = check(settings)
    assert [checks[name].state for name in processes] == [CheckState.OK] * 3


def test_process_that_is_silent_is_a_fault(
    database_url: str, valkey: Redis, valkey_server: EmbeddedValkey, settings_for: SettingsFor
) -> None:
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    RedisProcessReports(valkey, CircuitBreaker(), lambda: hour_ago).report_running("sweeper")
    sweeper = check(settings_for(database_url, valkey_server.url))["sweeper"]
    assert sweeper.state is FAILED
    assert sweeper.found.startswith("seen 36")


def test_findings_of_the_last_verification_are_a_fault(
    database_url: str, valkey: Redis, valkey_server: EmbeddedValkey, settings_for: SettingsFor
) -> None:
    settings = settings_for(database_url, valkey_server.url)
    reports = RedisProcessReports(valkey, CircuitBreaker())
    assert check(settings)["verification"].found == "none is known"
    reports.report_ledger_check(0)
    assert check(settings)["verification"].state is CheckState.OK
    reports.report_ledger_check(3)
    verification = check(settings)["verification"]
    assert verification.state is FAILED
    assert verification.found.startswith("3 findings, ")


def test_report_does_not_fail_without_redis() -> None:
    breaker = CircuitBreaker()
    reports = RedisProcessReports(Redis.from_url("redis://localhost:1"), breaker)
    reports.report_running("sweeper")
    assert breaker.is_open
    reports.report_ledger_check(0)


def test_facts_of_redis_are_its_own(
    database_url: str, valkey: Redis, valkey_server: EmbeddedValkey, settings_for: SettingsFor
) -> None:
    _, facts = read_server_facts(settings_for(database_url, valkey_server.url))
    assert isinstance(facts, RedisFacts)
    assert facts.version == valkey.info()["valkey_version"]
    assert facts.certificate_ends_at is None


@pytest.mark.parametrize("is_postgres", [False, True])
@pytest.mark.parametrize("days", [30, -1])
def test_end_of_a_certificate_is_read(tmp_path: Path, days: int, is_postgres: bool) -> None:
    context = Certificates(tmp_path).server_context("localhost", days=days)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve_tls, args=(listener, context, is_postgres))
        thread.start()
        ends_at = read_certificate_end(*listener.getsockname(), is_postgres=is_postgres)
        thread.join(60)
    assert ends_at is not None
    assert abs(ends_at - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1)


def _serve_tls(listener: socket.socket, context: ssl.SSLContext, is_postgres: bool) -> None:
    connection, _ = listener.accept()
    if is_postgres:
        assert connection.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
        connection.sendall(b"S")
    with context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(1)


def test_server_without_tls_has_no_certificate() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_refuse_tls, args=(listener,))
        thread.start()
        assert read_certificate_end(*listener.getsockname(), is_postgres=True) is None
        thread.join(60)
    assert read_certificate_end("127.0.0.1", 1) is None


def _refuse_tls(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(8)
        connection.sendall(b"N")
