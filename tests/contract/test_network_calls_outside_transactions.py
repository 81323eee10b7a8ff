"""No call to another service is made while a transaction is open, on both stores."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.ports.unit_of_work import UnitOfWork
from support import Store, add_merchant, build_application, build_payment


class CallRecorder(SandboxCardNetwork):
    """A store, card network, job queue and worker liveness that record their calls."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.open_units = 0
        self.calls: list[tuple[str, int]] = []
        """The service of each call, and the number of units of work open during it."""

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        with self.store.begin() as work:
            self.open_units += 1
            try:
                yield work
            finally:
                self.open_units -= 1

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.calls.append(("network", self.open_units))
        return SandboxCardNetwork().authorize(claims)

    def worker_id(self) -> int | None:
        self.calls.append(("worker liveness", self.open_units))
        return None

    def deregister(self) -> None:
        self.calls.append(("worker liveness", self.open_units))

    def notify(self, job: object) -> None:
        self.calls.append(("job queue", self.open_units))

    def clear(self, job: object) -> None:
        self.calls.append(("job queue", self.open_units))


def test_no_transaction_is_open_during_calls_to_other_services(store: Store) -> None:
    recorder = CallRecorder(store)
    application = build_application(
        recorder.begin,
        card_network=recorder,
        job_queue=recorder,
        worker_liveness=recorder,
        batch_size=2,
    )
    merchant_id = add_merchant(store.begin)
    for _ in range(3):
        application.payments.record(build_payment(merchant_id))
    assert application.settlement.settle() == 3
    assert {service for service, _ in recorder.calls} == {"network", "worker liveness", "job queue"}
    assert {open_units for _, open_units in recorder.calls} == {0}
    assert application.ledger.verify().transactions == 3
