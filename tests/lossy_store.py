"""A store that loses the answer to a commit."""

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.ports.unit_of_work import UnitOfWork
from support import Store


class LossyBegin:
    """A Begin whose next `to_lose` commits lose their answer, after the fact or before it; once
    `spared` more have gone well."""

    def __init__(self, store: Store, *, done: bool, to_lose: int = 0, spared: int = 0) -> None:
        self.store = store
        self.done = done
        self.to_lose = to_lose
        self.spared = spared

    def __call__(self) -> "LossyBegin.Leaving":
        return LossyBegin.Leaving(self)

    class Leaving:
        def __init__(self, flaky: "LossyBegin") -> None:
            self.flaky = flaky
            self.inner = flaky.store.begin()

        def __enter__(self) -> UnitOfWork:
            work = self.inner.__enter__()
            commit = work.commit

            def lossy() -> None:
                if self.flaky.to_lose == 0:
                    return commit()
                if self.flaky.spared:
                    self.flaky.spared -= 1
                    return commit()
                self.flaky.to_lose -= 1
                if self.flaky.done:
                    commit()
                raise StorageUnavailable

            work.commit = lossy
            return work

        def __exit__(self, *exception: object) -> bool | None:
            return self.inner.__exit__(*exception)  # pyright: ignore[reportArgumentType]
