"""Doing a thing once, however often it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from atomic_core.domain.errors import NotFound
from atomic_core.domain.idempotency import IdempotentRequest, StoredIdempotencyKey, StoredResponse
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory

Order = TypeVar("Order")
Result = TypeVar("Result")


class Command(ABC, Generic[Order, Result]):
    """A use case that changes something in one unit of work.

    Called directly it does it each time; through PerformOnce, once per idempotency key.
    """

    begin: UnitOfWorkFactory

    @abstractmethod
    def execute(self, work: UnitOfWork, order: Order) -> Result:
        """The effect itself, inside the caller's unit of work; commits nothing."""

    def after_commit(self) -> None:
        """What follows once the effect is durable. Must not fail."""
        return

    def __call__(self, order: Order) -> Result:
        with self.begin() as work:
            result = self.execute(work, order)
            work.commit()
        self.after_commit()
        return result


@dataclass(frozen=True, slots=True)
class IdempotentResult:
    response: StoredResponse
    replayed: bool


@dataclass(frozen=True, slots=True)
class PerformOnce:
    """Do a command and keep its answer, in one commit; a repeat gets the kept answer.

    What is told once only, the first time, is left out of what `keep` makes of the answer.
    Raises what the command raises, IdempotencyKeyReused and IdempotencyKeyInUse. A command
    that raises leaves the key unused.
    """

    begin: UnitOfWorkFactory

    def __call__(
        self,
        request: IdempotentRequest,
        command: Command[Order, Result],
        order: Order,
        render: Callable[[Result], StoredResponse],
        keep: Callable[[StoredResponse], StoredResponse] | None = None,
    ) -> IdempotentResult:
        with self.begin() as work:
            kept = work.idempotency.claim_key(request)
            if kept is not None:
                return IdempotentResult(kept, replayed=True)
            response = render(command.execute(work, order))
            work.idempotency.store_response(request, keep(response) if keep else response)
            work.commit()
        command.after_commit()
        return IdempotentResult(response, replayed=False)


@dataclass(frozen=True, slots=True)
class GetIdempotencyKey:
    """What became of an Idempotency-Key of this merchant. Raises NotFound for one that is unused,
    expired, or somebody else's."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, key: str) -> StoredIdempotencyKey:
        with self.begin() as work:
            kept = work.idempotency.find_key(merchant_id, key)
        if kept is None:
            raise NotFound("This Idempotency-Key is not in use.")
        return kept
