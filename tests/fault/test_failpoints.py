"""Orders are carried out at exactly the place they name, once."""

from pathlib import Path
from typing import Any

import pytest

from atomic_adapters.memory.services import MemoryJobQueue
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.ports.job_queue import Job
from fault.failpoints import Failpoints, Watched, stall
from fault.faults import FAULTS
from fault.flags import Flags
from support import Store, add_merchant, application_over, open_account, order


@pytest.fixture
def flags(tmp_path: Path) -> Flags:
    return Flags(tmp_path)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every place that is reached, in order."""
    places: list[str] = []
    reach = Failpoints.reach

    def noting(self: Failpoints, place: str) -> None:
        places.append(place)
        reach(self, place)

    monkeypatch.setattr(Failpoints, "reach", noting)
    return places


@pytest.fixture
def application(memory_store: Store, flags: Flags) -> Application:
    points = Failpoints(flags)
    merchant_id = add_merchant(memory_store.begin)
    open_account(memory_store.begin, merchant_id)
    network: Any = Watched(SandboxCardNetwork(), "network", points)
    queue: Any = Watched(MemoryJobQueue(), "queue", points)
    begin = points.watched_begin(memory_store.begin)
    application = application_over(begin, network=network, queue=queue)
    application.payments.accept(order(merchant_id))
    return application


def test_settling_passes_the_places_in_order(
    application: Application, places: list[str], memory_store: Store
) -> None:
    places.clear()
    application.settlement.settle()
    decisive = [
        "payments.claim.after",
        "payments.claim.commit.before",
        "payments.claim.commit.after",
        "network.authorize.before",
        "network.authorize.after",
        "payments.hold.before",
        "ledger.record.after",
        "payments.settle.after",
        "payments.settle.commit.before",
        "payments.settle.commit.after",
    ]
    assert [place for place in places if place in decisive] == decisive
    assert application.ledger.verify().transactions == 1


def test_an_order_is_carried_out_where_it_says_and_once(
    application: Application, flags: Flags, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    flags.raise_("network.authorize.before", stall(2.5))
    assert not flags.is_taken("network.authorize.before")
    application.queue.notify(Job.SETTLE)
    assert slept == []
    application.settlement.settle()
    application.settlement.settle()
    assert slept == [2.5]
    assert flags.is_taken("network.authorize.before")


def test_an_order_can_be_taken_back(flags: Flags) -> None:
    flags.raise_("here", "kill")
    flags.lower("here")
    assert flags.take("here") is None
    flags.raise_("here", "kill")
    assert (flags.take("here"), flags.take("here")) == ("kill", None)


def test_every_fault_says_what_it_does_and_has_a_bound() -> None:
    assert len(FAULTS) > 20
    for name, fault in FAULTS.items():
        assert name == fault.name
        assert fault.what
        assert 0 < fault.bound <= 5
