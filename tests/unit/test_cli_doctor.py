"""`atomic doctor`: output and exit statuses."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import ServerFacts, in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import StorageUnavailable
from atomic_worker.cli import main
from atomic_worker.commands.console import CliContext
from support import add_merchant, build_payment, with_use_cases
from unit.test_diagnosis import DATABASE, REDIS

SETTINGS = Settings.from_environ({"DATABASE_URL": "postgresql:///nowhere", "ATOMIC_ENV": "test"})


def build_facts(**changes: object) -> ServerFacts:
    """Of servers that are well, and of processes that were seen now."""
    now = datetime.now(UTC)
    later = now + timedelta(days=90)
    database = DATABASE._replace(certificate_ends_at=later)
    seen = dict.fromkeys(("worker", "sweeper", "webhooks"), now)
    redis = REDIS._replace(certificate_ends_at=later, last_seen=seen, ledger_check=(now, 0))
    return database._replace(**changes), redis


def run(facts: ServerFacts, *arguments: str, application: Application | None = None) -> Result:
    cli = CliContext(
        load_settings=lambda: SETTINGS,
        build_application=lambda _: application or in_memory(),
        read_server_facts=lambda _: facts,
    )
    return CliRunner().invoke(main, ["doctor", *arguments], obj=cli)


def test_healthy_system_exits_with_0() -> None:
    result = run(build_facts())
    assert result.exit_code == 0, result.output
    assert "FAILED" not in result.stdout
    assert "schema                  ok       up to date\n" in result.stdout


def test_fault_is_printed_with_what_to_do_and_exits_with_1() -> None:
    result = run(build_facts(pending_migrations=["0042.next"]))
    assert result.exit_code == 1
    _, _, after = result.stdout.partition("schema                  FAILED   pending: 0042.next\n")
    assert after.splitlines()[0].strip() == "Run `atomic migrate up` as the owner of the tables."


def test_warning_alone_exits_with_0() -> None:
    result = run(build_facts(time_zone="Asia/Kolkata"))
    assert result.exit_code == 0
    assert "timezone                WARNING  Asia/Kolkata\n" in result.stdout


@pytest.mark.parametrize(("fsync", "status"), [(True, 0), (False, 1)])
def test_json_has_every_check(fsync: bool, status: int) -> None:
    result = run(build_facts(fsync=fsync), "--json")
    assert result.exit_code == status
    document = json.loads(result.stdout)
    assert document["healthy"] is fsync
    [durability] = [each for each in document["checks"] if each["name"] == "durability"]
    assert durability["state"] == ("ok" if fsync else "failed")
    assert bool(durability["advice"]) is not fsync
    assert {each["name"] for each in document["checks"]} >= {"redis", "worker", "verification"}


def test_backlog_is_measured() -> None:
    application = in_memory()
    application.payments.record(build_payment(add_merchant(application.settlement.settle.begin)))
    result = run(build_facts(), application=application)
    assert "1 due, the oldest for 0 s" in result.stdout


def test_backlog_that_cannot_be_read_is_unknown() -> None:
    def measure() -> None:
        raise StorageUnavailable

    application = with_use_cases(in_memory(), {"maintenance.measure_backlog": measure})
    assert "backlog                 unknown" in run(build_facts(), application=application).stdout


def test_servers_that_are_away_are_named() -> None:
    result = run(("connection refused", "connection refused"))
    assert result.exit_code == 1
    assert "Start PostgreSQL" in result.stdout
    assert "Start Redis" in result.stdout
