"""Liveness of workers, as the store sees it."""

from typing import Protocol


class WorkerLiveness(Protocol):
    """A registration of this process with the store; a process may have several. The store itself
    notices when a worker dies, without a time-out. A slow or stopped worker counts as alive."""

    def worker_id(self) -> int | None:
        """The id to claim under. Registers the process if needed. Ids are never reused.

        None if registration fails: the lease alone then limits a claim. Thread-safe. Must not be
        called inside a unit of work. Has a time-out; never raises an AtomicError.
        """
        ...

    def deregister(self) -> None:
        """Give up the current id, so that the next claim uses a new one: the claims of all threads
        under the old id are due at once. Never raises an AtomicError."""
        ...
