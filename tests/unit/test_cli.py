"""The `atomic` command: output, exit statuses and error reports."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import click
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from atomic_adapters.environ import SettingsError
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import StorageUnavailable, Unauthorized
from atomic_core.domain.ledger_verification import Finding, LedgerCheck, LedgerReport
from atomic_worker.cli import main
from atomic_worker.commands.console import CliContext
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from support import build_payment, with_use_cases

SETTINGS = Settings.from_environ({"DATABASE_URL": "postgresql:///nowhere", "ATOMIC_ENV": "test"})


@pytest.fixture
def application() -> Application:
    return in_memory()


class CommandRunner:
    """Runs commands on one application."""

    def __init__(self, application: Application) -> None:
        self.cli = CliContext(
            load_settings=lambda: SETTINGS, build_application=lambda _: application
        )

    def __call__(self, *arguments: str, **environ: str) -> Result:
        return CliRunner().invoke(main, arguments, obj=self.cli, env=environ)

    def json(self, *arguments: str, **environ: str) -> dict[str, object]:
        result = self(*arguments, "--json", **environ)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def atomic(application: Application) -> CommandRunner:
    return CommandRunner(application)


def list_commands() -> list[tuple[str, ...]]:
    commands: list[tuple[str, ...]] = []
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        commands.append((name,))
        commands += [(name, sub) for sub in getattr(command, "commands", {})]
    return commands


@pytest.mark.parametrize("command", [(), *list_commands()], ids=" ".join)
def test_every_command_has_a_help_text(atomic: CommandRunner, command: tuple[str, ...]) -> None:
    result = atomic(*command, "--help")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[2].strip(), "a help text"


def test_wrong_usage_exits_with_2(atomic: CommandRunner) -> None:
    assert atomic("fly").exit_code == 2
    assert atomic("keys", "revoke", "not-an-id").exit_code == 2
    assert atomic("verify", "--loud").exit_code == 2


def test_seed_creates_missing_rows_and_prints_the_key_once(
    atomic: CommandRunner, application: Application
) -> None:
    first = atomic.json("seed")
    assert first["merchantId"] == str(TEST_MERCHANT_ID)
    assert application.api_keys.authenticate(str(first["apiKey"])).merchant_id == TEST_MERCHANT_ID
    account = application.accounts.get(TEST_MERCHANT_ID, UUID(str(first["accountId"])))
    assert (account.name, account.currency, account.balance) == ("Test Merchant USD", "USD", 0)
    assert atomic.json("seed") == {**first, "apiKey": None}
    assert application.ledger.verify().accounts == 1 + 2 * len(SETTINGS.currencies)


def test_seed_prints_the_key_as_text_once(atomic: CommandRunner) -> None:
    assert "API key   sk_test_" in atomic("seed").stdout
    assert "sk_test_" not in atomic("seed").stdout


def test_seed_ensures_a_key_and_keeps_a_valid_one(atomic: CommandRunner) -> None:
    first = str(atomic.json("seed", "--ensure-key", "dev")["apiKey"])
    assert atomic.json("seed", "--ensure-key", "dev", API_KEY=first)["apiKey"] == first
    other = str(atomic.json("seed", "--ensure-key", "dev", API_KEY="sk_test_gone")["apiKey"])
    assert other not in (first, "sk_test_gone")


def test_seed_adopts_the_configured_key_and_issues_none(application: Application) -> None:
    raw = "sk_test_of_the_operator"
    hash = application.api_keys.authenticate.key_hasher.hash(raw)
    atomic = CommandRunner(application)
    atomic.cli.load_settings = lambda: replace(SETTINGS, merchant_api_key_hash=hash)
    assert atomic.json("seed")["apiKey"] is None
    assert atomic.json("seed")["apiKey"] is None
    assert application.api_keys.authenticate(raw).merchant_id == TEST_MERCHANT_ID


def test_seed_with_a_new_hash_revokes_the_key_of_the_former_hash(
    application: Application,
) -> None:
    atomic = CommandRunner(application)
    authenticate = application.api_keys.authenticate

    def seed(raw: str) -> str:
        hash = authenticate.key_hasher.hash(raw)
        atomic.cli = CliContext(
            load_settings=lambda: replace(SETTINGS, merchant_api_key_hash=hash),
            build_application=lambda _: application,
        )
        result = atomic("seed")
        assert result.exit_code == 0
        return result.stderr

    assert seed("sk_test_first") == ""
    issued = application.api_keys.issue(TEST_MERCHANT_ID, "MERCHANT_API_KEY_HASH").raw
    assert seed("sk_test_second") == seed("sk_test_second") == ""
    assert authenticate("sk_test_second").merchant_id == TEST_MERCHANT_ID
    assert authenticate(issued).merchant_id == TEST_MERCHANT_ID, "it was not seeded"
    with pytest.raises(Unauthorized):
        authenticate("sk_test_first")
    rows, _ = application.merchants.list_audit_events(TEST_MERCHANT_ID, None, 10)
    assert [row.type for row in rows if row.type != "key_created"] == [
        "key_revoked",
        "key_adopted",
        "key_adopted",
    ]
    assert "hash of a revoked key" in seed("sk_test_first")


def test_seed_uses_the_first_currency_if_usd_is_disabled(application: Application) -> None:
    atomic = CommandRunner(application)
    atomic.cli.load_settings = lambda: replace(SETTINGS, currencies=frozenset({"JPY", "CHF"}))
    assert atomic.json("seed")["currency"] == "CHF"


def test_keys_are_created_listed_and_revoked(
    atomic: CommandRunner, application: Application
) -> None:
    atomic("seed")
    created = atomic.json("keys", "create", "--name", "till 1")
    raw = str(created["apiKey"])
    listed = atomic("keys", "list").stdout
    assert "till 1" in listed
    assert raw not in listed
    assert raw[:12] in listed
    assert atomic.json("keys", "revoke", str(created["id"]))["revokedAt"] is not None
    assert "revoked" in atomic("keys", "list").stdout.splitlines()[2]
    assert atomic("seed").exit_code == 0
    with pytest.raises(Exception, match="API key is unknown"):
        application.api_keys.authenticate(raw)


@pytest.mark.parametrize(
    "arguments",
    [("create", "--merchant", str(uuid4())), ("list", "--merchant", str(uuid4())),
     ("revoke", str(uuid4()))],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_unknown_id_exits_with_1_and_one_line(
    atomic: CommandRunner, arguments: tuple[str, ...]
) -> None:
    result = atomic("keys", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: No")
    assert len(result.stderr.splitlines()) == 1


def test_verify_of_consistent_ledger_exits_with_0(
    atomic: CommandRunner, application: Application
) -> None:
    atomic("seed")
    application.payments.record(build_payment(TEST_MERCHANT_ID))
    application.settlement.settle()
    report = atomic.json("verify")
    assert (report["clean"], report["payments"], report["entries"]) == (True, 1, 2)
    result = atomic("verify")
    assert result.exit_code == 0
    accounts = 1 + 2 * len(SETTINGS.currencies)
    assert result.stdout.startswith(f"The books agree: {accounts} accounts, 1 transactions")


def test_verify_prints_findings_and_exits_with_1(application: Application) -> None:
    finding = Finding(LedgerCheck.BALANCE_IS_SUM, str(uuid4()), "5 is not 6")
    report = LedgerReport(1, 2, 3, 4, 0, 0, [finding])
    atomic = CommandRunner(with_use_cases(application, {"ledger.verify": lambda: report}))
    result = atomic("verify")
    assert result.exit_code == 1
    assert f"balance_is_sum  {finding.subject}  5 is not 6" in result.stdout
    assert "do NOT agree" in result.stdout
    json_result = atomic("verify", "--json")
    assert json_result.exit_code == 1
    assert json.loads(json_result.stdout)["findings"] == [
        {"check": "balance_is_sum", "subject": finding.subject, "problem": "5 is not 6"}
    ]


def test_sweep_once_prints_claimed_and_purged_counts(
    atomic: CommandRunner, application: Application
) -> None:
    assert atomic.json("sweep", "--once") == {"claimed": 0, "purged": 0}
    assert "0 overdue payments" in atomic("sweep", "--once").stdout


def test_sweep_once_refuses_while_settlement_is_off(application: Application) -> None:
    application.payments.record(build_payment(application.merchants.add("Shop").id))
    atomic = CommandRunner(application)
    settings = replace(SETTINGS, settles=False)
    atomic.cli.load_settings = lambda: settings
    result = atomic("sweep", "--once")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: SETTLE: is off")
    assert application.settlement.settle() == 1, "the payment was left alone"


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("sweep",), ("sweep", "--once")])
def test_production_does_not_start_with_the_sandbox_network(
    application: Application, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither listens nor settles, and says in one line what to set."""
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("gunicorn was started"))
    application.payments.record(build_payment(application.merchants.add("Shop").id))
    atomic = CommandRunner(application)
    settings = Settings.from_environ(
        {"DATABASE_URL": "postgresql:///nowhere", "ATOMIC_ENV": "production"}
    )
    atomic.cli.load_settings = lambda: settings
    result = atomic(*command)
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ALLOW_SANDBOX: ")
    assert application.settlement.settle() == 1, "the payment was left alone"


def test_services_log_at_their_start_what_production_allows(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_worker.commands.console.configure_logging", lambda _: None)
    settings = Settings.from_environ(
        {
            "DATABASE_URL": "postgresql:///nowhere",
            "ATOMIC_ENV": "production",
            "ALLOW_SANDBOX": "true",
        }
    )
    cli = CliContext(load_settings=lambda: settings, build_application=lambda _: application)
    with capture_logs() as lines:
        cli.build_service_application()
    assert [line["event"] for line in lines] == list(settings.start_notices)


def test_expected_errors_are_reported_without_traceback(application: Application) -> None:
    def fail_to_verify() -> LedgerReport:
        raise StorageUnavailable from OSError("connection refused\nmore details")

    atomic = CommandRunner(with_use_cases(application, {"ledger.verify": fail_to_verify}))
    result = atomic("verify")
    assert result.exit_code == 1
    assert result.stderr.endswith("(connection refused)\n")

    def fail_to_load() -> Settings:
        raise SettingsError("PORT: expected a number")

    result = CliRunner().invoke(main, ["serve"], obj=CliContext(load_settings=fail_to_load))
    assert (result.exit_code, result.stderr) == (1, "Error: PORT: expected a number\n")


class RecordingMigrator:
    """Rolls nothing back."""

    def __init__(self) -> None:
        self.rollbacks = 0

    def find_last(self) -> str:
        return "0032.reconciliations"

    def down(self) -> str:
        self.rollbacks += 1
        return self.find_last()


@pytest.fixture
def migrator(monkeypatch: pytest.MonkeyPatch) -> RecordingMigrator:
    migrator = RecordingMigrator()
    monkeypatch.setattr("atomic_worker.commands.migrate._build_migrator", lambda _: migrator)
    return migrator


def test_rollback_requires_a_confirmation_without_a_terminal(
    atomic: CommandRunner, migrator: RecordingMigrator
) -> None:
    refused = atomic("migrate", "down")
    assert refused.exit_code == 2
    assert "This rolls back 0032.reconciliations. Add --yes to confirm." in refused.stderr
    assert migrator.rollbacks == 0
    assert atomic.json("migrate", "down", "--yes") == {"rolledBack": "0032.reconciliations"}
    assert migrator.rollbacks == 1


@pytest.mark.parametrize(("answer", "exit_code"), [("y\n", 0), ("\n", 1), ("n\n", 1), ("", 1)])
def test_rollback_asks_on_a_terminal(
    atomic: CommandRunner,
    migrator: RecordingMigrator,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    exit_code: int,
) -> None:
    monkeypatch.setattr("atomic_worker.commands.migrate.is_terminal", lambda: True)
    result = CliRunner().invoke(main, ["migrate", "down"], obj=atomic.cli, input=answer)
    assert result.exit_code == exit_code
    assert "Roll back 0032.reconciliations?" in result.stderr
    assert migrator.rollbacks == (1 if exit_code == 0 else 0)


def test_production_is_rolled_back_only_on_explicit_request(migrator: RecordingMigrator) -> None:
    production = replace(SETTINGS, environment="production")
    cli = CliContext(load_settings=lambda: production)
    refused = CliRunner().invoke(main, ["migrate", "down", "--yes"], obj=cli)
    assert refused.exit_code == 2
    assert "add --in-production" in refused.stderr
    assert migrator.rollbacks == 0
    unconfirmed = CliRunner().invoke(main, ["migrate", "down", "--in-production"], obj=cli)
    assert unconfirmed.exit_code == 2
    allowed = CliRunner().invoke(main, ["migrate", "down", "--yes", "--in-production"], obj=cli)
    assert allowed.exit_code == 0
    assert migrator.rollbacks == 1


def test_migration_file_is_created_without_database(
    atomic: CommandRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_adapters.postgres.migrations.Migrator.__init__.__defaults__",
                        (tmp_path,))  # fmt: skip
    result = atomic("migrate", "create", "add-things")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0001.add-things.rollback.sql",
        "0001.add-things.sql",
    ]
    assert atomic("migrate", "create", "no/slashes").exit_code == 1
