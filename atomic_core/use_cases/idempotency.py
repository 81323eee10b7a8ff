"""Commands, and executing them once per Idempotency-Key."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from atomic_core.domain.errors import NotFound
from atomic_core.domain.idempotency import (
    IdempotentRequest,
    StoredIdempotencyKey,
    StoredResponse,
)
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory

Input = TypeVar("Input")
Result = TypeVar("Result")


class Command(ABC, Generic[Input, Result]):
    """A use case that writes in one unit of work.

    A direct call executes it every time; PerformOnce executes it once per Idempotency-Key.
    """

    begin: UnitOfWorkFactory

    @abstractmethod
    def execute(self, work: UnitOfWork, input: Input, /) -> Result:
        """Write in the caller's unit of work, which the caller commits."""

    def list_keys(self, input: Input, /) -> Sequence[str]:  # noqa: ARG002
        """The Idempotency-Keys that `execute` uses itself, of the request's merchant."""
        return ()

    def after_commit(self) -> None:
        """Called after the commit. Must not raise."""
        return

    def __call__(self, input: Input) -> Result:
        with self.begin() as work:
            result = self.execute(work, input)
            work.commit()
        self.after_commit()
        return result


@dataclass(frozen=True, slots=True)
class IdempotentResult:
    response: StoredResponse
    replayed: bool


@dataclass(frozen=True, slots=True)
class PerformOnce:
    """Execute a command and store its response in one commit; replay the response on a repeat.

    `redact` removes from the stored response what only the first response may contain, such as a
    new token. Raises what the command raises, IdempotencyKeyReused and IdempotencyKeyInUse. If the
    command raises, the key stays unused.
    """

    begin: UnitOfWorkFactory

    def __call__(
        self,
        request: IdempotentRequest,
        command: Command[Input, Result],
        input: Input,
        render: Callable[[Result], StoredResponse],
        redact: Callable[[StoredResponse], StoredResponse] | None = None,
    ) -> IdempotentResult:
        keys = command.list_keys(input)
        with self.begin() as work:
            if keys:
                work.idempotency.lock_keys(request.merchant_id, [request.key, *keys])
            stored_response = work.idempotency.claim_key(request)
            if stored_response is not None:
                return IdempotentResult(stored_response, replayed=True)
            response = render(command.execute(work, input))
            work.idempotency.store_response(request, redact(response) if redact else response)
            work.commit()
        command.after_commit()
        return IdempotentResult(response, replayed=False)


@dataclass(frozen=True, slots=True)
class GetIdempotencyKey:
    """A used Idempotency-Key of this merchant, with its record. Raises NotFound if it is unused or
    has expired."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, key: str) -> StoredIdempotencyKey:
        with self.begin() as work:
            stored_key = work.idempotency.find_key(merchant_id, key)
        if stored_key is None:
            raise NotFound("This Idempotency-Key is unused or has expired.")
        return stored_key
