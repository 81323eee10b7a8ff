"""The `atomic` command: answers, exit codes, one line for an expected fault."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from atomic_adapters.environ import SettingsError
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.ledger_verification import Check, Finding, LedgerReport
from atomic_worker.cli import main
from atomic_worker.commands.console import Toolbox
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from support import order, with_use_cases

SETTINGS = Settings.from_environ({"DATABASE_URL": "postgresql:///nowhere", "ATOMIC_ENV": "test"})


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Commands set the process's logging up; the next test has its own."""
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


@pytest.fixture
def application() -> Application:
    return in_memory()


class Atomic:
    """Runs commands on one application."""

    def __init__(self, application: Application) -> None:
        self.box = Toolbox(load=lambda: SETTINGS, build=lambda _: application)

    def __call__(self, *arguments: str, **environ: str) -> Result:
        return CliRunner().invoke(main, arguments, obj=self.box, env=environ)

    def json(self, *arguments: str, **environ: str) -> dict[str, object]:
        result = self(*arguments, "--json", **environ)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def atomic(application: Application) -> Atomic:
    return Atomic(application)


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in main.commands.items():
        found.append((name,))
        found += [(name, sub) for sub in getattr(command, "commands", {})]
    return found


@pytest.mark.parametrize("command", [(), *commands()], ids=" ".join)
def test_every_command_explains_itself(atomic: Atomic, command: tuple[str, ...]) -> None:
    result = atomic(*command, "--help")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[2].strip(), "a help text"


def test_wrong_usage_has_a_status_of_its_own(atomic: Atomic) -> None:
    assert atomic("fly").exit_code == 2
    assert atomic("keys", "revoke", "not-an-id").exit_code == 2
    assert atomic("verify", "--loud").exit_code == 2


def test_seed_makes_what_is_missing_and_shows_a_key_once(
    atomic: Atomic, application: Application
) -> None:
    first = atomic.json("seed")
    assert first["merchantId"] == str(TEST_MERCHANT_ID)
    assert application.api_keys.authenticate(str(first["apiKey"])).merchant_id == TEST_MERCHANT_ID
    account = application.accounts.get(TEST_MERCHANT_ID, UUID(str(first["accountId"])))
    assert (account.name, account.currency, account.balance) == ("Test Merchant USD", "USD", 0)
    assert atomic.json("seed") == {**first, "apiKey": None}
    assert application.ledger.verify().accounts == 1 + 2 * len(SETTINGS.currencies)


def test_seed_tells_a_person_the_key(atomic: Atomic) -> None:
    assert "API key   sk_test_" in atomic("seed").stdout
    assert "sk_test_" not in atomic("seed").stdout


def test_seed_ensures_a_key_and_keeps_a_valid_one(atomic: Atomic) -> None:
    first = str(atomic.json("seed", "--ensure-key", "dev")["apiKey"])
    assert atomic.json("seed", "--ensure-key", "dev", API_KEY=first)["apiKey"] == first
    other = str(atomic.json("seed", "--ensure-key", "dev", API_KEY="sk_test_gone")["apiKey"])
    assert other not in (first, "sk_test_gone")


def test_seed_adopts_the_configured_key_and_issues_none(application: Application) -> None:
    raw = "sk_test_of_the_operator"
    hash = application.api_keys.authenticate.hasher.hash(raw)
    atomic = Atomic(application)
    atomic.box.load = lambda: replace(SETTINGS, merchant_api_key_hash=hash)
    assert atomic.json("seed")["apiKey"] is None
    assert atomic.json("seed")["apiKey"] is None
    assert application.api_keys.authenticate(raw).merchant_id == TEST_MERCHANT_ID


def test_seed_uses_the_first_currency_where_there_are_no_dollars(application: Application) -> None:
    atomic = Atomic(application)
    atomic.box.load = lambda: replace(SETTINGS, currencies=frozenset({"JPY", "CHF"}))
    assert atomic.json("seed")["currency"] == "CHF"


def test_keys_are_created_listed_and_revoked(atomic: Atomic, application: Application) -> None:
    atomic("seed")
    made = atomic.json("keys", "create", "--name", "till 1")
    raw = str(made["apiKey"])
    listed = atomic("keys", "list").stdout
    assert "till 1" in listed
    assert raw not in listed
    assert raw[:12] in listed
    assert atomic.json("keys", "revoke", str(made["id"]))["revokedAt"] is not None
    assert "revoked" in atomic("keys", "list").stdout.splitlines()[2]
    assert atomic("seed").exit_code == 0
    with pytest.raises(Exception, match="valid API key"):
        application.api_keys.authenticate(raw)


@pytest.mark.parametrize(
    "arguments",
    [("create", "--merchant", str(uuid4())), ("list", "--merchant", str(uuid4())),
     ("revoke", str(uuid4()))],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_what_does_not_exist_is_one_line_and_status_1(
    atomic: Atomic, arguments: tuple[str, ...]
) -> None:
    result = atomic("keys", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: There is no such")
    assert len(result.stderr.splitlines()) == 1


def test_verify_says_that_the_books_agree(atomic: Atomic, application: Application) -> None:
    atomic("seed")
    application.payments.accept(order(TEST_MERCHANT_ID))
    application.settlement.settle()
    answer = atomic.json("verify")
    assert (answer["clean"], answer["payments"], answer["entries"]) == (True, 1, 2)
    result = atomic("verify")
    assert result.exit_code == 0
    accounts = 1 + 2 * len(SETTINGS.currencies)
    assert result.stdout.startswith(f"The books agree: {accounts} accounts, 1 transactions")


def test_verify_names_what_does_not_agree(application: Application) -> None:
    finding = Finding(Check.BALANCE_IS_SUM, str(uuid4()), "5 is not 6")
    report = LedgerReport(1, 2, 3, 4, 0, 0, [finding])
    atomic = Atomic(with_use_cases(application, {"ledger.verify": lambda: report}))
    result = atomic("verify")
    assert result.exit_code == 1
    assert f"balance_is_sum  {finding.subject}  5 is not 6" in result.stdout
    assert "do NOT agree" in result.stdout
    told = atomic("verify", "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["findings"] == [
        {"check": "balance_is_sum", "subject": finding.subject, "problem": "5 is not 6"}
    ]


def test_sweep_once_purges_and_settles_what_is_overdue(
    atomic: Atomic, application: Application
) -> None:
    assert atomic.json("sweep", "--once") == {"claimed": 0, "purged": 0}
    assert "0 overdue payments" in atomic("sweep", "--once").stdout


def test_expected_faults_are_told_without_a_traceback(application: Application) -> None:
    def away() -> LedgerReport:
        raise StorageUnavailable from OSError("connection refused\nmore about it")

    atomic = Atomic(with_use_cases(application, {"ledger.verify": away}))
    result = atomic("verify")
    assert result.exit_code == 1
    assert result.stderr.endswith("(connection refused)\n")

    def nothing() -> Settings:
        raise SettingsError("PORT: expected a number")

    unset = CliRunner().invoke(main, ["serve"], obj=Toolbox(load=nothing))
    assert (unset.exit_code, unset.stderr) == (1, "Error: PORT: expected a number\n")


def test_a_migration_is_written_without_any_database(
    atomic: Atomic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
