"""`atomic payments create`, `capture`, `cancel` and `refund`, `atomic status` and `completion`."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.backlog import BACKLOG_ALARM, Backlog
from atomic_core.use_cases.maintenance import Health
from atomic_worker.cli import main
from atomic_worker.commands.console import CliContext
from support import with_use_cases

SETTINGS = Settings.from_environ({"DATABASE_URL": "postgresql:///nowhere", "ATOMIC_ENV": "test"})
CREATE = ("payments", "create", "--amount", "1234", "--currency", "USD")


@pytest.fixture
def application() -> Application:
    return in_memory()


@pytest.fixture
def merchant_id(application: Application) -> UUID:
    return application.merchants.add("Shop").id


def run(application: Application, *arguments: str) -> Result:
    cli = CliContext(load_settings=lambda: SETTINGS, build_application=lambda _: application)
    return CliRunner().invoke(main, arguments, obj=cli)


def run_json(application: Application, *arguments: str) -> dict[str, Any]:
    result = run(application, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def list_audit(application: Application, merchant_id: UUID) -> list[tuple[str, object]]:
    events, _ = application.merchants.list_audit_events(merchant_id, None, 20)
    return [(event.type, event.details) for event in events if event.actor == "operator"]


def test_operator_creates_captures_and_refunds(application: Application, merchant_id: UUID) -> None:
    owner = ("--merchant", str(merchant_id), "--operator", "ada")
    held = run_json(application, *CREATE, *owner, "--manual", "--idempotency-key", "case-7")
    assert (held["status"], held["amount"], held["idempotencyKey"]) == ("PENDING", 1234, "case-7")
    application.settlement.settle()
    id = str(held["id"])
    captured = run_json(application, "payments", "capture", id, "--amount", "1000", "--as", "ada")
    assert captured["status"] == "PROCESSING"
    application.settlement.settle()
    refunded = run_json(application, "payments", "refund", id, "--reason", "damaged", "--as", "ada")
    assert (refunded["paymentId"], refunded["amount"]) == (id, 1000)
    application.settlement.settle()
    payment = application.payments.get(merchant_id, UUID(id))
    assert (payment.status, payment.amount_captured, payment.amount_refunded) == (
        "SUCCESS",
        1000,
        1000,
    )
    events = list_audit(application, merchant_id)
    types = {type for type, _ in events}
    assert {"payment_created", "payment_captured", "payment_refunded"} <= types
    details = {"paymentId": id, "amount": "1234", "operator": "ada"}
    assert ("payment_created", details) in events


def test_key_makes_a_command_take_effect_once(application: Application, merchant_id: UUID) -> None:
    create = (*CREATE, "--merchant", str(merchant_id), "--idempotency-key", "k")
    first, second = run_json(application, *create), run_json(application, *create)
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert first["id"] == second["id"]
    assert run(application, *create, "--manual").exit_code == 1, "another request"
    assert application.settlement.settle() == 1
    types = [type for type, _ in list_audit(application, merchant_id)]
    assert types.count("payment_created") == 1


def test_cancel_releases_the_hold(application: Application, merchant_id: UUID) -> None:
    held = run_json(application, *CREATE, "--merchant", str(merchant_id), "--manual")
    application.settlement.settle()
    result = run(application, "payments", "cancel", held["id"])
    assert f"The payment {held['id']} of 12.34 USD is PROCESSING." in result.stdout
    assert "Idempotency key  operator-" in result.stdout
    application.settlement.settle()
    assert application.payments.get(merchant_id, UUID(held["id"])).status == "CANCELED"
    again = run(application, "payments", "cancel", held["id"])
    assert again.exit_code == 1
    assert "CANCELED" in again.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--currency", "usd"), "--currency"),
        (("--amount", "0"), "--amount"),
        (("--source", "card"), "--source"),
        (("--source", "tok_chargedeclined"), "Did you mean tok_chargeDeclined?"),
        (("--idempotency-key", "a b"), "--idempotency-key"),
    ],
)
def test_wrong_option_is_named(
    application: Application, merchant_id: UUID, options: tuple[str, ...], text: str
) -> None:
    result = run(application, *CREATE, "--merchant", str(merchant_id), *options)
    assert result.exit_code == 2, result.output
    assert text in result.stderr
    assert application.settlement.settle() == 0


def test_unknown_and_suspended_merchants_pay_nothing(
    application: Application, merchant_id: UUID
) -> None:
    assert run(application, *CREATE, "--merchant", str(uuid4())).exit_code == 1
    assert run(application, "merchants", "suspend", str(merchant_id)).exit_code == 0
    result = run(application, *CREATE, "--merchant", str(merchant_id))
    assert (result.exit_code, "is suspended" in result.stderr) == (1, True)
    assert run(application, "payments", "capture", str(uuid4())).exit_code == 1


def test_status_is_one_page(application: Application) -> None:
    result = run(application, "status")
    assert result.exit_code == 0, result.output
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["Status"] == "ready"
    assert (lines["postgres"], lines["Schema"], lines["Backlog"]) == ("up", "up to date", "none")
    document = run_json(application, "status")
    assert document["backlog"] == {"due": 0, "oldestAgeSeconds": 0}


@pytest.mark.parametrize(
    ("health", "status", "text"),
    [
        (Health({"redis": False}, is_ready=True), "degraded", "down"),
        (Health({}, True, Backlog(5, BACKLOG_ALARM)), "degraded", "5 due, the oldest for 15 s"),
        (Health({}, False, pending_migrations=["0032.x"]), "not ready", "pending: 0032.x"),
        (Health({"postgres": False}, is_ready=False), "not ready", "unknown"),
    ],
)
def test_status_fails_if_something_is_wrong(
    application: Application, health: Health, status: str, text: str
) -> None:
    ill = with_use_cases(application, {"maintenance.check_health": lambda: health})
    result = run(ill, "status")
    assert result.exit_code == 1
    assert text in result.stdout
    document = run(ill, "status", "--json")
    assert (document.exit_code, json.loads(document.stdout)["status"]) == (1, status)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(application: Application, shell: str) -> None:
    result = run(application, "completion", shell)
    assert result.exit_code == 0, result.output
    assert "_ATOMIC_COMPLETE" in result.stdout
    assert run(application, "completion", "tcsh").exit_code == 2


def test_lists_are_read_page_by_page(application: Application, merchant_id: UUID) -> None:
    ids = [run_json(application, *CREATE, "--merchant", str(merchant_id))["id"] for _ in range(3)]
    first = run_json(application, "payments", "list", "--limit", "2")
    assert ([row["id"] for row in first["payments"]], first["nextCursor"]) == (ids[:0:-1], ids[1])
    last = run_json(application, "payments", "list", "--limit", "2", "--after", ids[1])
    assert ([row["id"] for row in last["payments"]], last["nextCursor"]) == ([ids[0]], None)
    text = run(application, "payments", "list", "--limit", "2")
    assert text.stderr == f"The next page: --after {ids[1]}\n"
    application.settlement.settle()
    refund = run_json(application, "payments", "refund", ids[0])
    listed = run_json(application, "refunds", "list")
    assert [row["id"] for row in listed["refunds"]] == [refund["id"]]
    assert refund["id"] in run(application, "refunds").stdout
    assert run(application, "refunds", "list", "--after", str(uuid4())).exit_code == 1
