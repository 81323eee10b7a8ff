"""Nothing outside is waited for while a transaction is open, on both stores."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.ports.unit_of_work import UnitOfWork
from support import Store, add_merchant, build_application, build_payment


class Watched(SandboxCardNetwork):
    """A store that knows how many units of work are open, and all that is outside of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.open = 0
        self.asked: list[tuple[str, int]] = []
        """What was asked, and how many units of work were open then."""

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        with self.store.begin() as work:
            self.open += 1
            try:
                yield work
            finally:
                self.open -= 1

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.asked.append(("network", self.open))
        return SandboxCardNetwork().authorize(claims)

    def worker_id(self) -> int | None:
        self.asked.append(("presence", self.open))
        return None

    def deregister(self) -> None:
        self.asked.append(("presence", self.open))

    def notify(self, job: object) -> None:
        self.asked.append(("bell", self.open))

    def clear(self, job: object) -> None:
        self.asked.append(("bell", self.open))


def test_no_transaction_is_open_during_calls_to_other_services(store: Store) -> None:
    watched = Watched(store)
    application = build_application(
        watched.begin,
        card_network=watched,
        job_queue=watched,
        worker_liveness=watched,
        batch_size=2,
    )
    merchant_id = add_merchant(store.begin)
    for _ in range(3):
        application.payments.record(build_payment(merchant_id))
    assert application.settlement.settle() == 3
    assert {what for what, _ in watched.asked} == {"network", "presence", "bell"}
    assert {open for _, open in watched.asked} == {0}
    assert application.ledger.verify().transactions == 3
