"""The commands for operators, with text and JSON output."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from atomic_adapters.settings import Settings
from atomic_adapters.system import ManualClock
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.currencies import CURRENCIES
from atomic_core.domain.errors import Unauthorized
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.origins import OPERATOR
from atomic_core.domain.payments import CaptureMethod, NewPayment, Payment
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.use_cases.sessions import LoginAttempt, NewSession
from atomic_worker.cli import main
from atomic_worker.commands import console
from atomic_worker.commands.console import CliContext
from atomic_worker.commands.seed import TEST_MERCHANT_ID, TEST_MERCHANT_NAME
from support import build_payment

ENVIRON = {"DATABASE_URL": "postgresql:///nowhere", "ATOMIC_ENV": "test"}
NOW = "2026-11-22 15:30:13Z"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 15, 30, 13, 153_999, tzinfo=UTC))


@pytest.fixture
def application(clock: ManualClock) -> Application:
    application = in_memory(clock)
    application.merchants.add(TEST_MERCHANT_NAME, TEST_MERCHANT_ID)
    return application


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("accounts", "--currency", "usd"), "--currency: Must be an ISO 4217 currency code."),
        (("fees", "set", "--currency", "XXX"), "--currency: Must be an ISO 4217 currency code."),
        (("fees", "set", "--currency", "USD", "--basis-points", "10001"),
         "--basis-points: Must be an integer from 0 to 10000."),
        (("fees", "set", "--currency", "USD", "--fixed", "-1"),
         "--fixed: Must be an integer from 0 to 9007199254740991."),
    ],
)  # fmt: skip
def test_wrong_value_is_reported_by_its_option_and_exits_with_2(
    application: Application, arguments: tuple[str, ...], message: str
) -> None:
    assert CommandRunner(application).error_line(*arguments, status=2) == f"Error: {message}"


def test_wrong_value_is_reported_as_json(application: Application) -> None:
    atomic = CommandRunner(application)
    past = ("keys", "create", "--expires", "2020-01-01")
    result = atomic(*past)
    assert (result.exit_code, result.stderr) == (2, "Error: --expires: Must be in the future.\n")
    result = atomic(*past, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    message = "--expires: Must be in the future."
    assert json.loads(result.stderr) == {"error": {"code": "validation_failed", "message": message}}


def test_errors_are_json_with_json(application: Application) -> None:
    atomic = CommandRunner(application)
    for arguments, code, status in (
        (("payments", "show", uuid4()), "not_found", 1),
        (("payments", "show", "x"), "wrong_usage", 2),
    ):
        result = atomic(*arguments, "--json")
        assert (result.exit_code, result.stdout) == (status, "")
        assert json.loads(result.stderr)["error"]["code"] == code


def test_key_is_rotated_and_the_old_one_expires(application: Application) -> None:
    atomic = CommandRunner(application)
    old = atomic("keys", "create", "--expires", "2027-01-31").stdout.strip()
    key_id = application.api_keys.list(TEST_MERCHANT_ID)[0].id
    rotated = json.loads(atomic("keys", "rotate", key_id, "--expires", 0, "--json").stdout)
    assert rotated["expiresAt"].startswith("2027-01-31T00:00:00")
    assert rotated["apiKey"] == rotated["rawKey"]
    assert application.api_keys.authenticate(rotated["rawKey"]).merchant_id == TEST_MERCHANT_ID
    with pytest.raises(Unauthorized):
        application.api_keys.authenticate(old)


def test_heads_of_accounts_are_printed(application: Application) -> None:
    atomic = CommandRunner(application)
    application.payments.record(build_payment(TEST_MERCHANT_ID))
    application.settlement.settle()
    printed = json.loads(atomic("accounts", "heads", "--json").stdout)["accounts"]
    expected = list(application.admin.list_account_heads())
    assert [(row["id"], row["sequence"], row["head"]) for row in printed] == [
        (str(id), sequence, head.hex()) for id, sequence, head in expected
    ]
    assert expected[0].head.hex() in atomic("accounts", "heads").stdout


class CommandRunner:
    """Runs commands on one application."""

    def __init__(self, application: Application, **environ: str) -> None:
        settings = Settings.from_environ(ENVIRON | environ)
        self.cli = CliContext(
            load_settings=lambda: settings, build_application=lambda _: application
        )

    def __call__(self, *arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], obj=self.cli)

    def lines(self, *arguments: object) -> list[str]:
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    def json(self, *arguments: object) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def error_line(self, *arguments: object, status: int = 1) -> str:
        """The line on stderr of a command that fails."""
        result = self(*arguments)
        assert (result.exit_code, result.stdout) == (status, ""), result.output
        [line] = result.stderr.splitlines()
        return line


@pytest.fixture
def atomic(application: Application) -> CommandRunner:
    return CommandRunner(application)


def settle_payment(application: Application, currency: str = "USD", amount: int = 5_000) -> Payment:
    new = NewPayment(TEST_MERCHANT_ID, Money(amount, currency), "tok_visa")
    payment = application.payments.record(new)
    application.settlement.settle()
    return payment


def create_refund(application: Application, payment: Payment, amount: int) -> Refund:
    with application.refunds.create.begin() as work:
        new = NewRefund(payment.merchant_id, payment.id, amount, "damaged")
        refund = application.refunds.create.execute(work, new)
        work.commit()
    return refund


def test_currencies_are_listed_with_their_accounts(application: Application) -> None:
    atomic = CommandRunner(application, CURRENCIES="USD,KWD")
    settle_payment(application, "KWD")
    lines = atomic.lines("currencies")
    assert len(lines) == 1 + len(CURRENCIES)
    assert lines[0].split() == ["Code", "Decimals", "Name", "Enabled", "World", "Fees"]
    rows = {line[:3]: line.split() for line in lines}
    assert rows["JPY"] == ["JPY", "0", "Yen", "no", "no", "no"]
    assert rows["USD"] == ["USD", "2", "US", "Dollar", "yes", "no", "no"]
    assert rows["KWD"] == ["KWD", "3", "Kuwaiti", "Dinar", "yes", "yes", "yes"]
    assert [line[:3] for line in atomic.lines("currencies", "--enabled")[1:]] == ["KWD", "USD"]


def test_currencies_are_printed_as_json(application: Application) -> None:
    atomic = CommandRunner(application, CURRENCIES="CLF,USD")
    settle_payment(application, "USD")
    listed = atomic.json("currencies")["currencies"]
    assert [currency["code"] for currency in listed] == list(CURRENCIES)
    by_code = {currency["code"]: currency for currency in listed}
    assert by_code["CLF"] == {
        "code": "CLF", "exponent": 4, "name": "Unidad de Fomento", "enabled": True,
        "worldAccountId": None, "feeAccountId": None,
    }  # fmt: skip
    assert by_code["USD"]["worldAccountId"] == str(world_account_id("USD"))


def test_merchants_are_listed_newest_first(
    atomic: CommandRunner, application: Application, clock: ManualClock
) -> None:
    for n in range(3):
        clock.time += timedelta(minutes=1)
        application.merchants.add(f"Shop {n}")
    assert [line.split("  active  ")[1] for line in atomic.lines("merchants")[1:]] == [
        "Shop 2", "Shop 1", "Shop 0", "Test Merchant",
    ]  # fmt: skip
    assert atomic.lines("merchants", "--limit", 2) == atomic.lines("merchants", "list")[:3]
    listed = atomic.json("merchants", "list", "--limit", "1")["merchants"]
    assert [merchant["name"] for merchant in listed] == ["Shop 2"]
    assert atomic.json("merchants")["merchants"][3]["id"] == str(TEST_MERCHANT_ID)


def test_merchant_is_shown_with_accounts_fees_and_keys(
    atomic: CommandRunner, application: Application
) -> None:
    application.fees.set(TEST_MERCHANT_ID, "USD", FeeTerms(290, 30))
    application.api_keys.issue(TEST_MERCHANT_ID, "one")
    application.api_keys.revoke(application.api_keys.issue(TEST_MERCHANT_ID, "two").key.id)
    payment = settle_payment(application, "USD", 10_000)
    output = "\n".join(atomic.lines("merchants", "show", TEST_MERCHANT_ID))
    assert "Keys      1 active of 2" in output
    assert f"{payment.account_id}  liability    96.80" in output
    assert "USD       2.90 %   0.30" in output
    merchant = atomic.json("merchants", "show", TEST_MERCHANT_ID)
    assert merchant["keys"] == {"active": 1, "all": 2}
    assert merchant["accounts"][0]["balance"] == 9_680
    assert merchant["fees"][0]["basisPoints"] == 290


def test_accounts_are_listed_with_balance_pending_and_available(
    atomic: CommandRunner, application: Application
) -> None:
    settle_payment(application, "KWD", 12_345)
    new = NewPayment(
        TEST_MERCHANT_ID, Money(1_000, "KWD"), "tok_visa", capture=CaptureMethod.MANUAL
    )
    payment = application.payments.record(new)
    application.settlement.settle()
    [heading, line] = atomic.lines("accounts")
    assert heading.split("  ")[0] == "ID"
    assert line.split() == [
        str(payment.account_id), "liability", "12.345", "1.000", "0.000", "12.345", "KWD", "KWD",
    ]  # fmt: skip
    [account] = atomic.json("accounts", "--merchant", TEST_MERCHANT_ID)["accounts"]
    assert account["pending"] == {"in": 1_000, "out": 0}
    assert (account["balance"], account["available"], account["exponent"]) == (12_345, 12_345, 3)
    assert (account["type"], account["normalSide"]) == ("liability", "credit")


def test_house_option_lists_system_accounts(
    atomic: CommandRunner, application: Application
) -> None:
    application.accounts.open_system_accounts(["EUR", "JPY"])
    settle_payment(application, "JPY", 500)
    [line] = atomic.lines("accounts", "--house")[1:]
    assert line.split()[:3] == [str(world_account_id("JPY")), "asset", "-500"]
    assert atomic.json("accounts", "--house", "--currency", "EUR") == {
        "accounts": [],
        "nextCursor": None,
    }
    assert atomic("accounts", "--house", "--merchant", TEST_MERCHANT_ID).exit_code == 2


def test_account_is_shown_with_its_last_entries(
    atomic: CommandRunner, application: Application
) -> None:
    payment = settle_payment(application, "USD", 10_000)
    create_refund(application, payment, 2_500)
    application.settlement.settle()
    lines = atomic.lines("accounts", "show", payment.account_id)
    assert f"Opened       {NOW}" in lines
    assert "Balance      75.00 USD" in lines
    entries = [line.split() for line in lines[-2:]]
    assert [(each[0], *each[3:6]) for each in entries] == [
        ("2", "refund", "-25.00", "75.00"),
        ("1", "payment", "100.00", "100.00"),
    ]
    account = atomic.json("accounts", "show", payment.account_id, "--limit", 1)
    assert [entry["amount"] for entry in account["lastEntries"]] == [-2_500]
    world = atomic.lines("accounts", "show", world_account_id("USD"))
    assert "Merchant     none: a system account" in world
    assert "Type         asset, normal side debit" in world


def test_payments_are_listed_newest_first(atomic: CommandRunner, application: Application) -> None:
    succeeded = settle_payment(application, "JPY", 500)
    failed = application.payments.record(
        build_payment(TEST_MERCHANT_ID, 1_234, "tok_chargeDeclined")
    )
    application.settlement.settle()
    [first, second] = [line.split() for line in atomic.lines("payments")[1:]]
    assert first == [
        str(failed.id), *NOW.split(),
        "FAILED", "charge", "1", "12.34", "USD", str(TEST_MERCHANT_ID),
    ]  # fmt: skip
    assert (second[0], second[6:8]) == (str(succeeded.id), ["500", "JPY"])
    for arguments in (["--status", "FAILED"], ["--merchant", TEST_MERCHANT_ID, "--limit", 1]):
        [listed] = atomic.json("payments", *arguments)["payments"]
        assert (listed["id"], listed["failureReason"]) == (str(failed.id), "card_declined")


def test_payment_is_shown_with_refunds_timeline_and_entries(
    atomic: CommandRunner, application: Application
) -> None:
    application.fees.set(TEST_MERCHANT_ID, "USD", FeeTerms(290, 30))
    payment = settle_payment(application, "USD", 10_000)
    refund = create_refund(application, payment, 2_500)
    output = atomic("payments", "show", payment.id).stdout
    for expected in (
        "Amount       100.00 USD", "Fee          3.20 USD", "Status       SUCCESS",
        f"{refund.id}  {NOW}  PENDING        0   25.00  USD       {NOW}  -        damaged",
        f"{NOW}  refund_created  PENDING           -   25.00  damaged  {refund.id}",
        "-100.00  USD", "  96.80  USD",
    ):  # fmt: skip
        assert expected in output
    details = atomic.json("payments", "show", payment.id)
    assert (details["amountCaptured"], details["fee"], details["faults"]) == (10_000, 320, 0)
    assert [each["id"] for each in details["refunds"]] == [str(refund.id)]
    [transaction] = [event["transaction"] for event in details["events"] if event["transaction"]]
    assert sum(entry["amount"] for entry in transaction["entries"]) == 0
    assert len(transaction["entries"]) == 3


def test_callers_text_is_escaped_and_webhook_url_is_not_shown(
    atomic: CommandRunner, application: Application
) -> None:
    new = NewPayment(
        TEST_MERCHANT_ID,
        Money(1, "USD"),
        "tok_visa",
        "\x1b]0;mine\x07\nStatus  SUCCESS",
        webhook_url="https://shop.example/hook?secret=hush",
        metadata={"\x1b[2J": "\x9b2J"},
    )
    payment = application.payments.record(new)
    output = atomic("payments", "show", payment.id).stdout
    assert "Description       \\x1b]0;mine\\x07\\nStatus  SUCCESS\n" in output
    assert "\x1b" not in output
    assert "\x9b" not in output
    assert "hush" not in output + json.dumps(atomic.json("payments", "show", payment.id))


def test_payment_is_retried(atomic: CommandRunner, application: Application) -> None:
    new = build_payment(TEST_MERCHANT_ID, source="tok_slow")
    payment = application.payments.record(new)
    application.settlement.settle()
    assert application.settlement.settle() == 0
    [line] = atomic.lines("payments", "retry", payment.id)
    due = NOW
    assert line == f"The payment {payment.id} is due now; it was PROCESSING, due {due}."
    assert application.settlement.settle() == 1
    retried = atomic.json("payments", "retry", payment.id)
    assert (retried["kind"], retried["status"], retried["attempt"]) == ("payment", "PROCESSING", 2)
    assert retried["was"]["leasedUntil"] is None
    application.settlement.settle()
    assert atomic.error_line("payments", "retry", payment.id) == (
        "Error: This payment is settled as SUCCESS and cannot be retried."
    )


def test_refund_is_retried_and_settled_refund_is_not(
    atomic: CommandRunner, application: Application
) -> None:
    refund = create_refund(application, settle_payment(application), 1)
    assert atomic.json("payments", "retry", refund.id)["kind"] == "refund"
    application.settlement.settle()
    assert "This refund is settled as SUCCESS" in atomic.error_line("payments", "retry", refund.id)


def test_fees_are_set_and_listed(atomic: CommandRunner, application: Application) -> None:
    terms = ("--basis-points", 290, "--fixed", 30)
    lines = atomic.lines("fees", "set", "--currency", "USD", *terms)
    assert lines[1].split() == ["USD", "2.90", "%", "0.30", *NOW.split()]
    atomic.lines("fees", "set", "--currency", "JPY", "--fixed", 5)
    assert [line.split()[:4] for line in atomic.lines("fees")[1:]] == [
        ["JPY", "0.00", "%", "5"],
        ["USD", "2.90", "%", "0.30"],
    ]
    fees = atomic.json("fees", "list", "--merchant", TEST_MERCHANT_ID)["fees"]
    assert [(each["currency"], each["basisPoints"], each["fixed"]) for each in fees] == [
        ("JPY", 0, 5), ("USD", 290, 30),
    ]  # fmt: skip
    assert application.admin.get_system_accounts()["JPY"].fees


def test_key_has_the_given_scopes(atomic: CommandRunner) -> None:
    atomic.json("keys", "create")
    scopes = ("payments:read", "accounts:read")
    arguments = [each for scope in scopes for each in ("--scope", scope)]
    assert atomic.json("keys", "create", *arguments, "--name", "report")["scopes"] == list(scopes)
    lines = atomic.lines("keys", "list")
    assert lines[0].split("  ")[0] == "ID"
    assert f"{NOW}  active  -          all                          cli" in lines[1]
    assert f"{NOW}  active  -          payments:read accounts:read  report" in lines[2]
    assert atomic("keys", "create", "--scope", "everything").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("merchants", "show", uuid4()), "No merchant has this id."),
        (("accounts", "show", uuid4()), "No account has this id."),
        (("accounts", "--merchant", uuid4()), "No merchant has this id."),
        (("payments", "show", uuid4()), "No payment has this id."),
        (("payments", "--merchant", uuid4()), "No merchant has this id."),
        (("payments", "retry", uuid4()), "No payment or refund has this id."),
        (("fees", "--merchant", uuid4()), "No merchant has this id."),
    ],
)
def test_expected_error_exits_with_1_and_one_line(
    atomic: CommandRunner, arguments: tuple[object, ...], message: str
) -> None:
    assert atomic.error_line(*arguments) == f"Error: {message}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("merchants", "--limit", "0"),
        ("accounts", "--limit", "1001"),
        ("payments", "--limit", "many"),
        ("payments", "--status", "success"),
        ("payments", "show"),
        ("fees", "set"),
        ("accounts", "sho"),
    ],
)
def test_wrong_usage_exits_with_2(atomic: CommandRunner, arguments: tuple[str, ...]) -> None:
    assert atomic(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["merchants", "accounts", "payments"])
def test_value_that_may_be_a_key_is_not_repeated(atomic: CommandRunner, command: str) -> None:
    key = "sk_test_" + "0" * 48
    result = atomic(command, "show", key)
    assert result.exit_code == 2
    assert key not in result.output


def test_merchant_is_created_with_a_password_that_logs_in(
    atomic: CommandRunner, application: Application
) -> None:
    created = atomic.json(
        "merchants", "create", "--name", "Corner Shop", "--email", "O@shop.example"
    )
    opened: list[NewSession] = []

    def render(session: NewSession) -> StoredResponse:
        opened.append(session)
        return StoredResponse(200, b"{}")

    attempt = LoginAttempt("o@shop.example", created["password"], OPERATOR)
    application.sessions.log_in(attempt, None, render, lambda response: response)
    [session] = opened
    assert (str(session.session.merchant_id), created["email"]) == (created["id"], "o@shop.example")
    [line] = [line for line in atomic.lines("merchants") if "Corner Shop" in line]
    assert created["id"] in line
    error = atomic.error_line("merchants", "create", "--name", "x", "--email", "o@shop.example")
    assert "already exists" in error
    error = atomic.error_line("merchants", "create", "--name", "x", "--email", "nobody", status=2)
    assert error.startswith("Error: --email: ")
    assert atomic("merchants", "create", "--name", "", "--email", "p@shop.example").exit_code == 2
    password = atomic.lines("merchants", "create", "--name", "x", "--email", "q@shop.example")[2]
    assert password.startswith("Password  ")


def test_merchant_is_suspended_and_resumed_in_the_operators_name(
    atomic: CommandRunner, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "carol")
    key = application.api_keys.issue(TEST_MERCHANT_ID, "till").raw
    suspend = ("merchants", "suspend", TEST_MERCHANT_ID, "--reason", "stolen keys", "--as", "alice")
    assert atomic.lines(*suspend) == [
        f"Test Merchant ({TEST_MERCHANT_ID}) is suspended since {NOW}."
    ]
    assert atomic.json(*suspend)["suspendedAt"] is not None, "safe to repeat"
    with pytest.raises(Unauthorized):
        application.api_keys.authenticate(key)
    assert f"State     suspended since {NOW}" in atomic.lines("merchants", "show", TEST_MERCHANT_ID)
    assert "  suspended  Test Merchant" in atomic.lines("merchants")[1]
    assert atomic.json("merchants", "resume", TEST_MERCHANT_ID)["suspendedAt"] is None
    assert application.api_keys.authenticate(key)
    rows, _ = application.merchants.list_audit_events(TEST_MERCHANT_ID, None, 10)
    assert [(row.type, row.actor, row.details) for row in rows[:2]] == [
        ("merchant_resumed", "operator", {"operator": "carol"}),
        ("merchant_suspended", "operator", {"operator": "alice", "reason": "stolen keys"}),
    ]


def test_network_of_a_merchant_is_set_and_shown(atomic: CommandRunner) -> None:
    command = ("merchants", "set-network", TEST_MERCHANT_ID)
    assert atomic.lines(*command, "sandbox") == [
        f"Test Merchant ({TEST_MERCHANT_ID}) uses sandbox."
    ]
    assert atomic.json("merchants", "show", TEST_MERCHANT_ID)["network"] == "sandbox"
    assert "Network   sandbox" in atomic.lines("merchants", "show", TEST_MERCHANT_ID)
    assert atomic.json(*command, "default")["network"] is None
    assert "Network   default" in atomic.lines("merchants", "show", TEST_MERCHANT_ID)
    assert "Must be one of: sandbox." in atomic.error_line(*command, "stripe", status=2)


@pytest.mark.parametrize("command", ["suspend", "resume"])
def test_suspension_refuses_unknown_merchants_and_invalid_names(
    atomic: CommandRunner, command: str
) -> None:
    assert atomic.error_line("merchants", command, uuid4()) == "Error: No merchant has this id."
    secret = "sk_test_" + "0" * 48
    for option, text in (("--as", ""), ("--as", "a\nb"), ("--as", secret), ("--reason", secret)):
        result = atomic("merchants", command, TEST_MERCHANT_ID, option, text)
        assert result.exit_code == 2
        assert secret not in result.output


def test_system_user_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise OSError("no name")

    monkeypatch.setattr("getpass.getuser", fail)
    assert re.fullmatch(r"uid [0-9]+", console._read_system_user())
