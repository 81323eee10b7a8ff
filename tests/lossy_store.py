"""A store whose commits fail, after they took effect or before."""

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.ports.unit_of_work import UnitOfWork
from support import Store


class LossyUnitOfWorkFactory:
    """Begins units of work whose commits raise StorageUnavailable `failures` times, after
    `successes_before` commits that succeed. With `is_committed`, a failing commit takes effect
    first: only its reply is lost."""

    def __init__(
        self, store: Store, *, is_committed: bool, failures: int = 0, successes_before: int = 0
    ) -> None:
        self.store = store
        self.is_committed = is_committed
        self.failures = failures
        self.successes_before = successes_before

    def __call__(self) -> "LossyUnitOfWorkFactory.Context":
        return LossyUnitOfWorkFactory.Context(self)

    class Context:
        def __init__(self, factory: "LossyUnitOfWorkFactory") -> None:
            self.factory = factory
            self.inner = factory.store.begin()

        def __enter__(self) -> UnitOfWork:
            work = self.inner.__enter__()
            commit = work.commit

            def lossy_commit() -> None:
                if self.factory.failures == 0:
                    return commit()
                if self.factory.successes_before:
                    self.factory.successes_before -= 1
                    return commit()
                self.factory.failures -= 1
                if self.factory.is_committed:
                    commit()
                raise StorageUnavailable

            work.commit = lossy_commit
            return work

        def __exit__(self, *exception: object) -> bool | None:
            return self.inner.__exit__(*exception)  # pyright: ignore[reportArgumentType]
