"""Failpoints execute the armed action once, and exist in the ports of the application."""

import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from atomic_adapters.memory.services import MemoryJobQueue
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application, Ports
from atomic_core.ports.card_network import CardNetwork
from atomic_core.ports.job_queue import Job
from atomic_core.ports.unit_of_work import UnitOfWork
from fault.failpoint_flags import FailpointFlags
from fault.failpoints import WRAPPED_PORTS, FailpointProxy, Failpoints, delay
from fault.faults import FAULTS
from support import Store, add_merchant, build_application, build_payment, open_account


@pytest.fixture
def flags(tmp_path: Path) -> FailpointFlags:
    return FailpointFlags(tmp_path)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every failpoint that is reached, in order."""
    reached: list[str] = []
    reach = Failpoints.reach

    def record_and_reach(self: Failpoints, failpoint: str) -> None:
        reached.append(failpoint)
        reach(self, failpoint)

    monkeypatch.setattr(Failpoints, "reach", record_and_reach)
    return reached


@pytest.fixture
def application(memory_store: Store, flags: FailpointFlags) -> Application:
    failpoints = Failpoints(flags)
    merchant_id = add_merchant(memory_store.begin)
    open_account(memory_store.begin, merchant_id)
    network: Any = FailpointProxy(SandboxCardNetwork(), "card_network", failpoints)
    queue: Any = FailpointProxy(MemoryJobQueue(), "job_queue", failpoints)
    begin = failpoints.wrap_begin(memory_store.begin)
    application = build_application(begin, card_network=network, job_queue=queue)
    application.payments.record(build_payment(merchant_id))
    return application


def test_settlement_reaches_failpoints_in_order(
    application: Application, reached: list[str]
) -> None:
    reached.clear()
    application.settlement.settle()
    expected = [
        "payments.claim.after",
        "payments.claim_awaited.commit.before",
        "payments.claim_awaited.commit.after",
        "card_network.authorize.before",
        "card_network.authorize.after",
        "payments.lock_claims.before",
        # Charges are settled before the accounts are locked, what is left after the posting.
        "payments.settle.after",
        "ledger.save.after",
        "payments.settle.after",
        "payments.settle.commit.before",
        "payments.settle.commit.after",
    ]
    assert [failpoint for failpoint in reached if failpoint in expected] == expected
    assert application.ledger.verify().transactions == 1


def test_armed_action_is_executed_once_at_its_failpoint(
    application: Application, flags: FailpointFlags, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    monkeypatch.setattr("time.sleep", delays.append)
    flags.arm("card_network.authorize.before", delay(2.5))
    assert not flags.is_taken("card_network.authorize.before")
    application.job_queue.notify(Job.SETTLE)
    assert delays == []
    application.settlement.settle()
    application.settlement.settle()
    assert delays == [2.5]
    assert flags.is_taken("card_network.authorize.before")


def test_disarmed_action_is_not_taken(flags: FailpointFlags) -> None:
    flags.arm("here", "kill")
    flags.disarm("here")
    assert flags.take("here") is None
    flags.arm("here", "kill")
    assert (flags.take("here"), flags.take("here")) == ("kill", None)


def test_every_fault_has_description_and_bound() -> None:
    assert len(FAULTS) > 20
    for name, fault in FAULTS.items():
        assert name == fault.name
        assert fault.description
        assert 0 < fault.bound_seconds <= 5


def _list_failpoints() -> Iterator[tuple[str, str]]:
    """Yield (fault, failpoint) for every fault that names one as an argument."""
    for fault in FAULTS.values():
        arguments = fault.inject.args if isinstance(fault.inject, partial) else ()
        for argument in arguments:
            if isinstance(argument, str) and "." in argument:
                yield fault.name, argument


@pytest.mark.parametrize(("fault", "failpoint"), tuple(_list_failpoints()))
def test_failpoint_of_fault_exists_in_ports(fault: str, failpoint: str) -> None:
    port, method, *_ = failpoint.split(".")
    if port == "card_network":
        kind = CardNetwork
    elif port in WRAPPED_PORTS:
        kind = get_type_hints(Ports)[port]
    else:
        kind = get_type_hints(inspect.getattr_static(UnitOfWork, port).fget)["return"]
    assert callable(getattr(kind, method)), fault
