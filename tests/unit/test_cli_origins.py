"""Operators see who made what, and are named where they change something."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from atomic_core.application import Application
from atomic_core.domain.audit_log import RecordedAuditEvent
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import Payment
from atomic_core.domain.refunds import NewRefund
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from support import build_payment
from unit.test_cli_operators import CommandRunner, application, atomic, clock

__all__ = ["application", "atomic", "clock"]
"""Fixtures that pytest finds here."""

KEY = Origin(ActorType.KEY, uuid4(), "192.0.2.1", "order-7", uuid4())


@pytest.fixture
def payment(application: Application) -> Payment:
    return application.payments.record(replace(build_payment(TEST_MERCHANT_ID), origin=KEY))


def get_newest_audit_event(application: Application) -> RecordedAuditEvent:
    [event], _ = application.merchants.list_audit_events(TEST_MERCHANT_ID, None, 1)
    return event


def test_show_prints_who_made_a_payment_and_from_where(
    atomic: CommandRunner, payment: Payment
) -> None:
    lines = [line.split(maxsplit=2) for line in atomic.lines("payments", "show", payment.id)]
    assert ["Created", "by", f"key {KEY.actor_id}"] in lines
    assert ["Client", KEY.address] in lines
    assert ["Request", KEY.request_id] in lines
    assert ["Server", "request", str(KEY.server_request_id)] in lines
    [created] = [line for line in atomic.lines("payments", "show", payment.id) if "created" in line]
    cells = [f"key {KEY.actor_id}", KEY.address, KEY.request_id, str(KEY.server_request_id)]
    assert created.endswith("  ".join(str(cell) for cell in cells))


def test_show_prints_the_operator_of_a_retry(
    atomic: CommandRunner, application: Application, payment: Payment
) -> None:
    atomic.lines("payments", "retry", payment.id, "--operator", "Ada")
    lines = atomic.lines("payments", "show", payment.id)
    [retried] = [line for line in lines if "retry_requested" in line]
    *_, kind, name, address, request_id, server_request_id = retried.split()
    assert (kind, name, address, request_id) == ("operator", "Ada", "-", "-")
    assert server_request_id == str(get_newest_audit_event(application).server_request_id)


def test_show_as_json_has_the_origins(
    atomic: CommandRunner, application: Application, payment: Payment
) -> None:
    application.settlement.settle()
    application.refunds.create(NewRefund(TEST_MERCHANT_ID, payment.id, 1, origin=KEY))
    shown = atomic.json("payments", "show", payment.id)
    expected = {
        "actor": "key",
        "actorId": str(KEY.actor_id),
        "operator": None,
        "clientAddress": KEY.address,
        "requestId": KEY.request_id,
        "serverRequestId": str(KEY.server_request_id),
    }
    created, processing, *_, refund_created = shown["events"]
    assert refund_created["event"] == "refund_created"
    for item in (shown, created, shown["refunds"][0], refund_created):
        assert {name: item[name] for name in expected} == expected
    assert {name: processing[name] for name in expected} == dict.fromkeys(expected)


@pytest.mark.parametrize("option", ["--operator", "--as"])
def test_operators_are_named_in_the_audit_log(
    atomic: CommandRunner, application: Application, payment: Payment, option: str
) -> None:
    name = (option, "Ada")
    key_id = atomic.json("keys", "create", "--merchant", TEST_MERCHANT_ID, *name)["id"]
    commands = {
        "key_revoked": ("keys", "revoke", key_id),
        "fees_set": ("fees", "set", "--currency", "USD", "--fixed", "1"),
        "payment_retried": ("payments", "retry", payment.id),
        "merchant_suspended": ("merchants", "suspend", TEST_MERCHANT_ID),
        "merchant_resumed": ("merchants", "resume", TEST_MERCHANT_ID),
        "merchant_network_set": ("merchants", "set-network", TEST_MERCHANT_ID, "sandbox"),
    }
    seen = [get_newest_audit_event(application)]
    for event_type, command in commands.items():
        atomic.lines(*command, *name)
        seen.append(get_newest_audit_event(application))
        assert seen[-1].type == event_type
    assert {event.details["operator"] for event in seen} == {"Ada"}
    assert len({event.server_request_id for event in seen}) == len(seen)


def test_system_user_is_the_operator_by_default(
    atomic: CommandRunner, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "carol")
    key = atomic.json("keys", "create", "--merchant", TEST_MERCHANT_ID)
    assert get_newest_audit_event(application).details["operator"] == "carol"
    atomic.lines("keys", "revoke", UUID(key["id"]))
    event = get_newest_audit_event(application)
    assert (event.type, event.details["operator"]) == ("key_revoked", "carol")
