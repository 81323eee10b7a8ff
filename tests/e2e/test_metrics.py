"""The metrics of each process, as Prometheus reads them."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import read_server_facts
from atomic_core.domain.backlog import NO_BACKLOG
from atomic_core.domain.diagnosis import CheckState, SystemFacts, diagnose
from atomic_worker.commands.webhooks import generate_key
from processes import Client, System, environment, find_free_port, wait_until
from promtool import run_promtool
from replaceable_valkey import ReplaceableValkey

GUARD_SECONDS = 60

PORTS = {
    "api": "METRICS_PORT",
    "settlement": "SETTLEMENT_METRICS_PORT",
    "webhooks": "WORKER_METRICS_PORT",
    "sweeper": "SWEEPER_METRICS_PORT",
}

POOL = ("atomic_database_pool_in_use", "atomic_database_pool_waiting", "atomic_wakeups_lost_total")
SETTLEMENT = (
    *('atomic_open_items{kind="payment",network="sandbox"}', "atomic_due_oldest_age_seconds"),
    *('atomic_open_holds{age="under_1h"}', "atomic_settlement_claims_total"),
    *("atomic_settlement_outcomes_total", "atomic_settlement_transaction_retries_total"),
    *("atomic_settlement_taken_over_claims_total", "atomic_network_calls_total"),
)
DELIVERY = ("atomic_events_total", "atomic_webhook_deliveries_total", "atomic_webhook_lag_seconds")

SERVED = {
    "api": (
        *POOL,
        *("atomic_http_requests_total", "atomic_rate_limiter_unavailable_total"),
        *("atomic_idempotency_replays_total", "atomic_due_oldest_age_seconds"),
    ),
    "settlement": (*POOL, *SETTLEMENT),
    "webhooks": (*POOL, *DELIVERY),
    "sweeper": (*POOL, *SETTLEMENT, *DELIVERY, "atomic_ledger_check_findings"),
}


@pytest.fixture(scope="module")
def system(
    postgres: EmbeddedPostgres,
    migrated: str,
    replaceable_valkey: ReplaceableValkey,
    scratch: Path,
) -> Iterator[System]:
    environ = environment(
        postgres.create_database(f"metrics_{secrets.token_hex(4)}", template=migrated),
        replaceable_valkey.create_database(),
        WEBHOOK_ENCRYPTION_KEYS=generate_key(),
        LEDGER_CHECK_SECONDS="1",
        **{name: str(find_free_port()) for name in PORTS.values()},
    )
    system = System(environ, scratch / f"metrics-{secrets.token_hex(4)}.log")
    try:
        system.start("api", "worker", "sweeper")
        yield system
    finally:
        system.stop()


def read_metrics(system: System, process: str) -> bytes:
    url = f"http://127.0.0.1:{system.environ[PORTS[process]]}/metrics"
    with urlopen(url, timeout=60) as response:
        return response.read()


def count_settled(system: System) -> float:
    lines = b"\n".join(read_metrics(system, process) for process in ("settlement", "sweeper"))
    return sum(
        float(line.split()[-1])
        for line in lines.decode().splitlines()
        if line.startswith("atomic_settlement_outcomes_total") and 'outcome="success"' in line
    )


@pytest.fixture(scope="module")
def settled(system: System, account: dict[str, str]) -> Client:
    """A client whose payments the worker or the sweeper has settled."""
    client = Client(system.base_url, account["apiKey"])
    payments = [client.pay().data["id"] for _ in range(3)]
    wait_until(lambda: all(map(client.is_settled, payments)), GUARD_SECONDS, "payments are settled")
    return client


@pytest.mark.usefixtures("settled")
def test_every_settled_payment_is_counted_once(system: System) -> None:
    wait_until(lambda: count_settled(system) == 3, GUARD_SECONDS, "each is counted")


@pytest.mark.parametrize("process", PORTS)
@pytest.mark.usefixtures("settled")
def test_process_serves_what_it_does(system: System, process: str) -> None:
    def list_missing() -> list[str]:
        text = f"\n{read_metrics(system, process).decode()}"
        return [name for name in SERVED[process] if f"\n{name}" not in text]

    # The watch of the API measures every ten seconds, and the sweeper verifies after one.
    wait_until(lambda: not list_missing(), GUARD_SECONDS, "all metrics are served")


@pytest.mark.usefixtures("settled")
def test_doctor_sees_the_processes_and_the_last_verification(system: System) -> None:
    settings = Settings.from_environ(system.environ)

    def list_unseen() -> set[str]:
        database, redis = read_server_facts(settings)
        facts = SystemFacts(
            datetime.now(UTC), database, redis, NO_BACKLOG, False, timedelta(hours=1), True
        )
        unseen = {each.name for each in diagnose(facts) if each.state is not CheckState.OK}
        return unseen & {"worker", "webhooks", "sweeper", "verification"}

    wait_until(lambda: not list_unseen(), GUARD_SECONDS, "all are seen")


@pytest.mark.parametrize("process", PORTS)
@pytest.mark.usefixtures("settled")
def test_promtool_finds_nothing_to_change(system: System, process: str) -> None:
    status, output = run_promtool("check", "metrics", stdin=read_metrics(system, process))
    assert (status, output) == (0, "")
