"""Being seen by the store."""

from typing import Protocol


class WorkerLiveness(Protocol):
    """This process among all that share the store. The store itself notices when one is gone, so
    no time-out is involved; one that is merely slow, or stopped, is still there."""

    def worker_id(self) -> int | None:
        """The number to claim under now. It is nobody else's, and never will be.

        None while the store cannot see this process: claims then last as long as their lease.
        Any thread may ask; call it before a unit of work begins. Bounded in time; never raises
        an AtomicError.
        """
        ...

    def deregister(self) -> None:
        """Give up the present number, for another with the next claim: what was claimed under
        it, by any thread, is due at once. Never raises an AtomicError."""
        ...
