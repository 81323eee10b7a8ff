"""Executing concurrent calls together."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

Call = TypeVar("Call")
Result = TypeVar("Result")


class BatchCalls(Protocol):
    def __call__(
        self, execute: Callable[[Sequence[Call]], Sequence[Result]], /
    ) -> Callable[[UUID, Call], Result]:
        """Return a function that executes a call of a merchant, perhaps together with others of the
        same merchant that arrive at the same time.

        `execute` gets the calls of one merchant in the order of their arrival, runs in the thread
        of one of the callers, and returns one result per call. An error that it raises is raised to
        every caller. Raises StorageUnavailable if that thread is interrupted.
        """
        ...


def execute_singly(
    execute: Callable[[Sequence[Call]], Sequence[Result]], /
) -> Callable[[UUID, Call], Result]:
    """A `BatchCalls` that executes each call by itself."""

    def call_alone(_: UUID, call: Call) -> Result:
        [result] = execute([call])
        return result

    return call_alone
