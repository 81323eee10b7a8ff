"""`atomic events tail`, which ends when a stop is requested."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import StorageUnavailable
from atomic_worker.cli import main
from atomic_worker.commands.console import CliContext
from atomic_worker.stop_request import StopRequest
from support import build_payment, with_use_cases

SETTINGS = Settings.from_environ({"DATABASE_URL": "postgresql:///nowhere", "ATOMIC_ENV": "test"})


@pytest.fixture
def application() -> Application:
    return in_memory()


@pytest.fixture
def merchant_id(application: Application) -> UUID:
    merchant_id = application.merchants.add("Shop").id
    settle_payment(application, merchant_id)
    return merchant_id


def settle_payment(application: Application, merchant_id: UUID, source: str = "tok_visa") -> None:
    application.payments.record(build_payment(merchant_id, source=source))
    application.settlement.settle()


@pytest.fixture
def tail(application: Application, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command. Each action happens during one of its pauses; then it is stopped."""

    def run(*arguments: object, actions: tuple[Callable[[], None], ...] = ()) -> Result:
        remaining = list(actions)

        def wait(stop: StopRequest, _seconds: float) -> bool:
            if remaining:
                remaining.pop(0)()
            else:
                stop.request()
            return stop.is_requested

        monkeypatch.setattr(StopRequest, "wait", wait)
        cli = CliContext(load_settings=lambda: SETTINGS, build_application=lambda _: application)
        command = ["events", "tail", *map(str, arguments)]
        return CliRunner().invoke(main, command, obj=cli)

    return run


def get_events(result: Result) -> list[tuple[str, int]]:
    assert result.exit_code == 0, result.output
    events: list[Any] = [json.loads(line) for line in result.stdout.splitlines()]
    return [(event["type"], event["sequence"]) for event in events]


def test_tail_prints_events_of_all_merchants_from_now_on(
    application: Application, merchant_id: UUID, tail: Callable[..., Result]
) -> None:
    def add_merchant() -> None:
        settle_payment(application, application.merchants.add("Another").id)

    def decline() -> None:
        settle_payment(application, merchant_id, "tok_chargeDeclined")

    result = tail("--json", actions=(decline, add_merchant, decline))
    assert get_events(result) == [
        ("payment.failed", 3),
        ("account.created", 1),
        ("payment.succeeded", 2),
        ("payment.failed", 4),
    ]


def test_tail_of_one_merchant_begins_after_a_sequence_number(
    application: Application, merchant_id: UUID, tail: Callable[..., Result]
) -> None:
    other_id = application.merchants.add("Another").id

    def pay() -> None:
        settle_payment(application, other_id)
        settle_payment(application, merchant_id)

    arguments = ("--merchant", merchant_id, "--json")
    expected = [("payment.succeeded", number) for number in (2, 3, 4)]
    assert get_events(tail(*arguments, "--after", 1, actions=(pay,))) == expected[:2]
    assert get_events(tail(*arguments, "--after", 2, actions=(pay,))) == expected[1:]
    assert get_events(tail(*arguments)) == []
    [line] = tail(*arguments, "--after", 3).stdout.splitlines()
    event = json.loads(line)
    assert event["merchantId"] == str(merchant_id)
    assert (event["data"]["status"], event["data"]["id"]) == ("SUCCESS", event["paymentId"])


def test_tail_prints_one_line_per_event(merchant_id: UUID, tail: Callable[..., Result]) -> None:
    result = tail("--merchant", merchant_id, "--after", 1)
    heading, line = result.stdout.splitlines()
    assert heading.split() == [
        *("At", "Sequence", "Event", "Status", "Payment", "Refund", "Merchant")
    ]
    assert line.split()[2:5] == ["2", "payment.succeeded", "SUCCESS"]
    assert line.endswith(str(merchant_id))
    assert line.index("payment.succeeded") == heading.index("Event")


def test_tail_goes_on_after_an_outage(
    application: Application, merchant_id: UUID, tail: Callable[..., Result]
) -> None:
    read, is_away = application.events.get_last_sequences, False

    def get_last_sequences(merchant_id: UUID | None = None) -> dict[UUID, int]:
        if is_away:
            raise StorageUnavailable
        return read(merchant_id)

    def go_away() -> None:
        nonlocal is_away
        is_away = True
        settle_payment(application, merchant_id)

    def come_back() -> None:
        nonlocal is_away
        is_away = False

    replaced = with_use_cases(application, {"events.get_last_sequences": get_last_sequences})
    application.events = replaced.events
    result = tail("--json", actions=(go_away, come_back))
    assert get_events(result) == [("payment.succeeded", 3)]
    assert "Trying again." in result.stderr


def test_wrong_usage_of_tail(tail: Callable[..., Result]) -> None:
    for arguments in (("--after", 1), ("--merchant", "x"), ("--merchant", uuid4(), "--after", -1)):
        assert tail(*arguments).exit_code == 2
    unknown = tail("--merchant", uuid4())
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: No merchant has this id.\n")
